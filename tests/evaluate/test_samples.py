"""A report shows the weakest answers of every kind, and an even spread of the others."""

import pytest

from mgimm_plugin.evaluate.samples import choose_samples


def test_samples_are_the_weakest_and_an_even_spread_of_the_others():
    rows = [{"index": i, "scores": {"METEOR": 0.0 if i in (10, 70) else 0.9}} for i in range(90)]
    weakest, spread = choose_samples(rows, 6)
    assert [row["index"] for row in weakest] == [10, 70]
    chosen = [row["index"] for row in spread]
    assert len(chosen) == 4
    assert chosen == sorted(set(chosen))
    assert max(chosen) - min(chosen) > 50


def test_few_records_are_all_shown():
    rows = [{"index": i} for i in range(5)]
    assert choose_samples(rows, 60) == ([], rows)


def test_answers_are_weak_among_their_own_kind():
    regions = [{"index": i, "correct": {"color": i != 7}, "scores": {"METEOR": 0.1}} for i in range(50)]
    images = [{"index": 50 + i, "scores": {"METEOR": 0.2 if i == 3 else 0.9}} for i in range(50)]
    weakest, _ = choose_samples([*regions, *images], 6)
    assert [row["index"] for row in weakest] == [7, 53]


@pytest.mark.parametrize("scores", [{}, {"scores": {"BLEU-4": 0.0}}])
def test_without_caption_scores_the_objects_tell(scores):
    right, wrong = {"named": ["ship", "ship"], "not_there": [], "missing": []}, {"named": ["ship"], "missing": []}
    rows = [{"index": i, "objects": right, **scores} for i in range(90)]
    rows[20]["objects"] = wrong | {"not_there": ["ship"]}
    rows[60]["objects"] = {"named": ["ship"], "not_there": [], "missing": ["bridge"]}
    weakest, _ = choose_samples(rows, 6)
    assert [row["index"] for row in weakest] == [20, 60]


def test_a_kind_of_few_answers_is_not_weak_for_that():
    rows = [{"index": i, "scores": {"METEOR": i / 90}} for i in range(90)]
    rows[89] = {"index": 89, "correct": {"color": True}}
    weakest, _ = choose_samples(rows, 6)
    assert [row["index"] for row in weakest] == [0, 1]
