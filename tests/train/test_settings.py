"""Wrong settings and bad data end in one line that says what to do."""

import json
import math
import re
import runpy
import shutil
import sys

import pytest
import torch

from mgimm_plugin.errors import ImageError, MgimmError
from tests.train.conftest import losses
from tests.train.launch import start


def as_module(argv: list[str]) -> int | None:
    """``python -m mgimm_plugin.train``, argument for argument."""
    sys.argv = ["mgimm_plugin.train", *argv]
    try:
        runpy.run_module("mgimm_plugin.train", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        with open("/dev/stderr", "a") as stream:
            stream.write(f"exit status {error.code}\n")
    return 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stage": "regions"}, "--stage is one of region, image"),
        ({"data_path": None}, "--data_path is needed"),
        ({"model_name_or_path": None}, "--model_name_or_path is needed"),
        ({"on_error": "ignore"}, "--on_error is raise or skip"),
        ({"region_replay": 1}, "--region_replay is a share"),
        ({"bits": 4}, "--bits 4 and 8 are for loading"),
        ({"lora_bias": "all"}, "--lora_bias is none"),
        ({"mm_use_im_start_end": True}, "--mm_use_im_start_end"),
        ({"tune_mm_mlp_adapter": True}, "here --stage region freezes the LLM"),
        ({"freeze_backbone": True}, "here --stage region freezes the LLM"),
        ({"resume_from_checkpoint": "checkpoint-4"}, "goes on from the last whole checkpoint by itself"),
        ({"fsdp": "full_shard"}, "--deepspeed scripts/zero2.json"),
        ({"label_smoothing_factor": 0.1}, "--label_smoothing_factor is 0"),
        ({"cache_dir": "hub"}, "--cache_dir is not read"),
        ({"lora_weight_path": "lora"}, "--lora_weight_path is not read"),
        ({"region_data_path": "regions.jsonl"}, "--region_data_path is replayed in the image stage"),
        ({"eval_strategy": "epoch"}, "--eval_strategy and --save_strategy best need --eval_data_path"),
        ({"save_strategy": "best"}, "--eval_strategy and --save_strategy best need --eval_data_path"),
        (
            {"eval_data_path": "e.jsonl", "eval_strategy": "steps", "save_strategy": "epoch"},
            "leave --eval_strategy and --eval_steps out",
        ),
        (
            {"eval_data_path": "e.jsonl", "eval_steps": 3, "save_strategy": "steps", "save_steps": 4},
            "--eval_steps divide --save_steps",
        ),
    ],
)
def test_contradicting_settings_are_bad_usage(bench, fail, tmp_path, changes, words):
    status, printed = fail(bench.region_flags(tmp_path / "run", **changes))
    assert status == 2
    assert printed.startswith("error: ")
    assert words in printed
    assert printed.count("\n") == 1


def test_unknown_flag_is_bad_usage(bench, fail, tmp_path):
    status, printed = fail([*bench.region_flags(tmp_path / "run"), "--mm_regoin_lr", "1"])
    assert status == 2
    assert printed.startswith("error: unknown flags or values: --mm_regoin_lr 1;")


def test_a_value_that_is_no_number_is_said_after_a_short_usage(bench, fail, tmp_path):
    status, printed = fail(bench.region_flags(tmp_path / "run", learning_rate="abc"))
    assert status == 2
    assert printed.startswith("usage: python -m mgimm_plugin.train ")
    *usage, error = printed.splitlines()
    assert len(usage) <= 2
    assert error.endswith("--learning_rate/--learning-rate: invalid float value: 'abc'")


def test_help_has_our_flags_first_and_says_what_each_is(train, capsys):
    from mgimm_plugin.train.stages import main

    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    shape = [f"mm_region_{name}" for name in ("depth", "heads", "mlp_dim", "seed", "tokens")]
    lora = [f"lora_{name}" for name in ("r", "alpha", "dropout", "enable", "bias", "weight_path")]
    for name in (*shape, *lora, "mm_projector_lr", "mm_region_lr", "image_folder", "group_by_modality_length"):
        assert re.search(rf"\n  --{name} .*\n +(?!\(default)\w", printed), name
        assert printed.index(f"\n  --{name} ") < printed.index("\n  --per_device_train_batch_size ")


def test_deepspeed_that_is_not_installed_is_bad_usage(bench, fail, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    status, printed = fail(bench.region_flags(tmp_path / "run", deepspeed="scripts/zero2.json"))
    assert (status, printed) == (2, "error: --deepspeed needs deepspeed: pip install 'mgimm-plugin[train]'\n")


def test_settings_that_transformers_refuses_are_bad_usage(bench, fail, tmp_path):
    status, printed = fail(bench.region_flags(tmp_path / "run", fp16=True, bf16=True))
    assert status == 2
    assert printed.startswith("error: ")
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vision_tower": None}, "--vision_tower is needed"),
        (
            {"vision_tower": "no/such-tower"},
            "vision tower no/such-tower: no such folder, and not to be had",
        ),
        ({"model_name_or_path": "no/such-model"}, "no/such-model: no such folder, and not to be had from the Hub"),
        ({"image_aspect_ratio": "stretch"}, "image_aspect_ratio 'stretch' is unknown; known: pad"),
        ({"version": "mgimm_v7"}, "mgimm_v7"),
        ({"data_path": "missing.jsonl"}, "missing.jsonl"),
        ({"data_path": "half.jsonl@a"}, "'a' after the @ is no weight"),
        ({"model_max_length": 20}, "tokens"),
        ({"mm_region_heads": 12}, "mm_region_heads is 12; it has to divide the 32 channels"),
        ({"mm_region_heads": 0}, "mm_region_heads is 0"),
        ({"mm_projector_type": "mlp3x"}, "mm_projector_type 'mlp3x' is unknown; known: linear"),
        ({"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature is 'cls_patch'"),
        ({"report_to": "no_such_reporter"}, "--report_to no_such_reporter: no_such_reporter is not supported"),
        ({"report_to": "wandb"}, "wandb to be installed"),
    ],
)
def test_what_is_not_there_fails_in_one_line(bench, fail, tmp_path, changes, words):
    status, printed = fail(bench.region_flags(tmp_path / "run", **changes))
    assert status == 1
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mm_region_encoder": "box_text"}, "has mm_region_encoder interactive_roi_biased, not box_text"),
        ({"mm_region_fourier_scale": 4}, "has mm_region_fourier_scale 1.0, not 4.0"),
    ],
)
def test_region_settings_of_another_model_are_refused(bench, fail, region_run, tmp_path, changes, words):
    from_checkpoint = bench.region_flags(tmp_path / "a", model_name_or_path=region_run, **changes)
    from_adapter = bench.region_flags(tmp_path / "b", pretrain_mm_mlp_adapter=region_run, **changes)
    for flags in (from_checkpoint, from_adapter):
        status, printed = fail(flags)
        assert status == 1
        assert words in printed
        assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_aspect_ratio": "resize"}, "has image_aspect_ratio pad, not resize: leave these flags out"),
        ({"mm_vision_select_layer": -1}, "has mm_vision_select_layer -2, not -1"),
        ({"mm_projector_type": "linear"}, "has mm_projector_type mlp2x_gelu, not linear"),
        ({"mm_region_mlp_dim": 2048}, "has mm_region_mlp_dim 64, not 2048"),  # what a new model would have
    ],
)
def test_flags_that_say_otherwise_than_the_checkpoint_are_refused(bench, fail, region_run, tmp_path, changes, words):
    status, printed = fail(bench.image_flags(region_run, tmp_path / "run", **changes))
    assert status == 1
    assert words in printed


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU here")
def test_without_a_gpu_nothing_has_to_be_said_for_ranks_to_find_each_other(train, tmp_path):
    from mgimm_plugin.train.command_line import parse_arguments

    needed = ["--model_name_or_path", "llm", "--data_path", "a.json", "--output_dir", str(tmp_path)]
    *_, args = parse_arguments(["--stage", "region", *needed])
    assert args.use_cpu


def test_training_on_the_cpu_for_want_of_a_driver_has_to_be_asked_for(bench, fail, train, tmp_path, old_driver):
    from mgimm_plugin.train.command_line import parse_arguments

    status, printed = fail(bench.region_flags(tmp_path / "run", use_cpu=None))
    assert status == 2
    assert printed.startswith("error: the GPUs here cannot be used by torch ")
    assert "too old" in printed
    assert printed.endswith("to train on the CPU all the same, add --use_cpu or set CUDA_VISIBLE_DEVICES=\n")
    *_, args = parse_arguments(bench.region_flags(tmp_path / "run", use_cpu=True))
    assert args.use_cpu


def test_several_gpus_without_a_launcher_are_refused(bench, train, tmp_path):
    """There may be no GPU here: what is counted is set, and the refusal is the real one."""
    from transformers import HfArgumentParser

    from mgimm_plugin.train.arguments import DataArguments, ModelArguments, TrainingArguments
    from mgimm_plugin.train.command_line import check_arguments

    parser = HfArgumentParser((ModelArguments, DataArguments, TrainingArguments))
    model, data, args = parser.parse_args_into_dataclasses(bench.region_flags(tmp_path / "run"))
    assert args.n_gpu == 0
    args._n_gpu = 4
    with pytest.raises(MgimmError, match=r"NPROC=4.*torchrun --nproc_per_node 4 -m mgimm_plugin\.train"):
        check_arguments(model, data, args)


@pytest.fixture
def damaged(bench, tmp_path):
    """The scenes, with one image cut short."""
    data = tmp_path / "damaged"
    shutil.copytree(bench.data, data)
    record = json.loads((data / "region.jsonl").read_text().splitlines()[0])
    image = data / record["image"]
    image.write_bytes(image.read_bytes()[:600])
    return data, record


def test_truncated_image_stops_training_and_is_named(bench, train, damaged, tmp_path):
    data, record = damaged
    flags = bench.region_flags(
        tmp_path / "run", data_path=data / "region.jsonl", image_folder=data, max_steps=None, num_train_epochs=1
    )
    with pytest.raises(ImageError) as caught:
        train(flags)
    assert record["image"] in str(caught.value)
    assert f"{data / 'region.jsonl'}" in str(caught.value)


def test_truncated_image_is_skipped_and_listed(bench, train, damaged, tmp_path):
    data, record = damaged
    run = tmp_path / "run"
    flags = bench.region_flags(
        run,
        data_path=data / "region.jsonl",
        image_folder=data,
        max_steps=None,
        num_train_epochs=1,
        on_error="skip",
        dataloader_num_workers=1,
    )
    train(flags)
    skipped = [json.loads(line) for line in (run / "skipped.jsonl").read_text().splitlines()]
    records = [json.loads(line) for line in (data / "region.jsonl").read_text().splitlines()]
    assert len(losses(run)) == math.ceil(len(records) / 4)  # others take the place of the damaged ones
    expected = {other["id"] for other in records if other["image"] == record["image"]}
    assert {entry["id"] for entry in skipped} == expected
    assert all(record["image"] in entry["error"] for entry in skipped)


def test_module_exits_with_one_line_and_no_traceback(bench, damaged, tmp_path):
    data, record = damaged
    flags = bench.region_flags(
        tmp_path / "run",
        data_path=data / "region.jsonl",
        image_folder=data,
        max_steps=None,
        num_train_epochs=1,
        dataloader_num_workers=1,
    )
    printed = start(flags, tmp_path / "log", main=as_module).wait()
    (error,) = [line for line in printed.splitlines() if "error: " in line]
    assert record["image"] in error
    assert "Traceback" not in printed
    assert "exit status 1" in printed
