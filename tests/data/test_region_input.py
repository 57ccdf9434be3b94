"""Regions as tokens, in words, or not at all."""

import pytest
import torch

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.data.prepare.readers.text_boxes import geochat_text
from mgimm_plugin.data.region_input import RegionInput, box_in_words
from mgimm_plugin.errors import RecordError

BOXES = torch.tensor([[0, 656, 32768, BOX_UNITS], [13107, 13107, 19660, 19661]])
REGION, GUIDED = "<region>\nDescribe the object.", "<image>\n<region><region>\nDescribe the image."


def test_a_box_in_words_is_in_hundredths_of_the_frame():
    assert [box_in_words(box) for box in BOXES.tolist()] == ["{<0><1><50><100>}", "{<20><20><30><30>}"]


def test_a_box_in_words_can_be_read_again():
    assert geochat_text(f"What is {box_in_words(BOXES[0].tolist())}?").with_tokens() == "What is <region>?"


def test_a_model_with_region_tokens_is_asked_as_the_record_asks():
    for encoder in ("interactive", "roi_align"):
        told = RegionInput(encoder)
        assert told.takes_boxes
        assert told.written(told.shown([REGION, "A tank."]), BOXES[:1]) == [REGION, "A tank."]


def test_in_words_the_image_is_shown_once_and_each_region_is_its_box():
    told = RegionInput("box_text")
    assert not told.takes_boxes
    first, second = "{<0><1><50><100>}", "{<20><20><30><30>}"
    asked = told.shown([REGION, "A tank.", "And <region>?", "A ship."])
    assert told.written(asked, BOXES) == [
        f"<image>\n{first}\nDescribe the object.",
        "A tank.",
        f"And {second}?",
        "A ship.",
    ]
    assert told.written(told.shown([GUIDED]), BOXES) == [f"<image>\n{first}{second}\nDescribe the image."]
    assert told.shown([REGION, "A tank.", GUIDED]) == [REGION, "A tank.", GUIDED]


def test_what_has_no_regions_is_the_same_for_every_model():
    for encoder in ("box_text", "none"):
        told = RegionInput(encoder)
        for text in ("<image>\nDescribe.", "Hello?"):
            assert told.written(told.shown([text]), BOXES[:0]) == [text]


def test_a_model_of_images_only_is_asked_without_regions_or_not_at_all():
    told = RegionInput("none")
    assert told.written(told.shown([GUIDED]), BOXES) == ["<image>\nDescribe the image."]
    with pytest.raises(RecordError, match=r"takes no regions \(mm_region_encoder none\)"):
        told.shown([REGION, "A tank."])
