import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgimm_plugin.data.scenes.overhead.text.relations import (
    INVERSE,
    Relation,
    arguable,
    clear,
    extremes,
    relations_json,
    relations_of,
)
from tests.data.scenes.overhead_scenes import SIZE, an_object, random_scene

HERE = an_object("ship", (100, 100, 120, 120))


def ship(x: float, y: float, side: float = 20, **more) -> object:
    return an_object("ship", (x, y, x + side, y + side), **more)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (ship(160, 100), ["left of"]),
        (ship(40, 105), ["right of"]),
        (ship(95, 160), ["above"]),
        (ship(100, 30), ["below"]),
        (ship(126, 100), ["left of", "next to"]),
        (ship(160, 150), []),  # to the right and below
        (ship(110, 100), []),  # across it
        (ship(160, 132), []),  # neither beside nor below
    ],
)
def test_only_what_is_clear_is_a_relation(other, expected):
    assert clear(HERE, other, SIZE) == expected
    assert clear(other, HERE, SIZE) == [INVERSE[predicate] for predicate in expected]


def test_neighbors_are_near_by_their_outlines_too():
    corner = ((100.0, 100.0), (140.0, 100.0), (100.0, 140.0))
    one = an_object("ship", (100, 100, 140, 140))
    other = ship(142, 122, 18)
    assert clear(one, other, SIZE) == ["left of", "next to"]
    triangle = type(one)(**{**vars(one), "polygon": corner})
    square = type(one)(**{**vars(other), "polygon": ((142.0, 122.0), (160.0, 122.0), (160.0, 140.0), (142.0, 140.0))})
    assert clear(triangle, square, SIZE) == ["left of"]


@given(st.integers(0, 300))
def test_relations_have_their_inverses_and_are_arguable_themselves(seed):
    objects = random_scene(seed).objects
    relations = relations_of(objects, SIZE)
    for index, found in enumerate(relations):
        for predicate, other in found:
            if other is not None:
                assert Relation(INVERSE[predicate], index) in relations[other]
                assert arguable(predicate, objects[index].box, objects[other].box)
                if predicate != "next to":
                    assert not arguable(INVERSE[predicate], objects[index].box, objects[other].box)


def test_the_largest_is_clearly_so():
    sides = [20, 22, 40]
    objects = [ship(10 + 60 * number, 10, side) for number, side in enumerate(sides)]
    assert extremes(objects, [0, 1, 2], SIZE) == {"largest": 2, "leftmost": 0, "rightmost": 2}
    assert "largest" not in extremes(objects, [0, 1], SIZE)
    assert extremes(objects, [0], SIZE) == {}


def test_a_thin_diagonal_thing_is_not_the_largest_by_its_box():
    thin = ((10.0, 10.0), (60.0, 55.0), (60.0, 60.0))
    one = type(HERE)(**{**vars(an_object("ship", (10, 10, 60, 60))), "polygon": thin})
    assert "largest" not in extremes([one, ship(100, 10, 30)], [0, 1], SIZE)


def test_extremes_are_those_of_a_category():
    objects = [ship(10, 100), ship(100, 100), an_object("harbor", (150, 100, 210, 160))]
    relations = relations_of(objects, SIZE)
    assert Relation("rightmost") in relations[1]
    assert all(relation.object is not None for relation in relations[2])


def test_relations_as_json():
    found = relations_json([ship(10, 100), ship(100, 100)], SIZE)
    assert found[0] == [{"predicate": "left of", "object": 1}, {"predicate": "leftmost"}]


def test_relations_do_not_depend_on_the_size_of_the_picture():
    for seed in range(20):
        objects = random_scene(seed).objects
        factor = random.Random(seed).uniform(0.5, 4)
        scaled = [type(item)(**{**vars(item), "box": tuple(factor * value for value in item.box)}) for item in objects]
        assert relations_of(scaled, SIZE * factor) == relations_of(objects, SIZE)
