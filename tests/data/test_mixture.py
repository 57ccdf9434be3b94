"""Weights, replay and order of several files."""

from collections import Counter

import pytest

from mgimm_plugin.data.mixture import DataSource, Mixture, replay_counts, weighted_counts
from mgimm_plugin.errors import MgimmError


def records_of(mixture, epoch, source=0):
    places = [mixture.locate(epoch, index) for index in range(len(mixture))]
    return [record for place, record in places if place == source]


def test_half_the_weight_is_one_half_now_and_the_other_next_time():
    mixture = Mixture([10], weighted_counts([10], [0.5]), seed=0)
    first, second = records_of(mixture, 0), records_of(mixture, 1)
    assert len(first) == len(second) == 5
    assert sorted(first + second) == list(range(10))
    third = records_of(mixture, 2)
    assert sorted(third + records_of(mixture, 3)) == list(range(10))
    assert third != first


def test_double_weight_is_every_record_twice():
    mixture = Mixture([4, 3], weighted_counts([4, 3], [2, 1]), seed=0)
    assert Counter(records_of(mixture, 5)) == dict.fromkeys(range(4), 2)
    assert records_of(mixture, 5, source=1) == [0, 1, 2]


@pytest.mark.parametrize("weight", [0.3, 0.7, 1.5, 2.25])
def test_no_record_comes_twice_more_often_than_another(weight):
    mixture = Mixture([7], weighted_counts([7], [weight]), seed=3)
    seen = Counter(record for epoch in range(11) for record in records_of(mixture, epoch))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_the_same_seed_epoch_and_index_is_the_same_record():
    def walk(seed):
        return [Mixture([50], [20], seed).locate(epoch, index) for epoch in range(3) for index in range(20)]

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_replay_makes_its_share_of_all_items():
    counts = replay_counts([100, 300], [1, 1], 900, 0.25)
    assert counts == [75, 225]
    assert sum(replay_counts([7, 11, 13], [1, 0.5, 2], 100, 1 / 3)) == 50
    assert replay_counts([], [], 900, 0.25) == []
    assert replay_counts([10], [1], 900, 0) == [0]


@pytest.mark.parametrize("fraction", [-0.1, 1, float("nan")])
def test_a_share_that_cannot_be_is_refused(fraction):
    with pytest.raises(MgimmError, match="region_replay_fraction"):
        replay_counts([10], [1], 10, fraction)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_is_refused(weight):
    with pytest.raises(MgimmError, match=r"a\.json: weight"):
        DataSource("a.json", weight)


def test_an_index_past_the_end_ends_iteration():
    for index in (5, -1):
        with pytest.raises(IndexError):
            Mixture([5], [5], 0).locate(0, index)
