"""Half precision on several ranks and in LLaVA's entry: what is trained learns, and positions are not rounded."""

import pytest
import torch
from safetensors.torch import load_file

from mgimm_plugin.model.folders import ADAPTER_FILE
from tests.train.conftest import losses
from tests.train.launch import llava, start
from tests.train.test_llava_entry import KINDS, going_on, llava_flags
from tests.train.test_ranks import MODES

AS_ON_A_GPU = {"bf16": True, "gradient_checkpointing": True}


@pytest.fixture(scope="module")
def exact(bench, train, region_run, tmp_path_factory):
    """Losses of the image stage in float32."""
    run = tmp_path_factory.mktemp("exact") / "run"
    train(bench.image_flags(region_run, run, lora_dropout=0))
    return losses(run)


@pytest.mark.parametrize("mode", ["ddp", "zero2", "zero3"])
def test_lora_is_trained_in_bfloat16_with_recomputation_on_ranks(bench, region_run, exact, tmp_path, mode):
    """What ``DEEPSPEED=scripts/zero3.json bash scripts/finetune_image.sh`` is on GPUs."""
    run = tmp_path / "run"
    more = {"per_device_train_batch_size": 2, "lora_dropout": 0, "deepspeed": MODES[mode]}
    start(bench.image_flags(region_run, run, **AS_ON_A_GPU, **more), tmp_path / "log", ranks=2).wait()
    assert losses(run) == pytest.approx(exact, rel=0.02)


def test_lora_of_llavas_train_is_trained_in_bfloat16_under_zero3(bench, region_run, tmp_path):
    run = tmp_path / "run"
    more = {"bf16": True, "per_device_train_batch_size": 2, "deepspeed": MODES["zero3"]}
    start(going_on(bench, region_run, run, **KINDS["lora"], **more), tmp_path / "log", ranks=2, main=llava).wait()
    found = losses(run)
    assert found[-1] < found[0]


def test_small_updates_of_llavas_train_are_not_rounded_away(bench, region_run, tmp_path):
    """At LLaVA's rate most weights of bfloat16 would stay where they are."""
    run = tmp_path / "run"
    argv = going_on(bench, region_run, run, **KINDS["adapter"], bf16=True, learning_rate=2e-5)
    start(argv, tmp_path / "log", main=llava).wait()
    before, after = (load_file(folder / ADAPTER_FILE) for folder in (region_run, run))
    moved = [after[name].float() != value.bfloat16().float() for name, value in before.items() if "weight" in name]
    assert torch.cat([each.flatten() for each in moved]).float().mean() > 0.9


def print_frequencies() -> None:
    """Print what the positions of a model are turned by when its training begins."""
    from mgimm_plugin.train import llava_entry

    def tell(self, **_: object) -> None:
        rotary = llava_entry.without_lora(self.model).get_model().rotary_emb
        exact = type(rotary)(config=rotary.config).inv_freq
        print("FREQUENCIES", rotary.inv_freq.dtype, torch.equal(rotary.inv_freq, exact), flush=True)
        raise SystemExit(0)

    llava_entry.LlavaEntryTrainer.train = tell


def test_positions_are_the_same_in_llavas_train_as_at_inference(bench, train, tmp_path):
    argv = llava_flags(bench, tmp_path / "run", **KINDS["lora"], bf16=True)
    printed = start(argv, tmp_path / "log", main=llava, before=print_frequencies).wait()
    assert "FREQUENCIES torch.float32 True" in printed
