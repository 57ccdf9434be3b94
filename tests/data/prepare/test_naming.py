"""Class names, numbers and articles as they stand in a sentence."""

import pytest

from mgimm_plugin.data.prepare.annotations import AnnotatedObject
from mgimm_plugin.data.prepare.attributes import measure
from mgimm_plugin.data.prepare.naming import category_words, counted, with_articles
from mgimm_plugin.data.prepare.phrases import image_description, region_phrases


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Expressway-Service-area", "expressway service area"),
        ("golffield", "golf field"),
        ("harbor", "harbor"),
        ("small-vehicle", "small vehicle"),
        ("ground-track-field", "ground track field"),
        ("SUV", "SUV"),
        ("swimmingPool", "swimming pool"),
        ("Long Vehicle", "long vehicle"),
        ("tennis_court", "tennis court"),
        ("--", "--"),
    ],
)
def test_class_names_become_words(written, words):
    assert category_words(written) == words


def test_numbers_plurals_and_articles():
    assert counted(1, "ship") == "one ship"
    assert counted(12, "ground track field") == "12 ground track fields"
    assert [counted(2, words) for words in ("bus", "ferry", "aircraft", "person", "bench")] == [
        "two buses", "two ferries", "two aircraft", "two people", "two benches",
    ]  # fmt: skip
    assert with_articles("A airplane and a U-shaped harbor, a one-way road, a orange unit") == (
        "An airplane and a U-shaped harbor, a one-way road, an orange unit"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A SUV, a UAV and a LNG tank", "An SUV, a UAV and an LNG tank"),
        ("a T junction, a L-shaped pier", "a T junction, an L-shaped pier"),
        ("A SHIP beside a AIRPLANE", "A SHIP beside an AIRPLANE"),
        ("A other ship, left of a other ship", "Another ship, left of another ship"),
        ("below another other ship, the other ship", "below another ship, the other ship"),
    ],
)
def test_articles_follow_what_is_spoken(text, expected):
    assert with_articles(text) == expected


@pytest.mark.parametrize(
    ("written", "one", "several", "answer"),
    [
        ("cars", "car", "cars", "A medium car in the left of the image."),
        ("Solar_panels", "solar panel", "solar panels", "A medium solar panel in the left of the image."),
        ("people", "person", "people", "A medium person in the left of the image."),
        ("other-ship", "other ship", "other ships", "Another medium ship in the left of the image."),
        ("SUV", "SUV", "SUVs", "A medium SUV in the left of the image."),
    ],
)
def test_sentences_about_objects_of_any_class_name_are_grammatical(written, one, several, answer):
    boxes = (10, 10, 30, 30), (10, 40, 30, 60)
    objects = [AnnotatedObject(source_id=str(box), bbox=box, category=written) for box in boxes]
    found = measure(objects, 100, 100)
    assert found[0]["category"] == one
    assert found[0]["relation"] == f"above another {one.removeprefix('other ')}"
    known = {"category": one, "size": "medium", "position": "left"}
    assert answer in {text for key in range(20) for text in region_phrases(known, str(key))}
    assert f"one {one}" in image_description(found[:1], "a")
    assert f"two {several}" in image_description(found, "a")


def test_an_object_of_an_abbreviated_class_has_the_article_of_its_letters():
    assert "An SUV." in region_phrases({"category": "SUV"}, "a")
    assert "Another ship." in region_phrases({"category": "other ship"}, "a")
