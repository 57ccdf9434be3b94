"""kill -9 at a bad moment, the same command again: it ends where an uninterrupted run ends."""

import functools
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.conftest import losses
from tests.train.launch import start

FINAL_WEIGHTS = {"region": ["mgimm_adapter"], "image": ["mgimm_adapter", "adapter_model"]}


def pause_before_step(marker: Path, step: int) -> None:
    """Make training stand still before an optimizer step, as seen from the outside."""
    from mgimm_plugin.train.trainer import MgimmTrainer

    original = MgimmTrainer.training_step

    def training_step(self, *args, **kwargs):
        if self.state.global_step == step:
            _stand_still(marker)
        return original(self, *args, **kwargs)

    MgimmTrainer.training_step = training_step


def pause_with_weights_written(marker: Path, step: int) -> None:
    """Make it stand still in the middle of writing ``checkpoint-<step>``."""
    from mgimm_plugin.train.trainer import MgimmTrainer

    original = MgimmTrainer._save_rng_state

    def save_rng_state(self, output_dir):
        if self.state.global_step == step:
            _stand_still(marker)
        original(self, output_dir)

    MgimmTrainer._save_rng_state = save_rng_state


def pause_before_publishing(marker: Path, step: int) -> None:
    """Make it stand still when ``checkpoint-<step>`` is written but not yet in its place."""
    from mgimm_plugin.train import trainer

    publish = trainer.publish

    def paused(target):
        if target.name == f"checkpoint-{step}":
            _stand_still(marker)
        publish(target)

    trainer.publish = paused


def pause_in_last_save(marker: Path, files: int) -> None:
    """Make it stand still when some files of the finished run have been moved to their place, and others have not."""
    from mgimm_plugin.model import folders

    replace = folders.os.replace
    moved: list[str] = []

    def counted(source, target):
        if folders.PARTIAL_FOLDER in str(source) and "checkpoint-" not in str(source):
            if len(moved) == files:
                _stand_still(marker)
            moved.append(str(target))
        replace(source, target)

    folders.os.replace = counted


def _stand_still(marker: Path) -> None:
    marker.touch()
    time.sleep(3600)


def flags_of(bench, stage, region_run, output, **more):
    """Several epochs, with everything random switched on."""
    if stage == "region":
        values = {"data_path": bench.mixed_data, "group_by_modality_length": True, "max_steps": 11, "save_steps": 4}
        return bench.region_flags(output, **{"save_strategy": "steps", **values, **more})
    values = {
        "data_path": [bench.image_data, f"{bench.mixed_data}@0.5"],
        "group_by_modality_length": True,
        "lora_dropout": 0.1,
        "max_steps": 11,
        "save_steps": 4,
    }
    return bench.image_flags(region_run, output, **{"save_strategy": "steps", **values, **more})


@pytest.fixture(scope="module")
def uninterrupted(bench, train, region_run, tmp_path_factory):
    """The run folder of a stage that nobody killed."""
    runs: dict[str, Path] = {}

    def run_of(stage):
        if stage not in runs:
            runs[stage] = tmp_path_factory.mktemp(f"whole-{stage}") / "run"
            # With a worker process where the killed runs have none: what is drawn must not depend on that.
            train(flags_of(bench, stage, region_run, runs[stage], dataloader_num_workers=1))
        return runs[stage]

    return run_of


MOMENTS = {
    "training": (functools.partial(pause_before_step, step=10), 8),
    "saving": (functools.partial(pause_with_weights_written, step=8), 4),
    "publishing": (functools.partial(pause_before_publishing, step=8), 4),
    "the last save": (functools.partial(pause_in_last_save, files=2), 11),
}


def check_same_end(run: Path, whole: Path, stage: str) -> None:
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)
    for name in FINAL_WEIGHTS[stage]:
        expected = load_file(whole / f"{name}.safetensors")
        for key, tensor in load_file(run / f"{name}.safetensors").items():
            torch.testing.assert_close(tensor, expected[key], rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", ["region", "image"])
def test_killed_run_ends_like_an_uninterrupted_one(
    bench, train, region_run, uninterrupted, tmp_path, caplog, stage, moment
):
    pause, resumed_step = MOMENTS[moment]
    run, marker = tmp_path / "run", tmp_path / "paused"
    flags = flags_of(bench, stage, region_run, run)
    start(flags, tmp_path / "log", before=functools.partial(pause, marker)).kill_when(marker.exists)
    caplog.clear()
    train(flags)
    assert f"resuming from {run / f'checkpoint-{resumed_step}'}" in caplog.text
    check_same_end(run, uninterrupted(stage), stage)
    assert not (run / ".partial").exists()


def test_checkpoint_without_its_mark_is_passed_over(bench, train, region_run, uninterrupted, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(uninterrupted("image"), run)
    for step in (8, 11):
        (run / f"checkpoint-{step}" / "mgimm_complete.json").unlink()
    (run / "checkpoint-11" / "optimizer.pt").write_bytes(b"half")
    caplog.clear()
    train(flags_of(bench, "image", region_run, run))
    assert f"{run / 'checkpoint-11'} was not written to the end" in caplog.text
    assert f"resuming from {run / 'checkpoint-4'}" in caplog.text
    check_same_end(run, uninterrupted("image"), "image")
    assert (run / "checkpoint-11" / "mgimm_complete.json").is_file()


def test_resuming_at_the_end_of_an_epoch_starts_the_next_one(bench, train, region_run, uninterrupted, tmp_path):
    run = tmp_path / "run"  # 8 batches an epoch: checkpoint-8 is where the first one ends
    shutil.copytree(uninterrupted("region"), run)
    shutil.rmtree(run / "checkpoint-11")
    train(flags_of(bench, "region", region_run, run))
    check_same_end(run, uninterrupted("region"), "region")


def test_finished_run_does_no_step_more(bench, train, region_run, tmp_path):
    run = tmp_path / "run"
    # At a rate that does not end in 0, a step more would change the weights.
    flags = flags_of(bench, "region", region_run, run, lr_scheduler_type="constant", max_steps=4)
    train(flags)
    before = load_file(run / "mgimm_adapter.safetensors")
    train(flags)
    assert len(losses(run)) == 4
    after = load_file(run / "mgimm_adapter.safetensors")
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_part_of_an_epoch_is_finished_too_and_may_be_gone_on_with(bench, train, region_run, tmp_path):
    run = tmp_path / "run"

    def losses_after(epochs):
        train(flags_of(bench, "region", region_run, run, max_steps=None, num_train_epochs=epochs))
        return losses(run)

    first = losses_after(1.5)
    assert len(first) == 12
    assert losses_after(1.5) == first
    assert len(losses_after(2)) == 16


def test_whole_language_model_is_resumed_too(bench, train, region_run, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    more = {"lora_enable": False, "max_steps": 4, "save_steps": 2, "save_strategy": "steps"}
    train(bench.image_flags(region_run, whole, **more))
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoint-4")
    train(bench.image_flags(region_run, run, **more))
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)
    expected = load_file(whole / "model.safetensors")
    for name, tensor in load_file(run / "model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-5, msg=name)
