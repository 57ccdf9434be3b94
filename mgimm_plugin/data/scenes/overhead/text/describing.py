"""Descriptions of a whole scene in three to eight sentences, in the manner of DIOR-IDD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mgimm_plugin.data.scenes.overhead.text.grammar import capitalized, load_grammar
from mgimm_plugin.data.scenes.overhead.text.wording import APPEARANCE, Wording, one_of, words
from mgimm_plugin.data.wording import joined, plural

MOST_OBJECTS: Final = 12
"""Of more objects than these, the first are described, and the others only counted."""

_MOST_SENTENCES: Final = 8
_FEATURES: Final = 3


def describe(wording: Wording, *, brief: bool) -> str:
    """A description: the place, what there is, how many, then the objects and how they lie.

    Args:
        wording: The scene.
        brief: Whether to leave out an attribute of each object here and there.
    """
    return _Description(wording, brief).text()


class _Description:
    """One description in the making."""

    def __init__(self, wording: Wording, brief: bool) -> None:
        self.wording, self.rng, self.brief = wording, wording.rng, brief
        self.grammar = load_grammar("image")
        self.described = list(range(min(len(wording.objects), MOST_OBJECTS)))

    def text(self) -> str:
        sentences = [*self.place(), self.counts()]
        extra = [sentence for sentence in (self.relation(), self.superlative()) if sentence is not None]
        extra = extra[: int(self.rng.random() * 3)]
        ways = [self.by_order, self.by_cell]
        if len(self.described) == len(self.wording.objects):
            ways += [self.by_category] * (2 if len(self.wording.members) < len(self.described) else 0)
        parts = ways[int(self.rng.random() * len(ways))]()
        sentences += _fitted(parts, _MOST_SENTENCES - len(sentences) - len(extra))
        return " ".join(f"{capitalized(sentence)}." for sentence in [*sentences, *extra])

    def say(self, start: str, **slots: str) -> str:
        return self.grammar.say(start, slots, self.rng)

    # The place

    def place(self) -> list[str]:
        """The setting and its features, in one to two sentences."""
        setting = one_of(words()["settings"][self.wording.scene.setting], self.rng)
        known = words()["features"]
        obvious = words()["obvious_features"].get(self.wording.scene.setting, ())
        features = [
            feature
            for feature in self.wording.scene.facts.get("features", [])
            if feature["kind"] in known and (feature["kind"] not in obvious or self.rng.random() < 0.25)
        ]
        lines = [feature for feature in features if feature.get("direction") is not None]
        line = lines[int(self.rng.random() * len(lines))] if lines and self.rng.random() < 0.6 else None
        kinds = list(dict.fromkeys(feature["kind"] for feature in features))
        kinds = [kind for kind in kinds if line is None or kind != line["kind"]][:_FEATURES]
        said = joined([known[kind] for kind in kinds]) if kinds else ""
        if kinds and (line is not None or self.rng.random() < 0.6):
            sentences = [self.say("setting_features", setting=setting, features=said)]
        else:
            sentences = [self.say("setting", setting=setting)]
            if kinds and line is None:
                is_one = len(kinds) == 1 and not self.is_plural(kinds[0])
                sentences.append(self.say("features", features=said, be="is" if is_one else "are"))
        if line is not None:
            number = "feature_plural" if self.is_plural(line["kind"]) else "feature"
            direction, span = (one_of(words()[name][line["direction"]], self.rng) for name in ("directions", "spans"))
            slots = {number: known[line["kind"]], "direction": direction, "span": span}
            sentences.append(self.say("line_feature", **slots))
        return sentences

    def is_plural(self, feature: str) -> bool:
        return feature in words()["plural_features"]

    def counts(self) -> str:
        members = sorted(self.wording.members.items(), key=lambda item: -len(item[1]))
        total = len(self.wording.objects)
        parts = [self.counted(category, len(indices)) for category, indices in members]
        slots = {"counts": joined(parts), "be": "is" if len(members[0][1]) == 1 else "are"}
        if len(members) > 1:
            slots["total"] = self.wording.number(total)
        return self.say("counts", **slots)

    def counted(self, category: str, count: int) -> str:
        return f"{self.wording.number(count)} {plural(category) if count > 1 else category}"

    # The objects

    def names(self) -> tuple[str, ...]:
        """Which attributes of appearance are named of the next object."""
        if not self.brief:
            return APPEARANCE
        without = int(self.rng.random() * 4)
        return tuple(name for number, name in enumerate(APPEARANCE) if number != without)

    def by_category(self) -> list[str]:
        """The categories one by one; those with one object together at the end."""
        said, alone = [], []
        for category, indices in self.wording.members.items():
            if len(indices) == 1:
                alone += indices
            else:
                said.append(self.group(category, indices))
        return said + self.clauses(alone)

    def group(self, category: str, indices: Sequence[int]) -> str:
        objects = [self.wording.objects[index] for index in indices]
        slots = {"number": self.wording.number(len(objects)), "plural": plural(category)}
        if len({item.position for item in objects}) == 1 and self.rng.random() < 0.8:
            items = [self.say("item_here", one=self.wording.one(item, self.names())) for item in objects]
            return self.say("group_here", **slots, position=objects[0].position, items=joined(items))
        if self.rng.random() < 0.35:
            return self.say("of_them_all", **slots, clauses=self.of_them(indices))
        items = [self.say("item", one=self.wording.one(item, self.names()), position=item.position) for item in objects]
        return self.say("group", **slots, items=joined(items))

    def of_them(self, indices: Sequence[int]) -> str:
        said = []
        for number, index in enumerate(indices):
            item, names = self.wording.objects[index], self.names()
            slots = {"one": self.wording.one(item, names), "position": item.position}
            slots["another"] = "the other" if len(indices) == 2 else "another"
            if self.wording.can_stand_alone(item):
                slots["adjectives"] = self.wording.said_of(item, names)
            said.append(self.say("of_them_next" if number else "of_them", **slots))
        return f"{', '.join(said[:-1])}, and {said[-1]}"

    def by_cell(self) -> list[str]:
        """What is in each place."""
        cells: dict[str, list[str]] = {}
        for index in self.described:
            item = self.wording.objects[index]
            cells.setdefault(item.position, []).append(f"a {self.wording.noun(item, self.names())}")
        return [
            self.say("cell", position=position, list=joined(things), be="is" if len(things) == 1 else "are")
            for position, things in cells.items()
        ]

    def by_order(self) -> list[str]:
        """One after the other, two or three in a sentence."""
        return self.clauses(self.described)

    def clauses(self, indices: Sequence[int]) -> list[str]:
        """Sentences on one to three places each."""
        sentences = []
        cells = _runs([self.wording.objects[index].position for index in indices], indices)
        at = 0
        while at < len(cells):
            count = 1 + int(self.rng.random() * 3)
            sentences.append(self.clause(cells[at : at + count]))
            at += count
        return sentences

    def clause(self, cells: Sequence[Sequence[int]]) -> str:
        start = "place_last" if self.rng.random() < 0.6 else "place_first"
        said = []
        for number, indices in enumerate(cells):
            objects = [self.wording.objects[index] for index in indices]
            things = joined([f"a {self.wording.noun(item, self.names())}" for item in objects])
            slots = {"any": things, "things" if len(objects) > 1 else "thing": things, "position": objects[0].position}
            surface = self.wording.surface(objects[0]) if len(objects) == 1 else None
            if surface is not None:
                slots["surface"] = surface
            said.append(self.say("elliptic" if number and start == "place_last" else start, **slots))
        return joined(said)

    # How they lie

    def relation(self) -> str | None:
        """A relation between two objects that their attributes tell from all others."""
        rng, wording = self.rng, self.wording
        told = [index for index in self.described if wording.is_told(index, APPEARANCE)]
        pairs = [
            (index, relation)
            for index in told
            for relation in wording.relations[index]
            if relation.object is not None and relation.object in told
        ]
        if not pairs:
            return None
        near = [pair for pair in pairs if pair[1].predicate == "next to"]
        pairs = near if near and rng.random() < 0.5 else pairs
        index, relation = pairs[int(rng.random() * len(pairs))]
        other = index if relation.object is None else relation.object
        return self.say(
            "relation",
            subject=wording.told_by(index, wording.names_of(index)),
            other=wording.told_by(other, wording.names_of(other)),
            relation=wording.relation(relation.predicate),
            its_side=wording.its_side(relation.predicate),
        )

    def superlative(self) -> str | None:
        """Which of the objects of a category is the largest, the leftmost, ..."""
        rng, wording = self.rng, self.wording
        groups = [indices for indices in wording.members.values() if len(indices) > 1]
        if not groups:
            return None
        indices = groups[int(rng.random() * len(groups))]
        extremes = wording.extremes(sum(1 << index for index in indices))
        if not extremes:
            return None
        name = one_of(list(extremes), rng)
        item = wording.objects[extremes[name]]
        names = ["color", "shape"] if wording.can_stand_alone(item) else ["color"]
        slots = {
            "superlative": one_of(words()["superlatives"][name], rng),
            "category": item.category,
            "plural": plural(item.category),
            "predicates": wording.said_of(item, names[: 1 + int(rng.random() * len(names))]),
            "position": item.position,
        }
        if len(indices) > 2:
            slots["many"] = wording.number(len(indices))
        return self.say("superlative", **slots)


def _runs(keys: Sequence[str], values: Sequence[int]) -> list[list[int]]:
    """The values in runs of the same key."""
    runs: list[list[int]] = []
    for number, value in enumerate(values):
        if number and keys[number] == keys[number - 1]:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _fitted(parts: Sequence[str], count: int) -> list[str]:
    """The parts as at most ``count`` sentences: neighbors are joined where there are more."""
    if len(parts) <= count:
        return list(parts)
    shares = [parts[len(parts) * number // count : len(parts) * (number + 1) // count] for number in range(count)]
    return ["; ".join([first, *(part[0].lower() + part[1:] for part in more)]) for first, *more in shares]
