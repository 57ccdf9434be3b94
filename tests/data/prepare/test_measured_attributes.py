"""Attributes that are measured, and the sentences made of them: true, or left out."""

import itertools
import math

import pytest
from PIL import Image, ImageDraw

from mgimm_plugin.data.prepare.annotations import AnnotatedObject
from mgimm_plugin.data.prepare.attributes import measure
from mgimm_plugin.data.prepare.colors import dominant_color
from mgimm_plugin.data.prepare.phrases import image_description, referring_expressions, region_phrases

SIZE = 200


def thing(bbox, category="ship", polygon=None):
    return AnnotatedObject(source_id=str(bbox), bbox=bbox, category=category, polygon=polygon)


def measured(*objects, image=None, size=(SIZE, SIZE)):
    return measure(objects, *size, image)


def rectangle(middle, longer, shorter, degrees):
    """A rotated rectangle as an object with its outline and the box around it."""
    angle = math.radians(degrees)
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    points = tuple(
        tuple(middle[axis] + a * longer / 2 * along[axis] + b * shorter / 2 * across[axis] for axis in (0, 1))
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    xs, ys = zip(*points, strict=True)
    return thing((min(xs), min(ys), max(xs), max(ys)), polygon=points)


def circle(radius, points=24):
    angles = (2 * math.pi * number / points for number in range(points))
    outline = tuple((100 + radius * math.cos(angle), 100 + radius * math.sin(angle)) for angle in angles)
    return thing((100 - radius, 100 - radius, 100 + radius, 100 + radius), polygon=outline)


@pytest.mark.parametrize(
    ("degrees", "word"),
    [(0, "horizontal"), (15, "horizontal"), (170, "horizontal"), (90, "vertical"), (-80, "vertical"), (45, "diagonal"),
     (-45, "diagonal"), (135, "diagonal")],
)  # fmt: skip
def test_the_longer_side_of_an_outline_gives_the_orientation(degrees, word):
    (found,) = measured(rectangle((100, 100), 80, 20, degrees))
    assert (found["orientation"], found["shape"]) == (word, "elongated")


def test_an_upright_box_tells_no_more_than_it_can():
    (long,) = measured(thing((10, 10, 90, 30)))
    assert (long["shape"], long["orientation"]) == ("elongated", "horizontal")
    (square,) = measured(thing((10, 10, 50, 50)))
    assert not {"shape", "orientation"} & square.keys(), "an airplane's box is square, the airplane is not"
    (oriented,) = measured(rectangle((100, 100), 40, 38, 30))
    assert not {"shape", "orientation"} & oriented.keys(), "an oriented box of four points is a box, not an outline"


def test_a_true_outline_tells_the_shape():
    (found,) = measured(circle(40))
    assert found["shape"] == "round"
    square = ((10.0, 10.0), (30.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0))
    assert measured(thing((10, 10, 50, 50), polygon=square))[0]["shape"] == "square"
    oblong = ((10.0, 10.0), (30.0, 10.0), (70.0, 10.0), (70.0, 50.0), (10.0, 50.0))
    assert measured(thing((10, 10, 70, 50), polygon=oblong))[0]["shape"] == "rectangular"
    corner = ((10.0, 10.0), (50.0, 10.0), (50.0, 20.0), (20.0, 20.0), (20.0, 50.0), (10.0, 50.0))
    assert "shape" not in measured(thing((10, 10, 50, 50), polygon=corner))[0]


def test_an_object_that_the_image_cuts_has_no_shape():
    assert not {"shape", "orientation"} & measured(thing((0, 10, 90, 30)))[0].keys()
    assert "shape" in measured(thing((0, 10, 90, 30)), size=(None, None))[0], "where the image ends is not known"


def test_a_flat_outline_tells_nothing():
    flat = ((10.0, 10.0), (30.0, 10.0), (50.0, 10.0))
    assert measured(thing((10, 10, 50, 50), polygon=flat))[0].keys() == {"category", "size", "position"}


def test_without_a_size_there_is_no_size_and_no_position():
    assert measured(thing((10, 10, 50, 50)), size=(None, None))[0].keys() == {"category"}


def test_a_word_of_size_in_the_class_name_is_not_contradicted():
    assert "size" not in measured(thing((10, 10, 15, 15), "large-vehicle"))[0]


@pytest.mark.parametrize(
    ("neighbor", "relation"),
    [
        ((60, 10, 90, 30), "left of the harbor"),
        ((10, 50, 40, 70), "above the harbor"),
        ((32, 12, 60, 28), "left of the harbor"),
        ((20, 15, 60, 25), None),  # they overlap
        ((60, 60, 90, 90), None),  # neither beside nor below
        ((170, 10, 190, 30), None),  # far away
    ],
)
def test_relations_are_told_where_they_are_beyond_doubt(neighbor, relation):
    found = measured(thing((10, 10, 30, 30)), thing(neighbor, "harbor"))
    assert found[0].get("relation") == relation


def test_relations_name_the_nearest_neighbor_and_how_many_there_are():
    things = [
        thing((10, 10, 30, 30)),
        thing((40, 10, 60, 30), "dam"),
        thing((80, 10, 90, 30), "dam"),
        thing((10, 40, 30, 60)),
    ]
    found = measured(*things)
    assert [item["relation"] for item in found] == [
        "left of a dam", "right of a ship", "right of another dam", "below another ship",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("color", "word"),
    [((200, 44, 40), "red"), ((48, 88, 205), "blue"), ((52, 168, 76), "green"), ((238, 208, 52), "yellow"),
     ((240, 240, 238), "white"), ((34, 34, 38), "black"), ((236, 130, 36), "orange"), ((140, 142, 146), "gray"),
     ((132, 86, 50), "brown"), ((40, 60, 40), "green"), ((80, 82, 85), "gray"), ((170, 140, 110), "brown"),
     ((220, 200, 160), "beige")],
)  # fmt: skip
def test_colors_have_the_names_that_people_give_them(color, word):
    assert dominant_color(Image.new("RGB", (20, 20), color), (2, 2, 18, 18)) == word


def test_only_pixels_inside_the_outline_count():
    image = Image.new("RGB", (SIZE, SIZE), "green")
    item = rectangle((100, 100), 100, 20, 45)
    ImageDraw.Draw(image).polygon(item.polygon, fill="white")
    (found,) = measured(item, image=image)
    assert found["color"] == "white"
    assert dominant_color(image, (20, 120, 60, 160)) == "green"


def test_a_color_that_is_not_clear_is_not_told():
    image = Image.new("RGB", (40, 40), "red")
    image.paste("blue", (0, 0, 20, 40))
    (found,) = measured(thing((0, 0, 40, 40)), image=image, size=image.size)
    assert "color" not in found


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (0, 0, 1, 1), (0, 0, 0.4, 0.4), (39.5, 39.5, 60, 60)])
def test_regions_of_hardly_a_pixel_have_no_color_and_do_no_harm(box):
    assert dominant_color(Image.new("RGB", (40, 40), "red"), box) in (None, "red")
    assert dominant_color(Image.new("RGB", (40, 40), "red"), box, ((0, 0), (0.2, 0), (0, 0.2))) is None


ATTRIBUTES = {
    "category": "ship", "size": "large", "color": "orange", "shape": "elongated", "orientation": "diagonal",
    "position": "top left", "relation": "left of the harbor",
}  # fmt: skip


@pytest.mark.parametrize("count", range(len(ATTRIBUTES)))
def test_phrases_name_all_that_is_known_and_read_well(count):
    for names in itertools.combinations(list(ATTRIBUTES)[1:], count):
        known = {"category": "ship", **{name: ATTRIBUTES[name] for name in names}}
        for key in ("a", "b", "c"):
            for said in region_phrases(known, key):
                for name in set(names) - {"orientation", "relation"}:
                    assert known[name] in said
                assert "orientation" not in names or any(word in said for word in ("diagonal",))
                assert "harbor" not in said, "another object's class would count as a wrong one"
                assert not any(mark in said for mark in ("{", "[", "  ", " ,", " .", "a orange", "a elongated"))
                assert said[0].isupper()
                assert said.endswith(".")


def test_referring_expressions_hold_for_one_object_only():
    attributes = [
        {"category": "ship", "size": "small", "color": "red", "position": "top left"},
        {"category": "ship", "size": "small", "color": "blue", "position": "top left"},
        {"category": "dam", "size": "large", "position": "center", "relation": "left of a ship"},
        {"category": "car", "size": "small", "position": "center"},
        {"category": "car", "size": "small", "position": "center"},
        {"category": "van", "color": "red", "size": "small"},
        {"category": "van", "size": "small"},
    ]
    said = referring_expressions(attributes, [str(number) for number in range(len(attributes))])
    assert [bool(item) for item in said] == [True, True, True, False, False, False, False]
    assert "red" in said[0][0]
    assert "small" not in said[0][0], "as few words as tell it from the others"
    assert all("left of a ship" in text for text in said[2])


def test_a_description_counts_places_and_relates():
    attributes = [
        {"category": "harbor", "size": "large", "position": "center", "relation": "right of a ship"},
        *({"category": "ship", "size": "small", "position": place} for place in ["top left"] * 11 + ["center"]),
    ]
    said = image_description(attributes, "a")
    assert "12 ships and one harbor" in said
    assert "most of the ships" in said.lower()
    assert "top left" in said
    assert "right of a ship" in said
    assert len({image_description(attributes, str(number)) for number in range(20)}) > 5
