"""Models with each kind of region input: saved, loaded and asked like the paper's."""

import pytest
import torch
from PIL import Image

from mgimm_plugin.errors import CheckpointError, RecordError
from mgimm_plugin.model.folders import CheckpointKind
from mgimm_plugin.model.keys import adapter_tensors
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.lora import add_lora
from mgimm_plugin.model.regions.encoders import REGION_ENCODERS
from mgimm_plugin.model.saving import save_checkpoint
from mgimm_plugin.predictor import Predictor, Question
from mgimm_plugin.region_settings import RegionSettings
from tests.model.checkpoint_tree import scramble
from tests.tiny import build_loaded

SMALL = {"mm_region_mlp_dim": 32, "mm_region_heads": 4}
VARIANTS = {
    "roi_align": {"mm_region_encoder": "roi_align"},
    "interactive_roi": {"mm_region_encoder": "interactive_roi", "mm_region_tokens": 4},
    "one token": {"mm_region_tokens": 1},
    "four tokens": {"mm_region_tokens": 4, "mm_region_fourier_scale": 2.0},
    "no image update": {"mm_region_image_update": False, "mm_region_depth": 1},
    "box_text": {"mm_region_encoder": "box_text"},
    "none": {"mm_region_encoder": "none"},
}
BOXES = [(0, 0, 30, 30), (40, 10, 90, 60)]


def build(tiny_llm, tiny_tower, variant):
    return build_loaded(tiny_llm("llama"), tiny_tower, RegionSettings(**SMALL, **VARIANTS[variant]))


def picture():
    noise = torch.randint(0, 256, (60, 90, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    return Image.fromarray(noise.numpy())


def questions(variant):
    image = picture()
    guided = Question(image, "<image>\n<region><region>\nDescribe.", BOXES)
    regions = [Question(image, "<region>\nWhat is it?", [box]) for box in BOXES]
    return [guided] if variant == "none" else [guided, *regions]


@pytest.mark.parametrize(
    ("variant", "kind"),
    [
        *((variant, CheckpointKind.LORA) for variant in VARIANTS),
        ("interactive_roi", CheckpointKind.ADAPTER),
        ("none", CheckpointKind.ADAPTER),
        ("roi_align", CheckpointKind.FULL),
        ("box_text", CheckpointKind.FULL),
    ],
)
def test_a_checkpoint_loads_as_it_was_saved(tiny_llm, tiny_tower, tmp_path, variant, kind):
    loaded = build(tiny_llm, tiny_tower, variant)
    model = loaded.model
    scramble(model, "region_encoder", 0.3)
    if kind is CheckpointKind.LORA:
        model = add_lora(model, r=4, alpha=16, dropout=0.0)
        scramble(model, "lora_", 0.2)
    model.eval()
    asked = questions(variant)
    wanted = Predictor(loaded._replace(model=model)).answer(asked, max_new_tokens=6)
    save_checkpoint(model, loaded.tokenizer, tmp_path / "run", kind)
    again = load_model(tmp_path / "run", device="cpu")
    assert RegionSettings.of(again.model.config) == RegionSettings(**SMALL, **VARIANTS[variant])
    for name, tensor in adapter_tensors(loaded.model).items():
        assert torch.equal(adapter_tensors(again.model)[name], tensor), name
    assert Predictor(again).answer(asked, max_new_tokens=6) == wanted


@pytest.mark.parametrize("variant", ["roi_align", "interactive_roi", "four tokens"])
def test_over_a_bare_language_model_the_encoder_is_as_the_seed_makes_it(tiny_llm, tiny_tower, variant):
    settings = RegionSettings(**SMALL, **VARIANTS[variant])
    wanted = REGION_ENCODERS[settings.mm_region_encoder](32, settings).state_dict()
    made = build(tiny_llm, tiny_tower, variant).model.get_model().region_encoder.state_dict()
    assert made.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(made[name], tensor), name


def test_a_checkpoint_of_another_variant_is_refused(tiny_llm, tiny_tower, tmp_path):
    loaded = build(tiny_llm, tiny_tower, "four tokens")
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "run", CheckpointKind.ADAPTER)
    config = (tmp_path / "run" / "config.json").read_text()
    (tmp_path / "run" / "config.json").write_text(config.replace('"mm_region_tokens": 4', '"mm_region_tokens": 2'))
    with pytest.raises(CheckpointError, match=r"unexpected model\.region_encoder\.box_encoder\.query_embedding"):
        load_model(tmp_path / "run", device="cpu")


@pytest.mark.parametrize("variant", VARIANTS)
def test_batched_answers_are_those_of_one_at_a_time(tiny_llm, tiny_tower, variant):
    predictor = Predictor(build(tiny_llm, tiny_tower, variant))
    asked = [*questions(variant), Question(picture(), "<image>\nDescribe."), Question(None, "Hello?")]
    alone = [predictor.answer([question], max_new_tokens=6)[0] for question in asked]
    assert predictor.answer(asked, max_new_tokens=6) == alone


@pytest.mark.parametrize("variant", ["box_text", "four tokens"])
def test_what_a_region_is_asked_depends_on_its_box(tiny_llm, tiny_tower, variant):
    predictor = Predictor(build(tiny_llm, tiny_tower, variant))
    predictor.set_image(picture())
    first, second = predictor.describe_regions(BOXES, max_new_tokens=12)
    assert first != second


@pytest.mark.parametrize("as_path", [True, False])
def test_in_words_a_question_is_the_same_for_a_file_and_an_image(tiny_llm, tiny_tower, tmp_path, as_path):
    predictor = Predictor(build(tiny_llm, tiny_tower, "box_text"))
    picture().save(tmp_path / "a.png")
    image = tmp_path / "a.png" if as_path else predictor.encode_image(picture())
    asked = [Question(image, "<region>\nWhat is it?", [box]) for box in BOXES]
    assert predictor.answer(asked, max_new_tokens=6) == predictor.answer(questions("box_text")[1:], max_new_tokens=6)


def test_a_model_of_images_only_leaves_regions_out_and_refuses_questions_about_them(tiny_llm, tiny_tower):
    predictor = Predictor(build(tiny_llm, tiny_tower, "none"))
    predictor.set_image(picture())
    assert predictor.describe_image(BOXES, max_new_tokens=6) == predictor.describe_image(max_new_tokens=6)
    with pytest.raises(RecordError, match=r"takes no regions \(mm_region_encoder none\)"):
        predictor.describe_regions(BOXES)


@pytest.mark.parametrize("variant", ["box_text", "none"])
def test_boxes_given_to_a_model_that_takes_none_are_an_error(tiny_llm, tiny_tower, variant):
    model = build(tiny_llm, tiny_tower, variant).model
    features = torch.zeros(1, 16, 32)
    with pytest.raises(RecordError, match=f"mm_region_encoder {variant} takes none"):
        model.get_model().region_encoder(features, torch.tensor([[0, 0, 9, 9]]), torch.tensor([0]), (4, 4))
