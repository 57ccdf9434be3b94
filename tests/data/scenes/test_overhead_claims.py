import random
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgimm_plugin.data.measures import SIZES
from mgimm_plugin.data.scenes.overhead.text.claims import (
    image_contradictions,
    named_objects,
    referring_contradictions,
    region_contradictions,
    unmentioned,
)
from mgimm_plugin.data.scenes.overhead.text.grammar import read_data
from mgimm_plugin.data.scenes.overhead.text.lexicon import POSITION_WORDS
from mgimm_plugin.data.scenes.overhead.text.reading import read
from mgimm_plugin.data.scenes.overhead.text.texts import texts
from mgimm_plugin.data.scenes.overhead.text.truth import Truth
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, SETTINGS, SHAPES
from mgimm_plugin.data.scenes.scene import Scene
from mgimm_plugin.data.wording import plural
from tests.data.scenes.overhead_scenes import a_scene, an_object, random_scene

Check = Callable[[str], list[str]]

RED = an_object("ship", (10.0, 10.0, 60.0, 60.0), "red", "pointed", surface="water")
BLUE = an_object("ship", (100.0, 12.0, 140.0, 52.0), "blue", "rounded", surface="water")
TANK = an_object("storage tank", (160.0, 160.0, 215.0, 215.0), "white", "round", surface="pavement")
SCENE = a_scene(RED, BLUE, TANK, features=({"kind": "river", "direction": "diagonal"},))
TRUTH = Truth(SCENE)
GOOD = "The image shows a port. There are two ships and one storage tank."

NUMBERS = read_data("words")["numbers"]
OPPOSITES = [("to the left of", "to the right of"), ("to its left", "to its right"), ("above", "below")]
OPPOSITES += [("largest", "smallest"), ("leftmost", "rightmost"), ("topmost", "bottommost"), ("uppermost", "lowermost")]


def checked_texts(seed: int) -> Iterator[tuple[Scene, str, Check]]:
    """Every text about a scene with what checks it."""
    scene = random_scene(seed)
    said = texts(scene, np.random.default_rng(seed))
    for about in range(len(scene.objects)):
        for text in said.regions[about]:
            yield scene, text, lambda new, about=about: region_contradictions(read(new), Truth(scene), about)
        for text in said.referring[about]:
            yield scene, text, lambda new, about=about: referring_contradictions(read(new), Truth(scene), about)
    for text in said.image:
        yield scene, text, lambda new: image_contradictions(read(new), Truth(scene))


def swapped(text: str, old: tuple[str, ...], new: tuple[str, ...], rng: random.Random) -> str | None:
    """The text with one of the words of ``old`` replaced by one of ``new``; None where there is none or nothing new."""
    choices = "|".join(re.escape(word) for word in sorted(old, key=len, reverse=True))
    places = list(re.finditer(rf"(?<![\w-])(?:{choices})(?![\w]|-[a-z]*(?:winged|ended|shaped|deck|runway))", text))
    if not places or not new:
        return None
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(new) + text[place.end() :]


def attribute_values(name: str) -> tuple[str, ...]:
    return {"color": tuple(COLORS), "shape": SHAPES, "size": SIZES, "position": POSITION_WORDS}[name]


@pytest.mark.parametrize("name", ["color", "shape", "size", "position"])
def test_a_value_that_no_object_of_the_scene_has_is_caught(name):
    rng = random.Random(name)
    tried = 0
    for seed in range(12):
        for scene, text, check in checked_texts(seed):
            there = {getattr(item, name) for item in scene.objects}
            absent = tuple(word for word in attribute_values(name) if word not in there)
            wrong = swapped(text, tuple(there), absent, rng)
            if wrong is not None:
                tried += 1
                assert check(wrong), wrong
    assert tried > 200


def test_another_category_is_caught():
    rng = random.Random(1)
    tried = 0
    for seed in range(12):
        for scene, text, check in checked_texts(seed):
            there = {item.category for item in scene.objects}
            absent = tuple(category for category in CATEGORIES if category not in there)
            for form in (str, plural):
                wrong = swapped(text, tuple(map(form, there)), tuple(map(form, absent)), rng)
                if wrong is not None:
                    tried += 1
                    assert check(wrong), wrong
    assert tried > 200


def test_another_number_is_caught():
    rng = random.Random(2)
    tried = 0
    for seed in range(12):
        for _, text, check in checked_texts(seed):
            for number in range(2, 10):
                wrong = swapped(text, (NUMBERS[number],), (NUMBERS[number + rng.choice((-1, 1))],), rng)
                if wrong is not None:
                    tried += 1
                    assert check(wrong), wrong
    assert tried > 100


def test_the_opposite_relation_is_caught():
    rng = random.Random(3)
    tried = 0
    for seed in range(20):
        for _, text, check in checked_texts(seed):
            if re.search(r"\banother\b|[a-z] an? (?!.*\.)|with an? ", text):
                continue  # "to the left of another" may be as true as "to the right of another"
            for one, other in (*OPPOSITES, *((b, a) for a, b in OPPOSITES)):
                wrong = swapped(text, (one,), (other,), rng)
                if wrong is not None:
                    tried += 1
                    assert check(wrong), wrong
    assert tried > 100


def test_another_setting_is_caught():
    phrases = read_data("words")["settings"]
    for seed in range(10):
        scene = random_scene(seed)
        wrong_settings = [setting for setting in SETTINGS if setting != scene.setting]
        for text in texts(scene, np.random.default_rng(seed)).image:
            for phrase in sorted(phrases[scene.setting], key=len, reverse=True):
                if phrase in text:
                    wrong = text.replace(phrase, phrases[wrong_settings[seed % 7]][0])
                    assert image_contradictions(read(wrong), Truth(scene)), wrong
                    break


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A red pointed ship in the top left.", "does not name its size"),
        ("A small red pointed ship in the top left.", "size is medium, not small"),
        ("A medium-sized red pointed ship in the top left, jolly big.", "not understood: 'jolly'"),
        ("A medium-sized red pointed ship in the top left, to the left of.", "something is missing"),
        ("A medium-sized red pointed ship in the top left. It is seen here.", "nothing is said"),
        ("A medium-sized red pointed ship in the top left, on the road.", "stands on water, not road"),
        ("A medium-sized red pointed ship in the top left, below another ship.", "not clearly below"),
        ("A medium-sized red pointed ship in the top left, the rightmost of the ships.", "not clearly the rightmost"),
        ("A medium-sized red pointed ship in the top left, one of three ships.", "there are 2"),
        ("A medium-sized red pointed ship in the top left, the only ship in the image.", "not the only one"),
        ("A medium-sized red blue pointed ship in the top left.", "contradicts itself"),
        ("Two medium-sized red pointed ships in the top left.", "is not one"),
        ("A medium-sized red pointed ships in the top left.", "does not agree in number"),
    ],
)
def test_descriptions_of_a_region_that_are_wrong(text, problem):
    assert any(problem in found for found in region_contradictions(read(text), TRUTH, 0))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A ship", "may also be object 1"),
        ("The ship in the top middle", "position is top left, not top middle"),
        ("The ship above the storage tank", "not clearly above"),
        ("The ship to the left of the ship", "may be 2 objects"),
        ("The only ship", "not the only one"),
        ("The red ship and the blue ship", "names 2 objects"),
        ("The smallest ship", "not clearly the smallest"),
    ],
)
def test_expressions_that_do_not_fit_one_object_alone(text, problem):
    assert any(problem in found for found in referring_contradictions(read(text), TRUTH, 0))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("The image shows a city. There are two ships and one storage tank.", "which is port"),
        ("The image shows a port. There are two ships.", "does not say that there are 1 of storage tank"),
        ("The image shows a port. There are two ships and two storage tanks.", "there are 1"),
        (f"{GOOD} A lake can be seen.", "no  lake"),
        (f"{GOOD} A river runs vertically.", "no vertical river"),
        (f"{GOOD} Two ships lie in the top left.", "there are 1"),
        (f"{GOOD} A red ship lies in the top left and a red ship in the top left.", "is no object of its own"),
        (f"{GOOD} The two ships are a red one in the center and a blue one in the top middle.", "there is no"),
        (f"{GOOD} There are two ships: a red one.", "are followed by 1"),
        (f"{GOOD} A blue pointed ship lies in the top left and a red rounded one in the top middle.", "there is no"),
        (f"{GOOD} The red ship lies to the right of the blue ship.", "not clearly right of"),
        (f"{GOOD} The ship lies in the top left.", "there are 2"),
        (f"{GOOD} The leftmost ship is blue.", "color is red, not blue"),
        (f"{GOOD} Two of the ships are red.", "there are 1"),
        (f"{GOOD} The two ships lie in the top left.", "not all of"),
        (f"{GOOD} Two ships lie on the road.", "there are 0"),
        (f"{GOOD} The ships are above the storage tank.", "not all of"),
        (f"{GOOD} The ships are a white round storage tank.", "is none of"),
        (f"{GOOD} The vehicles are red.", "there are none"),
    ],
)
def test_descriptions_of_a_scene_that_are_wrong(text, problem):
    assert image_contradictions(read(GOOD), TRUTH) == []
    assert any(problem in found for found in image_contradictions(read(text), TRUTH))


@pytest.mark.parametrize(
    "text",
    [
        "An aerial view of a port with a river. One sees one storage tank and two ships.",
        f"{GOOD} Of the two ships, one is red and lies in the top left, and the other is blue.",
        f"{GOOD} To the left of the blue ship lies a red ship.",
        f"{GOOD} In the top left there is a red ship, and in the top middle a blue one.",
        f"{GOOD} The red ship has the blue ship to its right.",
        f"{GOOD} The largest of the ships is red; it lies in the top left.",
        f"{GOOD} One of the ships is red.",
    ],
)
def test_true_descriptions_in_other_words_are_understood(text):
    assert image_contradictions(read(text), TRUTH) == []


def test_objects_that_a_description_leaves_out_are_found():
    assert unmentioned(read(f"{GOOD} A red ship lies in the top left."), TRUTH) == [1, 2]


def test_objects_named_in_free_text():
    found = named_objects(
        "Wow: Three white StorageTanks near a tiny harbor, and ships! A small red ship sits top left."
    )
    assert [(item.category, item.number) for item in found] == [
        ("storage tank", 3), ("harbor", 1), ("ship", None), ("ship", 1)
    ]  # fmt: skip
    assert found[0].attributes == {"color": "white"}
    assert found[3].attributes == {"size": "small", "color": "red", "position": "top left"}


WORDS = st.sampled_from([
    "a", "the", "three", "one", "ones", "of", "of all", "red", "ship", "ships", "object", "largest", "in the top left",
    ",", ".", ":", ";", "and", "is", "has", "with", "it", "them", "above", "to its left", "outline", "another", "only",
    "a port", "a river", "diagonally", "on the water", "farthest up", "xyz",
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=25).map(" ".join)))
def test_any_text_can_be_read_and_checked(text):
    named_objects(text)
    claims = read(text)
    assert image_contradictions(claims, TRUTH)
    region_contradictions(claims, TRUTH, 0)
    referring_contradictions(claims, TRUTH, 2)
