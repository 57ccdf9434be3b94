"""LLaVA's own entry point trains plain, region and image records, and leaves checkpoints of ours."""

import functools
import json
import re
import shutil

import pytest
import torch
from llava.model import builder

from mgimm_plugin.errors import CheckpointError, MgimmError
from mgimm_plugin.model.folders import checkpoint_kind
from mgimm_plugin.model.regions.encoders import build_region_encoder
from tests.train.conftest import flags, losses
from tests.train.launch import llava, start
from tests.train.test_ranks import MODES
from tests.train.test_resume import pause_before_step

KINDS = {
    "adapter": {"tune_mm_mlp_adapter": True},
    "lora": {"lora_enable": True, "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0},
    "full": {},
}


def llava_flags(bench, output, **more):
    """LLaVA's flags with LLaVA's defaults wherever its scripts leave them."""
    return flags(
        {
            "model_name_or_path": bench.llm,
            "vision_tower": bench.tower,
            "version": "mgimm_v1",
            "data_path": bench.mixed_data,
            "image_folder": bench.data,
            "image_aspect_ratio": "pad",
            "mm_projector_type": "mlp2x_gelu",
            "mm_vision_select_layer": -2,
            "output_dir": output,
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "learning_rate": 4e-3,
            "save_strategy": "no",
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "seed": 1,
        }
        | more
    )


def load(folder):
    """Load a run as LLaVA's programs do, and let it answer."""
    tokenizer, model, _, _ = builder.load_pretrained_model(str(folder), None, "run", device="cpu")
    ids = torch.tensor([tokenizer("Hello").input_ids])
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] <= 3
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_llavas_train_leaves_a_checkpoint_that_llavas_loader_reads(bench, train, tmp_path, kind):
    run = tmp_path / "run"
    start(llava_flags(bench, run, **KINDS[kind]), tmp_path / "log", main=llava).wait()
    assert checkpoint_kind(run) == kind
    assert not list(run.glob("*.bin"))
    model = load(run)
    assert model.config.mm_conversation_template == "mgimm_v1"
    trained, fresh = model.get_model().region_encoder, build_region_encoder(model.config)
    assert not torch.equal(trained.box_encoder.corner_embedding, fresh.box_encoder.corner_embedding)


def without_flash_attention() -> None:
    """``train_mem`` asks for attention that needs a GPU; leave that out."""
    from mgimm_plugin.train import llava_entry

    load = llava_entry.load_weights
    llava_entry.load_weights = lambda *args, attn_implementation, **options: load(*args, **options)


def test_lora_of_llavas_train_mem_is_read_too(bench, train, tmp_path):
    run = tmp_path / "run"
    program = functools.partial(llava, program="train.train_mem")
    argv = llava_flags(bench, run, **KINDS["lora"], max_steps=1)
    start(argv, tmp_path / "log", main=program, before=without_flash_attention).wait()
    assert checkpoint_kind(run) == "lora"
    load(run)


@pytest.mark.parametrize("version", ["plain", "v1", None])
def test_llavas_templates_and_the_familys_own(bench, train, tmp_path, version):
    run = tmp_path / "run"
    argv = llava_flags(bench, run, **KINDS["adapter"], version=version, max_steps=1)
    start(argv, tmp_path / "log", main=llava).wait()
    expected = {"plain": "plain", "v1": "v1", None: "mgimm_v1"}[version]
    from llava.conversation import conv_templates

    found = load(run).config.mm_conversation_template
    assert conv_templates[found] is conv_templates[expected]


def going_on(bench, model, output, **more):
    """Flags of a run that starts from a model and names nothing that a checkpoint knows."""
    names = ("vision_tower", "version", "image_aspect_ratio", "mm_projector_type", "mm_vision_select_layer")
    return llava_flags(bench, output, **(dict.fromkeys(names) | {"model_name_or_path": model} | more))


@pytest.fixture(scope="module")
def anyres_run(bench, train, tmp_path_factory):
    """A finished region stage on views of the image, with a separator between their rows."""
    run = tmp_path_factory.mktemp("anyres") / "run"
    train(bench.region_flags(run, image_aspect_ratio="anyres", mm_patch_merge_type="spatial_unpad", max_steps=1))
    return run


def test_region_checkpoint_brings_its_own_tower_and_projector(bench, region_run, tmp_path):
    run = tmp_path / "run"
    start(going_on(bench, region_run, run, **KINDS["lora"]), tmp_path / "log", main=llava).wait()
    config = load(run).config
    assert (config.mm_projector_type, config.mm_vision_select_layer) == ("mlp2x_gelu", -2)
    assert (config.image_aspect_ratio, config.mm_patch_merge_type) == ("pad", "flat")


def test_region_checkpoint_brings_its_own_frame_and_layout_of_views(bench, anyres_run, tmp_path):
    run = tmp_path / "run"
    start(going_on(bench, anyres_run, run, **KINDS["adapter"], max_steps=1), tmp_path / "log", main=llava).wait()
    config = load(run).config
    assert (config.image_aspect_ratio, config.mm_patch_merge_type) == ("anyres", "spatial_unpad")


def test_another_frame_than_the_checkpoints_is_refused(bench, anyres_run, tmp_path):
    argv = going_on(bench, anyres_run, tmp_path / "run", image_aspect_ratio="square")
    run = start(argv, tmp_path / "log", main=llava)
    with pytest.raises(AssertionError, match=r"CheckpointError: .*has image_aspect_ratio anyres, not square"):
        run.wait()


def test_another_projector_than_the_checkpoints_is_refused(anyres_run):
    from mgimm_plugin.train.llava_entry import LlavaModelArguments

    arguments = LlavaModelArguments(str(anyres_run), mm_patch_merge_type="spatial_unpad", mm_vision_select_layer=-2)
    assert arguments.mm_projector_type == "mlp2x_gelu"
    for name, value in {"mm_patch_merge_type": "flat", "mm_projector_type": "linear"}.items():
        with pytest.raises(CheckpointError, match=f"has {name} .*, not {value}"):
            LlavaModelArguments(str(anyres_run), **{name: value})


def test_bare_model_has_llavas_defaults(bench, train, tmp_path):
    run = tmp_path / "run"
    argv = going_on(bench, bench.llm, run, vision_tower=bench.tower, **KINDS["adapter"], max_steps=1)
    start(argv, tmp_path / "log", main=llava).wait()
    config = load(run).config
    assert (config.mm_projector_type, config.mm_vision_select_layer) == ("linear", -1)
    assert (config.image_aspect_ratio, config.mm_patch_merge_type) == ("square", "flat")


def say_seed_of_the_data() -> None:
    """Print with which seed the data set is made."""
    from mgimm_plugin.train import llava_entry

    make = llava_entry.InstructionDataset

    def say(*args, **options):
        print("seed of the data:", options.get("seed"))
        return make(*args, **options)

    llava_entry.InstructionDataset = say


@pytest.mark.parametrize(("seeds", "expected"), [({"seed": 3}, 3), ({"seed": 3, "data_seed": 5}, 5)])
def test_data_goes_by_the_runs_seed(bench, train, tmp_path, seeds, expected):
    argv = llava_flags(bench, tmp_path / "run", **KINDS["adapter"], **seeds, max_steps=1)
    printed = start(argv, tmp_path / "log", main=llava, before=say_seed_of_the_data).wait()
    assert f"seed of the data: {expected}\n" in printed


def test_folder_with_mpt_in_its_name_holds_what_its_config_says(bench, train, tmp_path):
    base, run = tmp_path / "attempt1", tmp_path / "run"
    base.symlink_to(bench.llm)
    argv = llava_flags(bench, run, **KINDS["adapter"], model_name_or_path=base, max_steps=1)
    start(argv, tmp_path / "log", main=llava).wait()
    assert load(run).config.model_type == "mgimm_llama"


def test_killed_run_of_llavas_train_ends_like_an_uninterrupted_one(bench, train, tmp_path):
    whole, run, marker = tmp_path / "whole", tmp_path / "run", tmp_path / "paused"
    more = {**KINDS["lora"], "lora_dropout": 0.1, "save_strategy": "steps", "save_steps": 2}
    start(llava_flags(bench, whole, **more), tmp_path / "whole.log", main=llava).wait()
    argv = llava_flags(bench, run, **more)
    pause = functools.partial(pause_before_step, marker, step=3)
    start(argv, tmp_path / "log", main=llava, before=pause).kill_when(marker.exists)
    shutil.copytree(run / "checkpoint-2", run / "checkpoint-3")
    (run / "checkpoint-3" / "mgimm_complete.json").unlink()
    start(argv, tmp_path / "log", main=llava).wait()
    assert losses(run) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("mode", ["ddp", "zero2", "zero3"])
def test_two_ranks_of_llavas_train_follow_one(bench, train, tmp_path, mode):
    alone, together = tmp_path / "alone", tmp_path / "together"
    runs = [
        start(llava_flags(bench, alone, **KINDS["full"]), tmp_path / "alone.log", main=llava),
        start(
            llava_flags(bench, together, per_device_train_batch_size=2, deepspeed=MODES[mode], **KINDS["full"]),
            tmp_path / "together.log",
            ranks=2,
            main=llava,
        ),
    ]
    for run in runs:
        run.wait()
    assert losses(together) == pytest.approx(losses(alone), rel=1e-3)
    load(together)


@pytest.mark.parametrize("change", [{"mm_use_im_patch_token": True}, {"version": "v0"}, {"vision_tower": None}])
def test_settings_of_older_llava_models_are_refused(bench, train, tmp_path, change):
    run = start(llava_flags(bench, tmp_path / "run", **change), tmp_path / "log", main=llava)
    with pytest.raises(AssertionError, match=re.escape(f"--{next(iter(change))}")):
        run.wait()


def test_a_checkpoint_with_a_tuned_tower_is_refused(bench, train, tmp_path):
    folder = shutil.copytree(bench.llm, tmp_path / "tuned")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "llava_llama", "mm_vision_tower": str(bench.tower), "unfreeze_mm_vision_tower": True}
    settings |= {"mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2}
    (folder / "config.json").write_text(json.dumps(settings))
    argv = llava_flags(bench, tmp_path / "run", **KINDS["adapter"], model_name_or_path=folder)
    with pytest.raises(AssertionError, match="its vision tower was tuned"):
        start(argv, tmp_path / "log", main=llava).wait()


@pytest.mark.parametrize("bits", [4, 8])
def test_quantized_training_is_refused(train, tmp_path, bits):
    from mgimm_plugin.train.llava_entry import LlavaTrainingArguments

    with pytest.raises(MgimmError, match="--bits"):
        LlavaTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[], bits=bits)


def test_fsdp_is_refused(train, tmp_path):
    from mgimm_plugin.train.llava_entry import LlavaTrainingArguments

    with pytest.raises(MgimmError, match=r"--fsdp .* scripts/zero2\.json"):
        LlavaTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[], fsdp="full_shard")


def test_training_on_the_cpu_for_want_of_a_driver_has_to_be_asked_for(train, tmp_path, old_driver):
    from mgimm_plugin.train.llava_entry import LlavaTrainingArguments

    with pytest.raises(MgimmError, match=r"driver on your system is too old.* add --use_cpu"):
        LlavaTrainingArguments(output_dir=str(tmp_path), report_to=[])
