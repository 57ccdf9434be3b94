"""Two ranks, with and without DeepSpeed, follow one rank."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.conftest import losses
from tests.train.launch import start

ROOT = Path(__file__).resolve().parents[2]
MODES = {"ddp": None, "zero2": ROOT / "scripts" / "zero2.json", "zero3": ROOT / "scripts" / "zero3.json"}


def check_checkpoint(folder: Path, picture: Path) -> None:
    from mgimm_plugin.predictor import Predictor

    predictor = Predictor.from_pretrained(folder, device="cpu")
    predictor.set_image(picture)
    assert len(predictor.describe_regions([(4, 4, 30, 40)], max_new_tokens=4)) == 1


def flags_of(bench, region_run, stage, output, **more):
    """Two steps an epoch, so that a run that stops after three is resumed amid an epoch that is not the first."""
    more |= {"max_steps": 5, "data_seed": 7}  # a seed with which ranks get different kinds of records
    if stage == "region":
        return bench.region_flags(output, data_path=f"{bench.mixed_data}@0.25", group_by_image=True, **more)
    return bench.image_flags(region_run, output, data_path=f"{bench.mixed_data}@0.1875", lora_dropout=0, **more)


@pytest.fixture(scope="session")
def alone(bench, train, region_run, tmp_path_factory) -> dict[str, list[float]]:
    """The losses of one rank in both stages."""
    folder = tmp_path_factory.mktemp("alone")
    for stage in ("region", "image"):
        train(flags_of(bench, region_run, stage, folder / stage))
    return {stage: losses(folder / stage) for stage in ("region", "image")}


def write_vision_weights(argv: list[str]) -> None:
    """Build the model of a stage and write what this rank holds of projector and region encoder."""
    from mgimm_plugin.model.keys import adapter_tensors
    from mgimm_plugin.model.lora import without_lora
    from mgimm_plugin.model.saving import barrier, gather
    from mgimm_plugin.train.building import build_model
    from mgimm_plugin.train.command_line import parse_arguments

    model_args, data_args, args = parse_arguments(argv)
    rank = args.process_index
    torch.manual_seed(rank)  # whatever was drawn before must not matter
    model, _ = build_model(model_args, data_args, args)
    tensors = gather(adapter_tensors(without_lora(model)), keep=True)
    folder = Path(args.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.float() for name, tensor in tensors.items()}, folder / f"{rank}.safetensors")
    barrier()


@pytest.mark.parametrize("mode", ["ddp", "zero3"])
def test_fresh_modules_are_the_same_on_every_rank(bench, tmp_path, mode):
    alone, together = tmp_path / "alone", tmp_path / "together"
    runs = [
        start(bench.region_flags(alone), tmp_path / "alone.log", main=write_vision_weights),
        start(
            bench.region_flags(together, deepspeed=MODES[mode]),
            tmp_path / "together.log",
            ranks=2,
            main=write_vision_weights,
        ),
    ]
    for run in runs:
        run.wait()
    expected = load_file(alone / "0.safetensors")
    assert all(tensor.isfinite().all() and tensor.abs().max() < 100 for tensor in expected.values())
    check_same(expected, together)


def test_full_checkpoint_is_the_same_on_every_rank_under_zero3(bench, train, region_run, tmp_path):
    """Its Fourier matrix is a buffer, which DeepSpeed does not broadcast, and need not be the seed's."""
    full, together = tmp_path / "full", tmp_path / "together"
    train(bench.image_flags(region_run, full, lora_enable=False, max_steps=1))
    weights = load_file(full / "model.safetensors")
    matrix = next(name for name in weights if name.endswith("fourier_matrix"))
    weights[matrix] = weights[matrix] + 0.25
    save_file(weights, full / "model.safetensors", metadata={"format": "pt"})
    flags = bench.image_flags(full, together, lora_enable=False, deepspeed=MODES["zero3"])
    start(flags, tmp_path / "log", ranks=2, main=write_vision_weights).wait()
    parts = ("model.mm_projector", "model.region_encoder")
    check_same({name: tensor for name, tensor in weights.items() if name.startswith(parts)}, together)


def check_same(expected, folder: Path) -> None:
    for rank in (0, 1):
        found = load_file(folder / f"{rank}.safetensors")
        assert set(found) == set(expected)
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor), (rank, name)


def test_one_process_needs_no_launcher_for_deepspeed(bench, region_run, tmp_path):
    run = tmp_path / "run"
    flags = bench.region_flags(run, data_path=bench.mixed_data, deepspeed=MODES["zero2"])
    start(flags, tmp_path / "log").wait()
    assert losses(run) == pytest.approx(losses(region_run), rel=1e-4)


@pytest.mark.parametrize("mode", ["ddp", "zero3"])
def test_ranks_that_show_views_and_ranks_that_do_not_stay_in_step(bench, tmp_path, mode):
    run = tmp_path / "run"
    more = {
        "vision_tower": bench.tower,
        "mm_region_mlp_dim": 64,
        "image_aspect_ratio": "anyres",
        "mm_patch_merge_type": "spatial_unpad",
        "lora_enable": False,
        "data_path": [bench.region_data, f"{bench.mixed_data}@0.5"],
        "region_data_path": None,
        "per_device_train_batch_size": 1,
        "max_steps": 6,
        "deepspeed": MODES[mode],
    }
    start(bench.image_flags(bench.llm, run, **more), tmp_path / "log", ranks=2).wait()
    assert len(losses(run)) == 6


def print_batches() -> None:
    """Print what each batch of this rank holds."""
    from mgimm_plugin.train.trainer import MgimmTrainer

    original = MgimmTrainer.training_step

    def training_step(self, model, inputs, *args, **kwargs):
        print(f"BATCH {self.state.global_step} {len(inputs['images'])} {len(inputs['boxes'])}", flush=True)
        return original(self, model, inputs, *args, **kwargs)

    MgimmTrainer.training_step = training_step


def check_ranks_differed(printed: str) -> None:
    """In some step one rank had images and the other had none, and likewise boxes: both have to stay in step."""
    batches: dict[int, list[tuple[int, int]]] = {}
    for step, images, boxes in re.findall(r"BATCH (\d+) (\d+) (\d+)", printed):
        batches.setdefault(int(step), []).append((int(images), int(boxes)))
    for column in (0, 1):
        assert any(sorted(batch[column] > 0 for batch in step) == [False, True] for step in batches.values()), batches


def check_frozen_weights_are_left_out(checkpoint: Path) -> None:
    """DeepSpeed's part of a checkpoint is not the size of the language model."""
    for file in checkpoint.glob("global_step*/*model_states.pt"):
        state = torch.load(file, weights_only=False)
        assert not state["frozen_param_fragments"]
        assert all(re.search("region_encoder|mm_projector|lora_", name) for name in state["module"])


@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_follow_one_and_resume(bench, region_run, alone, tmp_path, mode):
    more = {
        "per_device_train_batch_size": 2,
        "deepspeed": MODES[mode],
        "save_strategy": "steps",
        "save_steps": 3,
    }
    both = {tmp_path / stage: flags_of(bench, region_run, stage, tmp_path / stage, **more) for stage in alone}

    def train_both():
        runs = [
            start(flags, folder.with_suffix(".log"), ranks=2, before=print_batches) for folder, flags in both.items()
        ]
        return [run.wait() for run in runs]

    for folder, printed in zip(both, train_both(), strict=True):
        check_ranks_differed(printed)
        assert losses(folder) == pytest.approx(alone[folder.name], rel=1e-4)
        check_frozen_weights_are_left_out(folder / "checkpoint-3")
        # As after a kill -9: the last checkpoint half-written, none in the run folder itself.
        shutil.rmtree(folder / "checkpoint-5")
        for file in folder.iterdir():
            if file.is_file() and file.name != "mgimm_run.json":
                file.unlink()
    for folder, printed in zip(both, train_both(), strict=True):
        assert f"resuming from {folder / 'checkpoint-3'}" in printed
        assert losses(folder) == pytest.approx(alone[folder.name], rel=1e-4)
        check_checkpoint(folder, next((bench.data / "images").iterdir()))
