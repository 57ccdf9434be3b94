"""kill -9 at a bad moment, the same command again: it ends where an uninterrupted run ends."""

import functools
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
        "dataloader_num_workers": 1,
    }
    return bench.image_flags(region_run, output, **{"save_strategy": "steps", **values, **more})


@pytest.fixture(scope="module")
def uninterrupted(bench, train, region_run, tmp_path_factory):
    """The run folder of a stage that nobody killed."""
    runs: dict[str, Path] = {}

    def run_of(stage):
        if stage not in runs:
            runs[stage] = tmp_path_factory.mktemp(f"whole-{stage}") / "run"
            train(flags_of(bench, stage, region_run, runs[stage]))
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
def test_killed_run_ends_like_an_uninterrupted_one(bench, train, region_run, uninterrupted, tmp_path, caplog, stage, moment):
    pause, resumed_step = MOMENTS[moment]
    run, marker = tmp_path / "run", tmp_path / "paused"
    flags = flags_of(bench, stage, region_run, run)
    start(flags, tmp_path / "log", before=functools.partial(pause, marker)).kill_when(marker.exists)
    caplog.clear()
    train(flags)
    assert f"resuming from {run / f'checkpoint-{resumed_step}'}" in caplog.text
    check_same_end(run, uninterrupted(stage), stage)
    assert not (run / ".partial").exists()
