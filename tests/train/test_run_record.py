"""A used output folder: the run that began it goes on, another one is refused with what differs."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from mgimm_plugin.errors import MgimmError
from tests.train.conftest import losses
from tests.train.launch import start
from tests.train.test_ranks import MODES

RECORD_FILE = "mgimm_run.json"


def flags_of(bench, run, **more):
    """A region stage of four steps with two checkpoints."""
    return bench.region_flags(run, **{"save_strategy": "steps", "save_steps": 2, **more})


@pytest.fixture(scope="module")
def begun(bench, train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun") / "run"
    train(flags_of(bench, folder))
    return folder


@pytest.fixture
def run(begun, tmp_path):
    """A copy of the run folder, as after a kill between its two checkpoints."""
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    shutil.rmtree(folder / "checkpoint-4")
    return folder


@pytest.fixture(scope="module")
def begun_under_zero2(bench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zero2")
    start(flags_of(bench, folder / "run", deepspeed=MODES["zero2"], max_steps=2), folder / "log").wait()
    return folder / "run"


@pytest.mark.parametrize(
    ("goes_on_with", "words"),
    [
        ({"deepspeed": MODES["zero3"]}, "was ZeRO-2 in float32 with processes: 1, now ZeRO-3 in float32"),
        ({"deepspeed": MODES["zero2"], "bf16": True}, "now ZeRO-2 in bfloat16 with processes: 1"),
        ({}, "deepspeed was ZeRO-2 in float32 with processes: 1, now False"),
    ],
)
def test_what_deepspeed_could_not_read_back_is_refused(bench, begun_under_zero2, tmp_path, goes_on_with, words):
    run = tmp_path / "run"
    shutil.copytree(begun_under_zero2, run)
    with pytest.raises(AssertionError, match=words):
        start(flags_of(bench, run, **goes_on_with), tmp_path / "log").wait()


def test_a_run_under_deepspeed_that_an_older_version_began_goes_on(bench, begun_under_zero2, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(begun_under_zero2, run)
    record = json.loads((run / RECORD_FILE).read_text())
    record["settings"]["deepspeed"] = True
    (run / RECORD_FILE).write_text(json.dumps(record))
    start(flags_of(bench, run, deepspeed=MODES["zero2"]), tmp_path / "log").wait()
    assert len(losses(run)) == 4


def weights(run):
    return load_file(run / "mgimm_adapter.safetensors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 5e-4}, "learning_rate was 0.004, now 0.0005"),
        ({"mm_region_mlp_dim": 128}, "mm_region_mlp_dim was 64, now 128"),
        ({"mm_region_encoder": "interactive"}, "mm_region_encoder was interactive_roi_biased, now interactive"),
        ({"image_aspect_ratio": "resize"}, "image_aspect_ratio was pad, now resize"),
        ({"mm_region_lr": 1e-3}, "mm_region_lr was not given, now 0.001"),
        ({"lr_scheduler_type": "cosine"}, "lr_scheduler_type was linear, now cosine"),
        ({"seed": 2}, "seed was 1, now 2"),
        ({"stage": "image"}, "stage was region, now image"),
        ({"per_device_train_batch_size": 2}, "gradient_accumulation_steps) was 4, now 2"),
        ({"max_steps": 3}, "max_steps was 4, now 3"),
        ({"max_steps": None, "num_train_epochs": 2}, "max_steps was 4, now not given"),
    ],
)
def test_other_settings_are_refused_by_name(bench, train, run, changes, words):
    before = weights(run)
    with pytest.raises(MgimmError) as caught:
        train(flags_of(bench, run, **changes))
    said = str(caught.value)
    assert f"{run}: holds checkpoint-2 of a run with other settings: " in said
    assert words in said
    assert "choose another --output_dir (OUTPUT_DIR of the scripts) or remove this folder" in said
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(run).items())


def test_other_data_is_refused_with_both_names(bench, train, run):
    with pytest.raises(MgimmError, match=f"data_path was {bench.region_data}, now {bench.mixed_data}@0.5[.] To"):
        train(flags_of(bench, run, data_path=f"{bench.mixed_data}@0.5"))


def test_another_model_or_tower_is_refused(bench, train, run, tiny_llm, tmp_path):
    tower = shutil.copytree(bench.tower, tmp_path / "tower")
    (tower / "config.json").write_text((tower / "config.json").read_text() + "\n")
    with pytest.raises(MgimmError) as caught:
        train(flags_of(bench, run, model_name_or_path=tiny_llm("qwen2"), vision_tower=tower))
    assert f"model_name_or_path was {bench.llm}, now {tiny_llm('qwen2')}" in str(caught.value)
    assert f"vision_tower was {bench.tower}, now {tower}" in str(caught.value)


def test_a_file_with_other_records_under_the_same_name_is_refused(bench, train, tmp_path):
    run, data = tmp_path / "run", tmp_path / "data.jsonl"
    shutil.copy(bench.region_data, data)
    train(flags_of(bench, run, data_path=data))
    data.write_text("".join(data.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(MgimmError, match=f"settings: data_path {data} has changed. To train anew"):
        train(flags_of(bench, run, data_path=data))


def test_what_does_not_shape_the_run_may_change(bench, train, run, begun, tmp_path, caplog):
    """Files that were moved, workers, intervals, the shares of a batch; and more steps, which then hold."""
    data = tmp_path / "moved.jsonl"
    shutil.copy(bench.region_data, data)
    moved = shutil.copytree(bench.llm, tmp_path / "llm")
    changes = {"data_path": data, "model_name_or_path": moved, "dataloader_num_workers": 1, "logging_steps": 2}
    changes |= {"save_steps": 3, "on_error": "skip", "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    train(flags_of(bench, run, max_steps=6, **changes))
    assert f"resuming from {run / 'checkpoint-2'}" in caplog.text
    assert (run / "checkpoint-6").is_dir()
    with pytest.raises(MgimmError, match="max_steps was 6, now 4"):
        train(flags_of(bench, run))


def test_evaluation_may_begin_later_and_its_records_then_stay(bench, train, run):
    train(flags_of(bench, run, eval_data_path=bench.region_data))
    with pytest.raises(MgimmError, match=f"eval_data_path was {bench.region_data}, now {bench.mixed_data}"):
        train(flags_of(bench, run, eval_data_path=bench.mixed_data))


def test_a_run_that_was_begun_without_a_record_goes_on_as_it_did(bench, train, run, caplog):
    (run / RECORD_FILE).unlink()
    train(flags_of(bench, run, learning_rate=5e-4))
    assert f"resuming from {run / 'checkpoint-2'}" in caplog.text
    assert not (run / RECORD_FILE).exists()


def test_a_record_that_cannot_be_read_is_said(bench, train, run):
    (run / RECORD_FILE).write_text("{")
    with pytest.raises(MgimmError, match=f"{run / RECORD_FILE}: does not say what the run was made with"):
        train(flags_of(bench, run))


def test_a_folder_without_checkpoints_is_begun_anew(bench, train, run):
    shutil.rmtree(run / "checkpoint-2")
    train(flags_of(bench, run, learning_rate=5e-4, max_steps=2))
    assert len(losses(run)) == 2
    assert json.loads((run / RECORD_FILE).read_text())["settings"]["learning_rate"] == 5e-4


def test_all_ranks_are_refused_together(bench, run, tmp_path):
    share = {"per_device_train_batch_size": 2}
    ranks = start(flags_of(bench, run, learning_rate=5e-4, **share), tmp_path / "log", ranks=2)
    for process in ranks.processes:
        process.join()
    assert [process.exitcode for process in ranks.processes] == [1, 1]
    assert ranks.log.read_text().count("learning_rate was 0.004, now 0.0005") == 2
    start(flags_of(bench, run, **share), tmp_path / "log", ranks=2).wait()
    assert len(losses(run)) == 4


def test_a_path_that_is_no_utf8_can_be_kept(tmp_path):
    from mgimm_plugin.train.run_record import RunRecord, keep_record

    record = RunRecord({"data_path": None}, {"data_path": "caf\udce9.jsonl"})
    keep_record(tmp_path, None, record)
    assert RunRecord(**json.loads((tmp_path / RECORD_FILE).read_text(encoding="utf-8"))) == record
