"""Attributes count as right when they are named, alone, as whole words."""

import pytest

from mgimm_plugin.evaluate.attributes import attribute_metrics, check_attributes, values_in, vocabulary

REGIONS = [
    {"category": "storage tank", "color": "white", "shape": "round", "size": "small", "position": "top left"},
    {"category": "tank", "color": "red", "shape": "square", "size": "large", "position": "left"},
    {"category": "golffield", "color": "light-green", "size": "medium", "position": "bottom right"},
    {"category": "ship", "color": "green", "position": "center"},
]
WORDS = vocabulary(REGIONS)


def right(text, **attributes):
    return check_attributes(text, attributes, WORDS)


def test_a_description_that_names_everything_is_right_in_everything():
    marks = right("A small white round Storage Tank at the top left.", **REGIONS[0])
    assert marks == dict.fromkeys(["category", "color", "shape", "size", "position"], True)
    assert list(marks)[:3] == ["category", "color", "shape"]


@pytest.mark.parametrize("text", ["a storage tank", "a storage-tank", "a storagetank", "a STORAGE  TANK."])
def test_case_spaces_and_hyphens_do_not_matter(text):
    assert right(text, category="storage tank")["category"]
    assert right("a golf field", category="golffield")["category"]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a storage tank", "category", "tank"),
        ("at the top left", "position", "left"),
        ("a light green lawn", "color", "green"),
    ],
)
def test_a_longer_value_does_not_count_as_the_shorter_one_inside_it(text, name, value):
    assert not right(text, **{name: value})[name]


@pytest.mark.parametrize("text", ["many ships", "a shipyard", "friendship"])
def test_parts_of_words_do_not_count(text):
    assert not right(text, category="ship")["category"]


def test_a_value_of_any_number_of_words_is_found():
    long = "on the left side of the big picture"
    words = vocabulary([{"position": long}, {"position": "on the left side"}])
    for value, other in ((long, "on the left side"), ("on the left side", long)):
        assert check_attributes(f"A ship {value}.", {"position": value}, words)["position"]
        assert not check_attributes(f"A ship {other}.", {"position": value}, words)["position"]


def test_naming_every_value_is_not_an_answer():
    assert not right("a red or white ship", color="white")["color"]
    assert right("a white, very white ship", color="white")["color"]


def test_another_value_that_a_reference_names_too_does_not_count_against_an_answer():
    told = ["The ship on the left of the storage tank.", "A ship beside a storage tank."]
    for answer in (*told, "A ship."):
        assert check_attributes(answer, {"category": "ship"}, WORDS, told)["category"]
    for answer in ("The storage tank.", "The ship on the left of the tank.", "The ship, storage tank and golf field."):
        assert not check_attributes(answer, {"category": "ship"}, WORDS, told)["category"]
    assert not right(told[0], category="ship")["category"]


@pytest.mark.parametrize(
    ("text", "size", "is_right"),
    [
        ("A small vehicle.", "small", False),
        ("A small small vehicle.", "small", True),
        ("A large small-vehicle.", "large", True),
        ("A small vehicle at the top left of a large vehicle.", "small", False),
        ("A small white vehicle.", "small", True),
    ],
)
def test_words_that_name_a_category_name_no_other_attribute(text, size, is_right):
    words = vocabulary([{"category": "small-vehicle", "size": "small"}, {"category": "large-vehicle", "size": "large"}])
    truth = {"category": "small-vehicle", "size": size}
    assert check_attributes(text, truth, words)["size"] is is_right
    other = {"small": "large", "large": "small"}[size]
    assert not check_attributes(f"{other} {text}", truth, words, ["A large vehicle, a small vehicle."])["size"]


def test_words_beside_a_category_do_not_join():
    words = vocabulary([{"category": "ship", "position": "top left"}])
    assert not check_attributes("The top ship left.", {"position": "top left"}, words)["position"]


def test_saying_nothing_is_wrong_not_absent():
    assert right("", color="white", size="small") == {"color": False, "size": False}


def test_only_attributes_that_are_known_are_marked():
    assert right("a red ship", color="red", heading="north") == {"color": True}
    assert right("a red ship") == {}


def test_words_of_a_match_are_used_up():
    assert values_in("top left", {"top", "left", "topleft"}) == {"topleft"}
    assert values_in("left, at the top left", {"left", "topleft"}) == {"left", "topleft"}


def test_appearance_and_geometry_are_separate_means_over_records():
    marks = [
        {"category": True, "color": False, "size": True, "position": True},
        {"category": True},
        {},
        {"position": False},
    ]
    metrics = attribute_metrics(marks)
    assert metrics["appearance_accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert metrics["geometry_accuracy"] == pytest.approx((1 + 0) / 2)
    assert metrics["category_accuracy"] == 1
    assert metrics["color_accuracy"] == 0
    assert metrics["position_accuracy"] == 0.5
    assert metrics["records_with_attributes"] == 3
    assert "shape_accuracy" not in metrics


def test_no_attributes_no_metrics():
    assert attribute_metrics([{}, {}]) == {}
