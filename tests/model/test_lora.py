"""LoRA goes on the language model's layers and nowhere else."""

import copy
import re

import pytest
import torch
from peft.tuners.lora import LoraLayer

from mgimm_plugin.model.lora import add_lora, lora_target_pattern, without_lora
from tests.tiny import FAMILIES, build_loaded

LINEARS = {
    **{family: {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"} for family in FAMILIES},
    "phi": {"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"},
}
LAYERS = 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_of_every_layer_is_wrapped_and_nothing_else(family, tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm(family), tiny_tower).model
    tower = {name for name, _ in model.named_modules() if name.endswith("q_proj") and ".layers." not in name}
    assert tower  # the region encoder has linears of the same names: a match by suffix would land there
    wrapped = add_lora(model, r=4, alpha=8, dropout=0.0)
    names = [name for name, module in wrapped.get_base_model().named_modules() if isinstance(module, LoraLayer)]
    assert len(names) == LAYERS * len(LINEARS[family])
    assert {name.rsplit(".", 1)[1] for name in names} == LINEARS[family]
    assert all(name.startswith("model.layers.") for name in names)
    weights = [name for name, _ in wrapped.named_parameters() if "lora_" in name]
    assert len(weights) == 2 * len(names)


def test_the_vision_tower_is_not_matched_even_though_its_layers_have_the_same_names(tiny_loaded):
    model = tiny_loaded.model
    pattern = re.compile(lora_target_pattern(model))
    tower = [name for name, _ in model.get_vision_tower().named_modules(prefix="model.vision_tower")]
    assert any(re.search(r"layers\.\d+\.self_attn\.q_proj$", name) for name in tower)
    assert not any(pattern.fullmatch(name) for name in tower)


def test_fresh_lora_changes_no_answer_and_leaves_the_rest_frozen(tiny_loaded):
    model = copy.deepcopy(tiny_loaded.model)
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids).logits
    wrapped = add_lora(model, r=4, alpha=8, dropout=0.0)
    assert torch.allclose(wrapped(ids).logits, before, atol=1e-6)
    trained = {name for name, parameter in wrapped.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert without_lora(wrapped) is model
    assert without_lora(model) is model
