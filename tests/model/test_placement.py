"""Models of which accelerate or a quantizer has changed parts."""

import json

import pytest
import torch
from accelerate import cpu_offload
from PIL import Image
from transformers import BitsAndBytesConfig

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.keys import adapter_tensors, copy_into
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.placement import keep_parts_together, sparing_parts
from mgimm_plugin.predictor import Predictor
from tests.model.checkpoint_tree import FULL, KINDS, LORA, answers, build_tree

BITS = {
    4: {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32, "bnb_4bit_quant_type": "nf4"},
    8: {"load_in_8bit": True},
}
CPU = {"": "cpu"}


@pytest.fixture(scope="module")
def wide_tree(tmp_path_factory):
    """Wide enough for blocks of 4 bits."""
    return build_tree(tmp_path_factory.mktemp("wide"), hidden_size=64, intermediate_size=128)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_quantized_model_answers_about_regions(wide_tree, kind, bits):
    pytest.importorskip("bitsandbytes")
    settings = BitsAndBytesConfig(**BITS[bits])
    folder = wide_tree.checkpoint(kind)
    loaded = load_model(folder, device="cpu", device_map=CPU, quantization_config=settings)
    exact = adapter_tensors(load_model(folder, device="cpu", merge=False).model)
    for name, tensor in adapter_tensors(loaded.model).items():
        if kind is not LORA:  # whose names are under PEFT's
            torch.testing.assert_close(tensor, exact[name])
    quantized = {type(module).__name__ for module in loaded.model.modules()}
    assert quantized & {"Linear4bit", "Linear8bitLt"}
    predictor = Predictor(loaded)
    predictor.set_image(Image.effect_noise((90, 60), 80).convert("RGB"))
    boxes = [(0, 0, 30, 30), (40, 10, 90, 60)]
    assert len(predictor.describe_regions(boxes, max_new_tokens=4)) == len(boxes)
    assert predictor.describe_image(boxes, max_new_tokens=4)


@pytest.mark.parametrize("settings", [{"load_in_8bit": True}, BitsAndBytesConfig(load_in_8bit=True)])
def test_region_parts_are_spared_however_the_settings_are_given(settings):
    skipped = sparing_parts(settings).llm_int8_skip_modules
    assert skipped == ["lm_head", "model.mm_projector", "model.region_encoder"]
    assert sparing_parts(None) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_accelerate_has_placed_says_the_same(checkpoint_tree, kind):
    parts = dict.fromkeys(("model.embed_tokens", "model.layers", "model.norm", "model.rotary_emb"), "cpu")
    parts |= dict.fromkeys(("model.mm_projector", "model.region_encoder", "model.vision_tower", "lm_head"), "cpu")
    tokenizer, model = load_model(checkpoint_tree.checkpoint(kind), device="cpu", device_map=parts)[:2]
    assert answers(model, tokenizer) == checkpoint_tree.answers[kind]


def test_parts_that_found_no_place_are_an_error_instead_of_wrong_answers(checkpoint_tree):
    model = load_model(checkpoint_tree.checkpoint(FULL), device="cpu").model
    cpu_offload(model.get_model().mm_projector, execution_device=torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"model\.mm_projector did not fit on the devices"):
        keep_parts_together(model)


def test_nothing_is_copied_where_it_would_be_lost():
    with pytest.raises(CheckpointError, match="weight was left off the devices"):
        copy_into("file", {"weight": torch.empty(2, device="meta")}, {"weight": torch.ones(2)})


def test_what_a_base_says_of_the_search_changes_no_answer(copied_tree):
    base = copied_tree.root / "bases" / "llm"
    usual = copied_tree.answers[LORA]
    words = {"bad_words_ids": [[token] for token in range(40, 90)], "max_length": 4096, "guidance_scale": 3.0}
    (base / "generation_config.json").write_text(json.dumps(words))
    tokenizer, model = load_model(copied_tree.checkpoint(LORA), device="cpu")[:2]
    assert answers(model, tokenizer) == usual
