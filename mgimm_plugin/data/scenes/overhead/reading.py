"""Read an English text about an overhead scene: which objects it speaks of, and what it says of them.

The reader knows words (``lexicon``) and how English puts them together: what stands before a noun and after it, what
"and", ":" and "one" join, where a clause ends. It knows nothing of the patterns that texts are made from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mgimm_plugin.data.scenes.overhead.lexicon import Token, tokens_of

_ADJECTIVES: Final = ("size", "color", "shape")
_NOUNS: Final = ("category", "categories", "object", "objects", "ones", "outline")
_STARTS: Final = ("det", "number", "superlative", "only")
_JOINTS: Final = (",", "and")
_SILENT: Final = ("glue", "relative", "while")


@dataclass(eq=False)
class Mention:
    """A noun phrase and all that is said of it.

    Attributes:
        text: The phrase.
        category: What it names; None for "object".
        determiner: ``a``, ``the``, ``another``, ``this`` or nothing.
        number: How many, where it says so.
        restrictive: Attributes that tell which one is meant, by name.
        predicated: Attributes that are said of it.
        superlative: One of ``relations.EXTREMES``.
        only: Whether it is said to be the only one.
        surface: What it is said to stand on.
        relations: Predicate, the other, and whether that tells which one is meant.
        role: ``subject``, ``object`` of a relation, or ``whole`` that something is a part of.
        part: Whether it is some of a whole ("two of the ships").
        items: What it is said to consist of.
    """

    text: str
    category: str | None = None
    determiner: str = ""
    number: int | None = None
    restrictive: dict[str, str] = field(default_factory=dict)
    predicated: dict[str, str] = field(default_factory=dict)
    superlative: str | None = None
    only: bool = False
    surface: str | None = None
    relations: list[tuple[str, Mention, bool]] = field(default_factory=list)
    role: str = "subject"
    part: bool = False
    items: list[Mention] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, str]:
        """All attributes that are claimed of it, its category apart."""
        return {**self.restrictive, **self.predicated}


@dataclass
class Claims:
    """What a text says.

    Attributes:
        mentions: Its noun phrases in order.
        settings: The kinds of place it names.
        features: Kinds of features with their direction, where it tells.
        problems: What could not be read, or contradicts itself.
    """

    mentions: list[Mention] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    features: list[tuple[str, str | None]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read(text: str) -> Claims:
    """Read a text; nothing is left out in silence: see ``Claims.problems``."""
    reader = _Reader(tokens_of(text))
    reader.run()
    return reader.found


class _Reader:
    """Goes through the tokens once, and knows whose turn it is."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.found = Claims()
        self.last: list[Mention] = []
        self.base: Mention | None = None
        self.owner: Mention | None = None
        self.said = 0
        self.before = "."
        self.start_clause()
        self.steps: dict[str, Callable[[Token], None]] = {
            "position": self.position, "relation": self.relation, "side": self.side, "surface": self.surface,
            "farthest": self.farthest, "setting": self.setting, "feature": self.feature, "direction": self.direction,
            "verb": self.verb, "has": self.has, "with": self.take_with, "it": self.it, "of": self.of, ",": self.joint,
            "and": self.joint, ";": self.semicolon, ":": self.colon, ".": self.stop, "unknown": self.unknown,
            **dict.fromkeys(_ADJECTIVES, self.attribute), **dict.fromkeys(_SILENT, self.silent),
        }  # fmt: skip

    def run(self) -> None:
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if self.starts_noun_phrase():
                self.before = self.kind(-1)
                self.take(self.noun_phrase())
                continue
            self.at += 1
            self.steps.get(token.kind, self.unknown)(token)
        if self.tokens and self.tokens[-1].kind != ".":
            self.stop(self.tokens[-1])

    def start_clause(self) -> None:
        self.subjects: list[Mention] = []
        self.in_front: str | None = None
        self.relation_in_front: tuple[str, Mention] | None = None
        self.waiting: str | None = None
        self.companion: Mention | None = None
        self.is_with = self.is_of = self.has_verb = self.has_more = False

    def problem(self, what: str) -> None:
        self.found.problems.append(what)

    def kind(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].kind if 0 <= place < len(self.tokens) else "."

    # Noun phrases

    def starts_noun_phrase(self) -> bool:
        kind = self.kind()
        if kind in _STARTS or kind in _NOUNS or kind == "one":
            return True
        return kind in _ADJECTIVES and self.leads_to_noun(0)

    def leads_to_noun(self, ahead: int, between: tuple[str, ...] = _ADJECTIVES) -> bool:
        while self.kind(ahead) in between:
            ahead += 1
        return self.kind(ahead) in _NOUNS or self.kind(ahead) == "one"

    def noun_phrase(self) -> Mention:
        start = self.at
        mention = Mention("")
        noun: Token | None = None
        while noun is None:
            token = self.tokens[self.at] if self.at < len(self.tokens) else None
            if token is None:
                break
            if token.kind == "det":
                mention.determiner = "a" if token.value == "an" else token.value
            elif token.kind == "number":
                mention.number = token.value
            elif token.kind == "one" and self.leads_to_noun(1) and self.kind(1) != "outline":
                mention.number = 1
            elif token.kind == "superlative":
                mention.superlative = token.value
            elif token.kind == "only":
                mention.only = True
            elif token.kind in _ADJECTIVES:
                self.set(mention.restrictive, token.kind, token.value)
            elif token.kind == "," and self.kind(-1) in _ADJECTIVES and self.leads_to_noun(1, (*_ADJECTIVES, ",")):
                pass
            elif token.kind in _NOUNS or token.kind == "one":
                noun = token
            else:
                break
            self.at += 1
        mention.text = " ".join(token.text for token in self.tokens[start : self.at])
        self.name(mention, noun)
        return mention

    def name(self, mention: Mention, noun: Token | None) -> None:
        """Find out what a phrase names: its noun, that of a whole, or the one that was spoken of."""
        if noun is not None and noun.kind in ("category", "categories"):
            mention.category = noun.value
            self.check_number(mention, noun)
        elif noun is not None and noun.kind in ("object", "objects", "outline"):
            mention.role = {"outline": "outline"}.get(noun.kind, mention.role)
        elif self.kind() == "of" and self.kind(1) != "them":
            self.at += 1
            whole = self.noun_phrase()
            whole.role, mention.part, mention.category = "whole", True, whole.category
            self.keep(whole)
            mention.text += f" of {whole.text}"
        else:
            if self.kind() == "of":
                self.at += 2
                mention.part = True
            base = self.base or (self.last[-1] if self.last else None) or next(iter(self.found.mentions[::-1]), None)
            if base is None or base.category is None:
                self.problem(f"not understood: {mention.text!r} names nothing")
            else:
                mention.category = base.category
            if noun is not None and noun.kind == "one" and not mention.determiner:
                mention.determiner = "a"

    def check_number(self, mention: Mention, noun: Token) -> None:
        is_plural = noun.kind == "categories"
        wrong = mention.number is not None and (mention.number != 1) != is_plural
        if wrong or (is_plural and mention.determiner in ("a", "another", "this")):
            self.problem(f"not understood: {mention.text!r} does not agree in number")

    def keep(self, mention: Mention) -> None:
        self.found.mentions.append(mention)
        self.said += 1

    def take(self, mention: Mention) -> None:
        """Give a phrase its part in the clause."""
        if mention.role == "outline":
            for subject in self.subjects:
                for name, value in mention.restrictive.items():
                    self.set(subject.predicated, name, value)
            self.is_with = False
            self.said += 1
            return
        if self.waiting is not None:
            mention.role = "object"
            self.keep(mention)
            if self.subjects:
                self.relate(self.waiting, mention)
            else:
                self.relation_in_front = (self.waiting, mention)
            self.waiting = None
        elif self.is_with and self.subjects:
            mention.role = "object"
            self.keep(mention)
            self.companion, self.is_with = mention, False
        elif self.is_of:
            mention.role, self.base, self.is_of = "whole", mention, False
            self.keep(mention)
        elif self.names_object() and self.has_verb:
            self.complete(self.subjects[0], mention)
        else:
            self.keep(mention)
            self.take_subject(mention)

    def names_object(self) -> bool:
        only = self.subjects[0] if len(self.subjects) == 1 else None
        return only is not None and only.category is None and only.number is None

    def complete(self, subject: Mention, said: Mention) -> None:
        """Join "the object" and "a red ship", which it is."""
        subject.category = said.category
        subject.text += f" {said.text}"
        for name, value in said.restrictive.items():
            self.set(subject.predicated, name, value)
        self.said += 1

    def take_subject(self, mention: Mention) -> None:
        together = self.subjects and not self.has_verb and not self.has_more and self.before in _JOINTS
        lists = self.owner is not None
        if lists and self.owner is not None:
            self.owner.items.append(mention)
            if self.owner.category is not None and mention.category == self.owner.category:
                for name, value in self.owner.attributes.items():
                    self.set(mention.predicated, name, value)
        self.subjects = [*self.subjects, mention] if together else [mention]
        self.last = self.subjects
        self.has_verb = self.has_more = False
        if self.in_front is not None:
            self.set(mention.predicated, "position", self.in_front)
        if self.relation_in_front is not None:
            mention.relations.append((*self.relation_in_front, False))

    # What is said of them

    def set(self, attributes: dict[str, str], name: str, value: str) -> None:
        if attributes.get(name, value) != value:
            self.problem(f"contradicts itself: {name} {attributes[name]} and {value}")
        attributes[name] = value

    def attribute(self, token: Token) -> None:
        if not self.subjects:
            self.unknown(token)
        for subject in self.subjects:
            self.set(subject.predicated if self.has_verb else subject.restrictive, token.kind, token.value)
        self.has_more = True
        self.said += 1

    def position(self, token: Token) -> None:
        if not self.subjects or self.opens_clause():
            self.start_clause()
            self.in_front = token.value
        else:
            self.attribute(token)

    def opens_clause(self) -> bool:
        """Whether a place stands before what is there: ", in the center there is a ship"."""
        if self.kind(-2) not in (*_JOINTS, "while", ";", ":"):
            return False
        ahead = 1 if self.kind() == "," else 0
        if self.kind(ahead) in ("verb", "has"):
            return True
        self.at += ahead
        starts = self.starts_noun_phrase()
        self.at -= ahead
        return starts

    def relation(self, token: Token) -> None:
        self.waiting = token.value

    def relate(self, predicate: str, other: Mention) -> None:
        for subject in self.subjects:
            subject.relations.append((predicate, other, not self.has_verb))
        self.has_more = True

    def side(self, token: Token) -> None:
        if self.companion is None:
            self.unknown(token)
            return
        inverse = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
        self.relate(inverse.get(token.value, token.value), self.companion)
        self.companion = None

    def surface(self, token: Token) -> None:
        if not self.subjects:
            self.unknown(token)
        for subject in self.subjects:
            subject.surface = token.value
        self.has_more = True
        self.said += 1

    def farthest(self, token: Token) -> None:
        if len(self.subjects) != 1:
            self.unknown(token)
        for subject in self.subjects:
            subject.superlative = token.value
        self.said += 1

    def setting(self, token: Token) -> None:
        self.found.settings.append(token.value)
        self.said += 1

    def feature(self, token: Token) -> None:
        self.found.features.append((token.value, None))
        self.said += 1

    def direction(self, token: Token) -> None:
        if not self.found.features or self.found.features[-1][1] is not None:
            self.unknown(token)
        else:
            self.found.features[-1] = (self.found.features[-1][0], token.value)

    # How it hangs together

    def verb(self, token: Token) -> None:
        self.has_verb = True

    def has(self, token: Token) -> None:
        if self.subjects:
            self.is_with = True
        self.has_verb = True

    def take_with(self, token: Token) -> None:
        self.is_with = bool(self.subjects)

    def it(self, token: Token) -> None:
        self.subjects = self.last
        if not self.last:
            self.unknown(token)
        self.has_verb = True

    def of(self, token: Token) -> None:
        if self.kind() not in _ADJECTIVES:
            self.is_of = True

    def joint(self, token: Token) -> None:
        """What follows decides what a comma or an "and" joins."""

    def silent(self, token: Token) -> None:
        """Says nothing by itself."""

    def semicolon(self, token: Token) -> None:
        self.owner = None
        self.start_clause()

    def colon(self, token: Token) -> None:
        subjects = self.subjects
        self.start_clause()
        if len(subjects) != 1:
            self.unknown(token)
            return
        self.owner = subjects[0]
        self.base = subjects[0] if subjects[0].category else None

    def stop(self, token: Token) -> None:
        if self.waiting or self.companion or self.is_of:
            self.problem(f"not understood: nothing follows in {self.sentence()!r}")
        if not self.said:
            self.problem(f"not understood: nothing is said in {self.sentence()!r}")
        self.said = 0
        self.base = self.owner = None
        self.start_clause()

    def sentence(self) -> str:
        start = self.at - 1
        while start > 0 and self.tokens[start - 1].kind != ".":
            start -= 1
        return " ".join(token.text for token in self.tokens[start : self.at])

    def unknown(self, token: Token) -> None:
        self.problem(f"not understood: {token.text!r}")
