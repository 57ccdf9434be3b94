from random import Random

import pytest

from mgimm_plugin.data.scenes.overhead.text.grammar import GRAMMARS, Grammar, load_grammar, with_articles
from mgimm_plugin.errors import RecordError

GOOD = {
    "slots": ["color", "category", "surface"],
    "starts": ["start"],
    "rules": {
        "start": ["<thing>.", {"say": "This is <thing>.", "weight": 3}, "<thing> {surface}."],
        "thing": ["a {color} {category}", "a {category}"],
    },
}


def test_alternatives_are_filled_in_as_often_as_their_weights_say():
    grammar, rng = Grammar(GOOD), Random(0)
    said = [grammar.say("start", {"category": "ship", "color": "orange"}, rng) for _ in range(2000)]
    assert set(said) == {"an orange ship.", "a ship.", "This is an orange ship.", "This is a ship."}
    assert 0.7 < sum(text.startswith("This") for text in said) / 2000 < 0.8


def test_what_needs_a_value_that_is_not_there_is_never_said():
    grammar = Grammar(GOOD)
    assert grammar.can_say("start", {"category": "ship"})
    assert not grammar.can_say("start", {"color": "red"})
    with pytest.raises(RecordError, match=r"rules.start: cannot be said with only color"):
        grammar.say("start", {"color": "red"}, Random(0))


def test_patterns_are_counted_once():
    assert Grammar(GOOD).skeletons("thing") == {"a {color} {category}", "a {category}"}
    assert len(Grammar(GOOD).skeletons("start")) == 6


def changed(**rules) -> dict:
    return {**GOOD, "rules": {**GOOD["rules"], **rules}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "a grammar is a JSON object"),
        ({**GOOD, "slots": "color"}, "slots: must be a list of names"),
        ({**GOOD, "starts": ["start", "end"]}, "starts.end: is no rule"),
        ({**GOOD, "rules": {}}, "rules: must be an object"),
        (changed(thing=[]), "rules.thing: must be a list of alternatives, not empty"),
        (changed(thing=[1]), r"rules.thing\[0\]: must be a text"),
        (changed(thing=["a", {"say": "b", "weight": 0}]), r"rules.thing\[1\]: weight must be a whole number"),
        (changed(thing=["<nothing>"]), "rules.thing: speaks of a rule <nothing>"),
        (changed(thing=["{size}"]), "rules.thing: has a slot {size}"),
        (changed(thing=["a {color"]), r"rules.thing\[0\]: has a bracket"),
        (changed(thing=["a <start> {color} {category}"]), "contains itself: start > thing > start"),
        (changed(other=["x"]), "rules.other: is never used"),
        ({**GOOD, "slots": [*GOOD["slots"], "size"]}, "slots.size: is in no rule"),
    ],
)
def test_what_is_wrong_with_a_grammar_is_said_with_its_place(value, message):
    with pytest.raises(RecordError, match=message):
        Grammar(value, "file.json")


def test_the_bundled_grammars_are_right():
    assert all(load_grammar(name).starts for name in GRAMMARS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A orange ship", "An orange ship"),
        ("A L-shaped harbor and a U-shaped one", "An L-shaped harbor and a U-shaped one"),
        ("a overpass beside a airport", "an overpass beside an airport"),
        ("This is a urban area", "This is an urban area"),
    ],
)
def test_articles_fit_the_next_word(text, expected):
    assert with_articles(text) == expected
