"""Formats tell records apart, and present them as the stage needs."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mgimm_plugin.data.formats import RecordFormat, format_of, get_format, register_format
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import MgimmError, RecordError


def make(*turns, regions=0, image="a.jpg"):
    return parse_record(
        {
            "id": "r",
            "image": image,
            "regions": [{"bbox": [i, 0, i + 1, 1]} for i in range(regions)],
            "conversations": [{"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(turns)],
        }
    )


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (make("<region>\nWhat?", "A ship.", regions=1), "region-instruction"),
        (make("<image>\n<region>\nWhat?", "A ship.", regions=1), "image-instruction"),
        (make("<image>\nWhat?", "A ship.", regions=3), "image-instruction"),
        (make("<image>\nWhat?", "A ship."), "image-instruction"),
        (make("What?\n<image>", "A ship."), "llava"),
        (make("Hello", "Hi", image=None), "llava"),
    ],
)
def test_the_format_is_told_by_the_content(record, name):
    assert format_of(record) is get_format(name)
    format_of(record).check(record)


def test_an_image_after_its_regions_is_an_error():
    record = make("<region>\n<image>\nWhat?", "A ship.", regions=1)
    with pytest.raises(RecordError, match="must start with <image>"):
        format_of(record).check(record)


def test_without_chance_a_record_is_presented_as_written():
    record = make("<image>\n<region><region>\nWhat?", "Ships.", regions=2)
    shown = format_of(record).present(record, None)
    assert shown.turns == record.conversations
    assert shown.region_indices == (0, 1)


@pytest.mark.parametrize("question", ["<image>\n<region><region><region>\nWhat?", "<image>\nWhat?"])
def test_every_subset_of_regions_in_every_order_is_shown_none_included(question):
    record = make(question, "Ships.", "More?", "No.", regions=3)
    seen = Counter()
    for seed in range(600):
        shown = format_of(record).present(record, np.random.default_rng(seed))
        seen[shown.region_indices] += 1
        tokens = "<region>" * len(shown.region_indices)
        expected = f"<image>\n{tokens}\nWhat?" if tokens else "<image>\nWhat?"
        assert shown.turns[0].value == expected
        assert shown.turns[1:] == record.conversations[1:]
    assert len(seen) == 1 + 3 + 6 + 6
    assert seen[()] > 100


@pytest.mark.parametrize(
    "turns",
    [
        ("<image>\n<region>\nWhat is beside <region>?", "A ship."),
        ("<image>\n<region>\nWhat?", "A ship.", "And <region>?", "A dam."),
        ("<image>\nCompare <region> and <region>.", "Ships."),
    ],
)
def test_a_conversation_about_its_regions_is_left_as_it_is(turns):
    record = make(*turns, regions=2)
    for seed in range(20):
        shown = format_of(record).present(record, np.random.default_rng(seed))
        assert shown.turns == record.conversations
        assert shown.region_indices == (0, 1)


def test_plain_records_get_their_image_first_as_in_llava():
    record = make("What is it?\n<image>", "A ship.")
    assert format_of(record).present(record, None).turns[0].value == "<image>\nWhat is it?"


def test_a_format_of_your_own_goes_before_the_built_in_ones(monkeypatch):
    monkeypatch.setattr("mgimm_plugin.data.formats._formats", dict.copy(vars_of_registry()))
    mine = RecordFormat("captions", matches=lambda record: record.extra.get("kind") == "caption")
    register_format(mine)
    register_format(mine)
    record = make("<image>\nWhat?", "A ship.")
    assert format_of(replace(record, extra={"kind": "caption"})) is mine
    assert format_of(record).name == "image-instruction"
    with pytest.raises(MgimmError, match="'captions' is registered already"):
        register_format(RecordFormat("captions", matches=lambda record: True))


def vars_of_registry():
    from mgimm_plugin.data import formats

    return formats._formats


def test_an_unknown_format_is_refused_with_those_that_exist():
    with pytest.raises(MgimmError, match=r"'coco'.*image-instruction, llava, region-instruction"):
        get_format("coco")
