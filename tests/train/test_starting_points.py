"""What a stage can start from."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.loading import load_model


@pytest.fixture(scope="module")
def llava_checkpoint(bench, tmp_path_factory):
    """A LLaVA-1.5 checkpoint as on the Hub: projector and tower inside, the tower named relative to it."""
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
    from transformers import AutoConfig, AutoTokenizer, CLIPVisionModel

    def build(model_type: str) -> Path:
        folder = tmp_path_factory.mktemp(model_type) / "v1.5-7b"
        values = AutoConfig.from_pretrained(bench.llm).to_dict()
        values |= {
            "mm_vision_tower": str(bench.tower),
            "mm_hidden_size": 32,
            "mm_projector_type": "mlp2x_gelu",
            "mm_vision_select_layer": -3,
            "mm_vision_select_feature": "patch",
            "mm_use_im_start_end": False,
            "mm_use_im_patch_token": False,
            "image_aspect_ratio": "pad",
        }
        values.pop("model_type")
        torch.manual_seed(4)
        model = LlavaLlamaForCausalLM(LlavaConfig(**values))
        tower = CLIPVisionModel.from_pretrained(bench.tower).state_dict()
        inside = {f"model.vision_tower.vision_tower.{name}": tensor for name, tensor in tower.items()}
        model.save_pretrained(folder, state_dict=model.state_dict() | inside)
        AutoTokenizer.from_pretrained(bench.llm).save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": model_type}))
        return folder

    return build


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "mgimm_adapter.safetensors")


def differences(run: Path, start: dict[str, torch.Tensor]) -> float:
    """How far a run's adapter is from where it should have started, at a learning rate of almost nothing."""
    found = adapter(run)
    return max((found[name] - tensor).abs().max().item() for name, tensor in start.items())


@pytest.mark.parametrize("model_type", ["llava", "llava_llama"])
def test_llava_checkpoint(bench, train, llava_checkpoint, tmp_path, model_type):
    start, run = llava_checkpoint(model_type), tmp_path / "run"
    flags = bench.region_flags(run, model_name_or_path=start, vision_tower=None, max_steps=1, learning_rate=1e-9)
    train(flags)
    projector = {n: t for n, t in load_file(start / "model.safetensors").items() if "mm_projector" in n}
    assert len(projector) == 4
    assert differences(run, projector) < 1e-6
    config = json.loads((run / "config.json").read_text())
    # What the checkpoint's projector was trained with holds, whatever the flags' defaults are.
    assert config["mm_vision_select_layer"] == -3
    assert config["model_type"] == "mgimm_llama"
    assert load_model(run, device="cpu").model.config.mm_vision_tower == str(bench.tower)


def test_mm_projector_bin_of_llavas_pretraining(bench, train, tmp_path):
    torch.manual_seed(5)
    sizes = {"0.weight": (32, 32), "0.bias": (32,), "2.weight": (32, 32), "2.bias": (32,)}
    saved = {f"model.mm_projector.{name}": torch.randn(size) for name, size in sizes.items()}
    torch.save(saved, tmp_path / "mm_projector.bin")
    run = tmp_path / "run"
    for given in (tmp_path / "mm_projector.bin", tmp_path):
        train(bench.region_flags(run, pretrain_mm_mlp_adapter=given, max_steps=1, learning_rate=1e-9))
        assert differences(run, saved) < 1e-6


def test_projector_of_another_shape_is_refused(bench, train, tmp_path):
    torch.save({"model.mm_projector.weight": torch.randn(32, 32)}, tmp_path / "mm_projector.bin")
    with pytest.raises(CheckpointError, match=r"mm_projector\.bin: missing mm_projector\.0\.bias.*unexpected"):
        train(bench.region_flags(tmp_path / "run", pretrain_mm_mlp_adapter=tmp_path / "mm_projector.bin"))


def test_region_checkpoint_as_pretrained_adapter(bench, train, region_run, tmp_path):
    run = tmp_path / "run"
    train(bench.region_flags(run, pretrain_mm_mlp_adapter=region_run, max_steps=1, learning_rate=1e-9))
    assert differences(run, adapter(region_run)) < 1e-6


@pytest.mark.parametrize("stage", ["region", "image"])
def test_region_checkpoint(bench, train, region_run, tmp_path, stage):
    run = tmp_path / "run"
    replay = {"region_data_path": None} if stage == "region" else {}
    train(bench.image_flags(region_run, run, stage=stage, max_steps=1, learning_rate=1e-9, **replay))
    assert differences(run, adapter(region_run)) < 1e-6


def test_region_checkpoint_whose_tower_was_moved(bench, train, tmp_path):
    start, run, old, new = (tmp_path / name for name in ("start", "run", "old", "new"))
    shutil.copytree(bench.tower, old)
    train(bench.region_flags(start, vision_tower=old, max_steps=1))
    old.rename(new)
    with pytest.raises(CheckpointError, match="vision tower"):
        train(bench.image_flags(start, run))
    same = {"mm_vision_select_layer": -2, "mm_projector_type": "mlp2x_gelu", "image_aspect_ratio": "pad"}
    train(bench.image_flags(start, run, vision_tower=new, max_steps=1, learning_rate=1e-9, **same))
    assert differences(run, adapter(start)) < 1e-6
    assert load_model(run, device="cpu").model.config.mm_vision_tower == str(new)


def test_tower_of_another_size_is_refused(bench, train, region_run, tmp_path):
    tower = shutil.copytree(bench.tower, tmp_path / "tower")
    config = json.loads((tower / "config.json").read_text())
    (tower / "config.json").write_text(json.dumps(config | {"hidden_size": 48}))
    with pytest.raises(CheckpointError, match=f"vision tower {tower}: has size 48; .* was trained with 32"):
        train(bench.image_flags(region_run, tmp_path / "run", vision_tower=tower))


def test_settings_that_a_llava_checkpoint_was_not_trained_with_are_refused(bench, train, llava_checkpoint, tmp_path):
    start = llava_checkpoint("llava")
    with pytest.raises(CheckpointError, match="has mm_vision_select_layer -3, not -2"):
        train(bench.region_flags(tmp_path / "run", model_name_or_path=start, mm_vision_select_layer=-2))


def test_full_checkpoint(bench, train, region_run, tmp_path):
    full, run = tmp_path / "full", tmp_path / "run"
    train(bench.image_flags(region_run, full, lora_enable=False, max_steps=1))
    train(bench.image_flags(full, run, max_steps=1, learning_rate=1e-9))
    weights = load_file(full / "model.safetensors")
    assert differences(run, {n: t for n, t in weights.items() if n in adapter(run)}) < 1e-6
    loaded = load_model(run, device="cpu").model.state_dict()
    assert torch.equal(loaded["lm_head.weight"], weights["lm_head.weight"])


def test_lora_checkpoint_has_to_be_merged(bench, train, region_run, tmp_path):
    from mgimm_plugin.model.merging import merge_lora

    lora, merged = tmp_path / "lora", tmp_path / "merged"
    train(bench.image_flags(region_run, lora, max_steps=1))
    with pytest.raises(CheckpointError, match="merge it first"):
        train(bench.image_flags(lora, tmp_path / "run"))
    merge_lora(lora, merged)
    train(bench.image_flags(merged, tmp_path / "run", max_steps=1))
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
