"""Short expressions that are true of one object alone, in the manner of DIOR-RSVG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mgimm_plugin.data.scenes.overhead.text.grammar import load_grammar
from mgimm_plugin.data.scenes.overhead.text.relations import arguable
from mgimm_plugin.data.scenes.overhead.text.wording import Wording, one_of, words
from mgimm_plugin.data.wording import plural

Slots = dict[str, str]

_ROUNDS: Final = 3


def refer(wording: Wording, index: int, count: int) -> list[str]:
    """Up to ``count`` different expressions for an object; fewer, or none, where there are no more."""
    rng, grammar = wording.rng, load_grammar("referring")
    said: dict[str, None] = {}
    for _ in range(_ROUNDS):
        for form in sorted(_FORMS, key=lambda _: rng.random()):
            slots = _FORMS[form](wording, index)
            if slots is not None and grammar.can_say(form, slots):
                said[grammar.say(form, slots, rng)] = None
            if len(said) == count:
                return list(said)
    return list(said)


def _attribute(wording: Wording, index: int) -> Slots | None:
    item = wording.objects[index]
    for names in _some_ways(wording):
        if wording.is_told(index, names):
            return _with_surface(wording, index, {"noun": wording.noun(item, names)})
    return None


def _predicate(wording: Wording, index: int) -> Slots | None:
    item = wording.objects[index]
    if not wording.can_stand_alone(item):
        return None
    for names in _some_ways(wording):
        if names and wording.is_told(index, names):
            return {"category": item.category, "predicates": wording.said_of(item, names)}
    return None


def _position(wording: Wording, index: int) -> Slots | None:
    item = wording.objects[index]
    for names in _some_ways(wording):
        if wording.is_told(index, (*names, "position")):
            slots = {"noun": wording.noun(item, names), "position": item.position}
            return _with_surface(wording, index, slots)
    return None


def _relation(wording: Wording, index: int) -> Slots | None:
    """By what is beside it; "a red ship" is meant where "the" would be wrong."""
    relations = [relation for relation in wording.relations[index] if relation.object is not None]
    if not relations:
        return None
    rng, item = wording.rng, wording.objects[index]
    for _ in range(2):
        predicate, other = relations[int(rng.random() * len(relations))]
        if other is None:
            continue
        there = wording.objects[other]
        names = next(iter(_some_ways(wording)))
        meant = wording.mask(there, names)
        if meant >> index & 1:  # "a ship to the left of a ship" is hard to follow
            continue
        article = "the" if meant == 1 << other else "a"
        for its_names in wording.ways():
            if _tells(wording, index, wording.mask(item, its_names), predicate, meant):
                return {
                    "noun": wording.noun(item, its_names),
                    "relation": wording.relation(predicate),
                    "other": f"{article} {wording.noun(there, names)}",
                    "its_side": wording.its_side(predicate),
                }
    return None


def _tells(wording: Wording, index: int, alike: int, predicate: str, meant: int) -> bool:
    """Whether no other of the objects ``alike`` might be said to be ``predicate`` one of those that are meant."""
    boxes = [item.box for item in wording.objects]
    others = [number for number in range(len(boxes)) if meant >> number & 1]
    return not any(
        arguable(predicate, boxes[number], boxes[other])
        for number in range(len(boxes))
        if number != index and alike >> number & 1
        for other in others
        if other != number
    )


def _superlative(wording: Wording, index: int) -> Slots | None:
    item = wording.objects[index]
    for names in wording.ways():
        mask = wording.mask(item, names)
        ranks = [name for name, which in wording.extremes(mask).items() if which == index]
        ranks = [name for name in ranks if name not in ("largest", "smallest") or "size" not in names]
        if ranks:
            slots = {"noun": wording.noun(item, names)}
            slots["superlative"] = one_of(words()["superlatives"][one_of(ranks, wording.rng)], wording.rng)
            if not names:
                slots["everyone"] = slots["plural"] = plural(item.category)
                if mask.bit_count() > 2:
                    slots["many"] = wording.number(mask.bit_count())
            return slots
    return None


def _farthest(wording: Wording, index: int) -> Slots | None:
    item = wording.objects[index]
    for names in wording.ways():
        if "size" not in names or len(names) < 2:
            extremes = wording.extremes(wording.mask(item, names))
            ranks = [name for name in words()["farthest"] if extremes.get(name) == index]
            if ranks:
                farthest = one_of(words()["farthest"][one_of(ranks, wording.rng)], wording.rng)
                return {"noun": wording.noun(item, names), "farthest": farthest}
    return None


def _only(wording: Wording, index: int) -> Slots | None:
    names = wording.names_of(index)
    if not wording.is_told(index, names):
        return None
    return {"noun": wording.noun(wording.objects[index], names), "only": "only"}


def _some_ways(wording: Wording) -> list[tuple[str, ...]]:
    """Sets of attributes, at times a larger one than is needed first."""
    ways = wording.ways()
    start = int(wording.rng.random() * len(ways))
    return [*ways[start:], *ways[:start]]


def _with_surface(wording: Wording, index: int, slots: Slots) -> Slots:
    surface = wording.surface(wording.objects[index])
    return slots if surface is None else {**slots, "surface": surface}


_FORMS: Final[dict[str, Callable[[Wording, int], Slots | None]]] = {
    "attribute": _attribute,
    "predicate": _predicate,
    "position": _position,
    "relation": _relation,
    "superlative": _superlative,
    "farthest": _farthest,
    "only": _only,
}
