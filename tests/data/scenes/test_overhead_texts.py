import re
from collections.abc import Iterator

import numpy as np
import pytest

from mgimm_plugin.data.scenes import generate_scene
from mgimm_plugin.data.scenes.overhead.text.claims import check_scene
from mgimm_plugin.data.scenes.overhead.text.grammar import GRAMMARS, load_grammar, pattern_counts, read_data
from mgimm_plugin.data.scenes.overhead.text.lexicon import tokens_of
from mgimm_plugin.data.scenes.overhead.text.texts import texts
from mgimm_plugin.data.scenes.overhead.vocabulary import SETTINGS
from mgimm_plugin.data.scenes.scene import Scene, SceneTexts
from mgimm_plugin.evaluate.attributes import check_attributes, values_in, words_of
from tests.data.scenes.overhead_scenes import a_scene, an_object, every_word, random_scene


def say(scene: Scene, seed: int = 0) -> SceneTexts:
    return texts(scene, np.random.default_rng(seed))


def all_texts(said: SceneTexts) -> Iterator[str]:
    for group in (*said.regions, *said.referring, said.image):
        yield from group


def filled(skeleton: str) -> str:
    for slot, value in (("position", "center"), ("outline", "round"), ("be", "are")):
        skeleton = skeleton.replace(f"{{{slot}}}", value)
    return re.sub(r"\{\w+\}", ";", skeleton)


@pytest.mark.parametrize("start", range(0, 75, 25))
def test_every_text_read_back_is_true(start):
    for seed in range(start, start + 25):
        scene = random_scene(seed)
        assert check_scene(scene, say(scene, seed)) == []


def test_every_text_about_drawn_scenes_read_back_is_true():
    for index in range(30):
        scene = generate_scene(3, index, size=96)
        assert check_scene(scene, say(scene, index)) == []


def test_descriptions_of_regions_name_all_attributes_in_the_words_of_the_evaluation():
    words = every_word()
    for seed in range(30):
        scene = random_scene(seed)
        for item, descriptions in zip(scene.objects, say(scene).regions, strict=True):
            assert len(set(descriptions)) == 5
            for text in descriptions:
                assert all(check_attributes(text, item.attributes, words).values()), text


def test_no_category_has_a_word_of_another_attribute():
    """So that the words that a category uses up in an answer are never those of another attribute."""
    words = every_word()
    parts = {word for category in words.pop("category").values() for word in words_of(category)}
    assert not [part for part in parts for values in words.values() for value in values if part in value]


def test_no_word_of_an_attribute_is_used_for_anything_else():
    values = {key for by_name in every_word().values() for key in by_name}
    sections = ("relations", "its_sides", "superlatives", "farthest", "surfaces", "settings", "directions", "spans")
    data = read_data("words")
    phrases = [phrase for section in sections for said in data[section].values() for phrase in said]
    phrases += [
        phrase for by_surface in data["surfaces_of"].values() for said in by_surface.values() for phrase in said
    ]
    phrases += [*data["features"].values(), *data["numbers"]]
    phrases += [text for name in GRAMMARS for text in load_grammar(name).literals()]
    assert {phrase for phrase in phrases if values_in(phrase, values)} == set()


def test_the_reader_knows_every_word_of_the_grammars():
    for name in GRAMMARS:
        grammar = load_grammar(name)
        for start in grammar.starts:
            for skeleton in sorted(grammar.skeletons(start))[::29]:
                unknown = [token.text for token in tokens_of(filled(skeleton)) if token.kind == "unknown"]
                assert unknown == [], skeleton


def test_texts_are_written_correctly():
    for seed in range(30):
        scene = random_scene(seed)
        for text in all_texts(say(scene, seed)):
            assert not re.search(r"\b(\w+) \1\b|  | [.,;:]|[{}<>]", text), text
            assert not re.search(r"\b[Aa] (?:[aeio]|L-)", text), text
            assert not re.search(r"\b[Aa]n (?![aeio]|L-|ur|up)", text), text
            assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in text.split(". ")), text


def test_descriptions_have_three_to_eight_sentences_and_differ():
    for seed in range(30):
        image = say(random_scene(seed), seed).image
        assert len(set(image)) == 5
        for text in image:
            assert text.endswith(".")
            assert 3 <= text.count(".") <= 8, text


def test_the_same_source_of_chance_gives_the_same_texts_and_another_gives_others():
    scene = random_scene(1)
    assert say(scene, 5) == say(scene, 5)
    assert say(scene, 5) != say(scene, 6)


def test_objects_that_nothing_tells_apart_have_no_expressions_of_their_own():
    twins = [an_object("vehicle", (x, 10.0, x + 12.0, 20.0), "red", "rounded") for x in (10.0, 15.0)]
    scene = a_scene(*twins)
    said = say(scene)
    assert said.referring == [[], []]
    assert [len(group) for group in said.regions] == [5, 5]
    assert check_scene(scene, said) == []


@pytest.mark.parametrize("count", [1, 2, 12, 13, 40])
def test_scenes_with_any_number_of_objects_are_described(count):
    objects = [
        an_object("vehicle", (x, y, x + 10.0, y + 10.0), "red" if number % 3 else "blue")
        for number in range(count)
        for x, y in [(5.0 + 30 * (number % 7), 5.0 + 30 * (number // 7))]
    ]
    scene = a_scene(*objects)
    assert check_scene(scene, say(scene)) == []


def test_features_of_unknown_kinds_are_not_spoken_of():
    scene = a_scene(an_object("ship", (10, 10, 60, 60)), features=({"kind": "volcano", "direction": "diagonal"},))
    said = say(scene)
    assert "volcano" not in " ".join(said.image)
    assert check_scene(scene, said) == []


def test_every_setting_and_feature_is_spoken_of():
    features = read_data("words")["features"]
    for setting in SETTINGS:
        for kind, phrase in features.items():
            feature = {"kind": kind, "direction": "vertical"}
            scene = a_scene(an_object("ship", (10, 10, 60, 60)), setting=setting, features=(feature,))
            said = say(scene)
            assert check_scene(scene, said) == []
            if kind not in read_data("words")["obvious_features"].get(setting, ()):
                assert all(phrase in text.lower() for text in said.image)


def test_there_are_at_least_500_sentence_patterns():
    counts = pattern_counts()
    assert sum(counts.values()) >= 500
    assert sum(number for name, number in counts.items() if not name.startswith("region.")) >= 200
