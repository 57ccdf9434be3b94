"""Sentence patterns kept as data: rules with alternatives, filled in from what is true of a scene.

A grammar is a JSON object::

    {"slots": ["color", "category"], "starts": ["region"],
     "rules": {"region": ["<thing>.", {"say": "This is <thing>.", "weight": 2}], "thing": ["a {color} {category}"]}}

``<name>`` stands for any alternative of that rule, ``{name}`` for a value. An alternative with a slot that has no value
is never chosen, so that a rule may speak of what only some objects have. "a" becomes "an" where the next word asks for
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import product
from random import Random
from typing import Any, Final, NoReturn

from mgimm_plugin.errors import RecordError

GRAMMARS: Final = ("region", "referring", "image")

_PART: Final = re.compile(r"<(\w+)>")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_VOWELS: Final = ("a", "e", "i", "o", "up", "ur", "L-")
"""How words begin that ask for "an"; "a U-shaped" and "a unique" do not."""
_HEAVIEST: Final = 20

Alternative = tuple[str, ...]
"""Literal texts with slots and, at odd places, names of rules."""

_Choices = dict[str, tuple[Alternative, ...]]


class Grammar:
    """Rules that expand to sentences.

    Args:
        value: The decoded JSON object.
        source: Where it is from, for errors.

    Raises:
        RecordError: It is not a grammar; the message names rule and alternative.
    """

    def __init__(self, value: object, source: object = None) -> None:
        self._source = source
        if not isinstance(value, dict) or set(value) != {"slots", "starts", "rules"}:
            self._fail("a grammar is a JSON object of slots, starts and rules")
        rules = value["rules"]
        if not isinstance(rules, dict) or not rules:
            self._fail("must be an object of rules and their alternatives", "rules")
        self.slots, self.starts = (frozenset(self._names(value, name)) for name in ("slots", "starts"))
        self._rules: _Choices = {name: self._alternatives(name, given) for name, given in rules.items()}
        self._check_names()
        self._in_order()  # fails where a rule contains itself
        self._available: dict[frozenset[str], _Choices] = {}

    def say(self, start: str, values: Mapping[str, str], rng: Random) -> str:
        """Expand a rule.

        Args:
            start: One of ``starts``.
            values: Values of slots; alternatives that need others are not chosen.
            rng: What chooses, every alternative of a rule as likely as its weight.

        Raises:
            RecordError: Every alternative needs a slot that has no value.
        """
        choices = self._choices(frozenset(values))
        if start not in choices:
            self._fail(f"cannot be said with only {', '.join(sorted(values)) or 'nothing'}", f"rules.{start}")
        return with_articles(_expand(start, choices, rng.random).format_map(values))

    def can_say(self, start: str, values: Mapping[str, str]) -> bool:
        """Whether some alternative of a rule needs no other slots than these."""
        return start in self._choices(frozenset(values))

    def skeletons(self, start: str) -> set[str]:
        """Every different sentence that a rule can become, its slots still open."""

        @cache
        def of(rule: str) -> tuple[str, ...]:
            found = {
                "".join(parts)
                for alternative in self._rules[rule]
                for parts in product(*(of(part) if odd % 2 else (part,) for odd, part in enumerate(alternative)))
            }
            return tuple(sorted(found))

        return set(of(start))

    def literals(self) -> set[str]:
        """Every text between slots, to check its words."""
        return {
            text
            for alternatives in self._rules.values()
            for alternative in alternatives
            for part in alternative[::2]
            for text in _SLOT.split(part)[::2]
        }

    def _choices(self, given: frozenset[str]) -> _Choices:
        """The rules without the alternatives that need other slots."""
        if given not in self._available:
            kept: _Choices = {}
            for rule in self._in_order():
                alternatives = tuple(
                    alternative
                    for alternative in self._rules[rule]
                    if set(_SLOT.findall("".join(alternative[::2]))) <= given
                    and all(part in kept for part in alternative[1::2])
                )
                if alternatives:
                    kept[rule] = alternatives
            self._available[given] = kept
        return self._available[given]

    def _in_order(self) -> list[str]:
        """The rules, each after those it is made of."""
        done: dict[str, None] = {}

        def visit(rule: str, path: tuple[str, ...]) -> None:
            if rule in path:
                self._fail(f"contains itself: {' > '.join((*path, rule))}", f"rules.{rule}")
            if rule not in done:
                for alternative in self._rules[rule]:
                    for part in alternative[1::2]:
                        visit(part, (*path, rule))
                done[rule] = None

        for rule in self._rules:
            visit(rule, ())
        return list(done)

    def _names(self, value: dict[str, Any], name: str) -> list[str]:
        names = value[name]
        if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
            self._fail("must be a list of names", name)
        return names

    def _alternatives(self, rule: str, given: object) -> tuple[Alternative, ...]:
        if not isinstance(given, list) or not given:
            self._fail("must be a list of alternatives, not empty", f"rules.{rule}")
        found: list[Alternative] = []
        for number, alternative in enumerate(given):
            where, weight = f"rules.{rule}[{number}]", 1
            if isinstance(alternative, dict) and set(alternative) == {"say", "weight"}:
                alternative, weight = alternative["say"], alternative["weight"]
            if not isinstance(alternative, str):
                self._fail("must be a text, or an object of say and weight", where)
            if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= _HEAVIEST:
                self._fail(f"weight must be a whole number from 1 to {_HEAVIEST}, not {weight!r}", where)
            if re.search(r"[<>{}]", _SLOT.sub("", _PART.sub("", alternative))):
                self._fail(f"has a bracket that belongs to no <rule> or {{slot}}: {alternative!r}", where)
            found += [tuple(_PART.split(alternative))] * weight
        return tuple(found)

    def _check_names(self) -> None:
        used, slots = set(self.starts), set[str]()
        for rule, alternatives in self._rules.items():
            for alternative in alternatives:
                for part in alternative[1::2]:
                    if part not in self._rules:
                        self._fail(f"speaks of a rule <{part}> that there is not", f"rules.{rule}")
                    used.add(part)
                for slot in _SLOT.findall("".join(alternative[::2])):
                    if slot not in self.slots:
                        self._fail(f"has a slot {{{slot}}} that is not among the slots", f"rules.{rule}")
                    slots.add(slot)
        for rule in sorted(self.starts - set(self._rules)):
            self._fail("is no rule", f"starts.{rule}")
        for rule in sorted(set(self._rules) - used):
            self._fail("is never used and no start", f"rules.{rule}")
        for slot in sorted(self.slots - slots):
            self._fail("is in no rule", f"slots.{slot}")

    def _fail(self, message: str, field: str | None = None) -> NoReturn:
        raise RecordError(message, file=self._source, field=field)


def _expand(rule: str, choices: _Choices, draw: Callable[[], float]) -> str:
    alternatives = choices[rule]
    alternative = alternatives[int(draw() * len(alternatives))]
    if len(alternative) == 1:
        return alternative[0]
    return "".join(
        [_expand(part, choices, draw) if number % 2 else part for number, part in enumerate(alternative) if part]
    )


def with_articles(text: str) -> str:
    """The text with "an" for "a" where the next word asks for it."""
    if text.startswith("A ") and text.startswith(_VOWELS, 2):
        text = f"An{text[1:]}"
    first, *more = f" {text}".split(" a ")
    for rest in more:
        first += f" an {rest}" if rest.startswith(_VOWELS) else f" a {rest}"
    return first[1:]


def capitalized(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def read_data(name: str) -> Any:
    """The decoded JSON of ``patterns/<name>.json``."""
    return json.loads((files("mgimm_plugin.data.scenes.overhead.text") / "patterns" / f"{name}.json").read_bytes())


@cache
def load_grammar(name: str) -> Grammar:
    """The bundled grammar of a name in ``GRAMMARS``."""
    return Grammar(read_data(name), f"{name}.json")


def pattern_counts() -> dict[str, int]:
    """How many different sentence patterns each start of each bundled grammar has: ``"region.region": 1200``."""
    return {f"{name}.{start}": len(load_grammar(name).skeletons(start)) for name, start in _all_starts()}


def _all_starts() -> Iterator[tuple[str, str]]:
    for name in GRAMMARS:
        for start in sorted(load_grammar(name).starts):
            yield name, start
