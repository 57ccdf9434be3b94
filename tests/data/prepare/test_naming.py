"""Class names, numbers and articles as they stand in a sentence."""

import pytest

from mgimm_plugin.data.prepare.naming import category_words, counted, with_articles


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
