"""A model that starts from a plain language model: everything new is initialised, and the same everywhere."""

import copy
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model import families
from mgimm_plugin.model.config import VisionSettings, multimodal_config
from mgimm_plugin.model.keys import adapter_tensors
from mgimm_plugin.model.loading import load_weights
from mgimm_plugin.region_settings import RegionSettings
from tests.tiny import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
OTHER_PROCESS = """
import json, sys
import torch
torch.manual_seed(99)
torch.rand(1000)
from tests.model.test_from_bare_llm import checksums, load
print(json.dumps([checksums(load(llm, sys.argv[1])) for llm in sys.argv[2:]]))
"""


def load(llm, tower, seed=0, dtype=torch.float32, **vision):
    config = multimodal_config(str(llm), VisionSettings(str(tower), **vision), RegionSettings(mm_region_seed=seed))
    return load_weights(str(llm), config, dtype=dtype)


def checksums(model):
    """Of every tensor that the bare model does not have."""
    return {name: zlib.crc32(value.detach().numpy().tobytes()) for name, value in adapter_tensors(model).items()}


def model_args(tower, **more):
    """What LLaVA's training hands to ``initialize_vision_modules``."""
    defaults = {
        "vision_tower": str(tower),
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_projector_type": "mlp2x_gelu",
        "mm_patch_merge_type": "flat",
        "pretrain_mm_mlp_adapter": None,
    }
    return SimpleNamespace(**defaults | more)


def family_class(family):
    return families.FAMILIES[family].model_class


def check_sane(model):
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        assert not tensor.is_meta, name
        assert tensor.isfinite().all(), name
        if "vision_tower" not in name and "inv_freq" not in name:
            assert tensor.abs().max() < 10, name
    encoder = model.get_model().region_encoder
    assert encoder.box_encoder.fourier_matrix.dtype == torch.float32
    for module in encoder.modules():
        if isinstance(module, torch.nn.Linear):
            assert 0 < module.weight.std() < 1
        elif isinstance(module, torch.nn.LayerNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_left_uninitialised(family, tiny_llm, tiny_tower):
    torch.manual_seed(0)
    model = load(tiny_llm(family), tiny_tower)
    check_sane(model)
    plain = AutoModelForCausalLM.from_pretrained(tiny_llm(family), dtype=torch.float32)
    own = model.state_dict()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(own[name], tensor), name


def test_another_process_and_another_global_seed_make_the_same_modules(tiny_llm, tiny_tower):
    llms = [str(tiny_llm(family)) for family in FAMILIES]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}"}
    command = [sys.executable, "-c", OTHER_PROCESS, str(tiny_tower), *llms]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    theirs = json.loads(result.stdout.splitlines()[-1])
    for llm, wanted in zip(llms, theirs, strict=True):
        for global_seed in (0, 1):
            torch.manual_seed(global_seed)
            assert checksums(load(llm, tiny_tower)) == wanted


def test_the_order_of_initialisation_and_the_precision_do_not_matter(tiny_llm, tiny_tower):
    first = adapter_tensors(load(tiny_llm("llama"), tiny_tower))
    half = adapter_tensors(load(tiny_llm("llama"), tiny_tower, dtype=torch.bfloat16))
    for name, tensor in first.items():
        exact = half[name].dtype == torch.float32
        assert torch.equal(half[name], tensor if exact else tensor.bfloat16()), name
    assert half["model.region_encoder.box_encoder.fourier_matrix"].dtype == torch.float32


def test_another_region_seed_makes_other_modules(tiny_llm, tiny_tower):
    first, second = (adapter_tensors(load(tiny_llm("llama"), tiny_tower, seed=seed)) for seed in (0, 1))
    constant = {name for name in first if "norm" in name or ".average." in name}  # the latter starts as the identity
    for name in first.keys() - constant:
        assert not torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_llavas_own_way_of_starting_makes_the_same_modules(family, tiny_llm, tiny_tower):
    wanted = load(tiny_llm(family), tiny_tower)
    torch.manual_seed(7)
    model = family_class(family).from_pretrained(tiny_llm(family), dtype=torch.float32)
    assert model.config.model_type == f"mgimm_{family}"
    assert not hasattr(model.get_model(), "region_encoder")
    model.get_model().initialize_vision_modules(model_args(tiny_tower))
    check_sane(model)
    assert checksums(model) == checksums(wanted)
    assert RegionSettings.of(model.config) == RegionSettings()


def test_llavas_own_way_of_starting_seeds_the_row_separator_too(tiny_llm, tiny_tower):
    made = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        model = family_class("llama").from_pretrained(tiny_llm("llama"), dtype=torch.float32)
        model.get_model().initialize_vision_modules(model_args(tiny_tower, mm_patch_merge_type="spatial_unpad"))
        made.append(model.get_model().image_newline)
    wanted = load(tiny_llm("llama"), tiny_tower, mm_patch_merge_type="spatial_unpad").get_model().image_newline
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], wanted)


def test_llavas_projector_file_is_what_the_projector_starts_from(tiny_llm, tiny_tower, tmp_path):
    trained = copy.deepcopy(load(tiny_llm("llama"), tiny_tower, seed=5).get_model().mm_projector.state_dict())
    file = tmp_path / "mm_projector.bin"
    torch.save({f"model.mm_projector.{name}": tensor for name, tensor in trained.items()}, file)
    model = family_class("llama").from_pretrained(tiny_llm("llama"), dtype=torch.float32)
    model.get_model().initialize_vision_modules(model_args(tiny_tower, pretrain_mm_mlp_adapter=str(file)))
    for name, tensor in model.get_model().mm_projector.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


def test_a_tied_language_model_stays_tied(tiny_tower, tmp_path):
    from tests.tiny import build_llm

    model = load(build_llm(tmp_path / "tied", "qwen2", bos=False, tie_word_embeddings=True), tiny_tower)
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_a_model_type_without_a_binding_is_named(tiny_tower, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(CheckpointError, match=r"no MGIMM binding for model type 'gpt2'; known: .*llama"):
        multimodal_config(str(tmp_path), VisionSettings(str(tiny_tower)))


def test_a_missing_vision_tower_is_named(tiny_llm):
    with pytest.raises(CheckpointError, match="vision tower nowhere/tower"):
        multimodal_config(str(tiny_llm("llama")), VisionSettings("nowhere/tower"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            RegionSettings(mm_region_encoder="psychic"),
            "mm_region_encoder 'psychic' is unknown; known: .*interactive",
        ),
        (
            RegionSettings(mm_region_tokens=3),
            "mm_region_tokens is 3; the interactive_roi_biased encoder makes 1, 2, 4 tokens a box",
        ),
    ],
)
def test_region_settings_that_nothing_can_make_are_refused(tiny_llm, tiny_tower, settings, message):
    config = multimodal_config(str(tiny_llm("llama")), VisionSettings(str(tiny_tower)), settings)
    with pytest.raises(CheckpointError, match=message):
        load_weights(str(tiny_llm("llama")), config)


def test_an_unknown_frame_of_images_is_refused(tiny_llm, tiny_tower):
    with pytest.raises(CheckpointError, match="image_aspect_ratio 'round' is unknown; known: pad, resize"):
        multimodal_config(str(tiny_llm("llama")), VisionSettings(str(tiny_tower), image_aspect_ratio="round"))
