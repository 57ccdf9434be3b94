import itertools

import numpy as np
import pytest

from mgimm_plugin.errors import MgimmError
from scripts.study.statistics import bootstrap_means, difference, holm, paired_differences


def test_differences_are_paired_by_seed_and_image():
    first = {0: {"b": 0.5, "a": 1.0}, 1: {"a": 0.25, "b": 0.0}, 2: {"a": 9.0, "b": 9.0}}
    second = {1: {"a": 0.0, "b": 1.0}, 0: {"a": 0.5, "b": 0.5}}
    assert paired_differences(first, second).tolist() == [[0.5, 0.0], [0.25, -1.0]]


def test_other_images_and_no_common_seed_are_errors():
    with pytest.raises(MgimmError, match="same images"):
        paired_differences({0: {"a": 1.0}}, {0: {"b": 1.0}})
    with pytest.raises(MgimmError, match="seed in common"):
        paired_differences({0: {"a": 1.0}}, {1: {"a": 1.0}})


def test_the_bootstrap_has_the_distribution_of_all_draws_enumerated():
    values = np.array([[0.0, 1.0, 5.0], [2.0, -3.0, 4.0]])
    exact = [
        values[np.ix_(seeds, images)].mean()
        for seeds in itertools.product(range(2), repeat=2)
        for images in itertools.product(range(3), repeat=3)
    ]
    drawn = bootstrap_means(values, replicates=40_000)
    levels = np.linspace(0.05, 0.95, 19)
    assert set(np.round(drawn, 9)) == set(np.round(exact, 9))
    assert drawn.mean() == pytest.approx(np.mean(exact), abs=0.02)
    assert drawn.std() == pytest.approx(np.std(exact), rel=0.02)
    # At the steps of a distribution of few values a quantile may be on either side; the distribution function is not.
    points = np.quantile(exact, levels) + 1e-6
    shares = [(np.mean(drawn <= point), np.mean(np.array(exact) <= point)) for point in points]
    assert max(abs(ours - theirs) for ours, theirs in shares) < 0.01


def test_more_images_do_not_make_up_for_seeds_that_disagree():
    rng = np.random.default_rng(0)
    seeds_agree = 0.1 + rng.normal(0, 0.5, (3, 4000))
    seeds_differ = np.array([[-0.4], [0.1], [0.6]]) + rng.normal(0, 0.5, (3, 4000))
    agree, differ = difference(seeds_agree, replicates=2000), difference(seeds_differ, replicates=2000)
    assert agree.p < 0.01
    assert agree.has_one_sign
    assert differ.p > 0.1
    assert not differ.has_one_sign
    assert differ.high - differ.low > 10 * (agree.high - agree.low)


def test_seeds_that_answer_alike_are_no_more_evidence_than_one():
    one = np.random.default_rng(1).normal(0.05, 1, (1, 300))
    single, copied = difference(one), difference(np.repeat(one, 5, axis=0))
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.05)


def test_no_difference_at_all_has_a_p_value_of_one():
    found = difference(np.zeros((3, 10)), replicates=100)
    assert (found.mean, found.p, found.low, found.high) == (0, 1, 0, 0)
    assert not found.has_one_sign


def test_p_values_of_noise_are_below_a_level_about_as_often_as_the_level_says():
    rng = np.random.default_rng(2)
    p_values = [difference(rng.normal(0, 1, (1, 60)), replicates=400).p for _ in range(300)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.1


def test_holm_by_hand():
    # 3 x 0.01, then 2 x 0.03, then 0.04, which may not be below the one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
