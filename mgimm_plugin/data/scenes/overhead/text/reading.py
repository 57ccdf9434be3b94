"""Read an English text about an overhead scene: which objects it speaks of, and what it says of them.

The reader knows words (``lexicon``) and how English puts them together: what stands before a noun and after it, what
"and", ":" and "one" join, where a clause ends. It knows nothing of the patterns that texts are made from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mgimm_plugin.data.scenes.overhead.text.lexicon import Token, tokens_of
from mgimm_plugin.data.scenes.overhead.text.mentions import Claims, Mention
from mgimm_plugin.data.scenes.overhead.text.phrases import ADJECTIVES, PhraseReader
from mgimm_plugin.data.scenes.overhead.text.relations import INVERSE

_JOINTS: Final = (",", "and")
_SILENT: Final = ("glue", "relative", "while")


def read(text: str) -> Claims:
    """Read a text; nothing is left out in silence: see ``Claims.problems``."""
    reader = _Reader(tokens_of(text))
    reader.run()
    return reader.found


class _Reader(PhraseReader):
    """Goes through the tokens once, and knows whose turn it is."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.owner: Mention | None = None
        self.said = 0
        self.before = "."
        self.start_clause()

    def run(self) -> None:
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if self.starts_noun_phrase():
                self.before = self.kind(-1)
                self.take(self.noun_phrase())
                continue
            self.at += 1
            _STEPS.get(token.kind, _Reader.unknown)(self, token)
        if self.tokens and self.tokens[-1].kind != ".":
            self.stop(self.tokens[-1])

    def start_clause(self) -> None:
        self.subjects: list[Mention] = []
        self.in_front: str | None = None
        self.relation_in_front: tuple[str, Mention] | None = None
        self.waiting: str | None = None
        self.companion: Mention | None = None
        self.is_with = self.is_of = self.has_verb = self.has_more = False

    def keep(self, mention: Mention) -> None:
        super().keep(mention)
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
        elif self.names_object() and self.has_verb and not (mention.superlative or mention.only):
            self.complete(self.subjects[0], mention)
        else:
            self.keep(mention)
            self.take_subject(mention)

    def names_object(self) -> bool:
        only = self.subjects[0] if len(self.subjects) == 1 else None
        return only is not None and only.category is None and not only.plural

    def complete(self, subject: Mention, said: Mention) -> None:
        """Join "the object" and "a red ship", which it is."""
        subject.category, subject.number, subject.plural = said.category, said.number, said.plural
        subject.text += f" {said.text}"
        for name, value in said.restrictive.items():
            self.set(subject.predicated, name, value)
        self.said += 1

    def take_subject(self, mention: Mention) -> None:
        together = self.subjects and not self.has_verb and not self.has_more and self.before in _JOINTS
        if self.before == "verb" and self.has_verb and len(self.subjects) == 1 and self.subjects[0].plural:
            self.owner = self.subjects[0]  # "the ships are a red one and a blue one"
        if self.owner is not None:
            self.put_into(self.owner, mention)
        elif self.base is not None and self.base.category not in (None, mention.category):
            self.problem(f"not understood: {mention.text!r} is none of {self.base.text!r}")
        self.subjects = [*self.subjects, mention] if together else [mention]
        self.last = self.subjects
        self.has_verb = self.has_more = False
        if self.in_front is not None:
            self.set(mention.predicated, "position", self.in_front)
        if self.relation_in_front is not None:
            mention.relations.append((*self.relation_in_front, False))

    def put_into(self, owner: Mention, mention: Mention) -> None:
        """Make a phrase an item of a list: what is said of the whole is said of each."""
        owner.items.append(mention)
        if owner.category is None:
            return
        if mention.category != owner.category:
            self.problem(f"not understood: {mention.text!r} is none of {owner.text!r}")
        for name, value in owner.attributes.items():
            self.set(mention.predicated, name, value)

    # What is said of them

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
        if self.waiting is not None:
            self.unknown(token)
        self.waiting = token.value

    def relate(self, predicate: str, other: Mention) -> None:
        for subject in self.subjects:
            subject.relations.append((predicate, other, not self.has_verb))
        self.has_more = True

    def side(self, token: Token) -> None:
        if self.companion is None:
            self.unknown(token)
            return
        self.relate(INVERSE[token.value], self.companion)
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
        if self.kind() not in ADJECTIVES:
            self.is_of = True

    def silent(self, token: Token) -> None:
        """Says nothing by itself; what follows decides what a comma or an "and" joins."""

    def semicolon(self, token: Token) -> None:
        self.check_complete()
        self.base = self.owner = None
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
        self.check_complete()
        if not self.said:
            self.problem(f"not understood: nothing is said in {self.sentence()!r}")
        self.said = 0
        self.base = self.owner = None
        self.start_clause()

    def check_complete(self) -> None:
        awaited = self.waiting or self.companion or self.is_of or self.is_with
        if awaited or (self.in_front is not None and not self.subjects):
            self.problem(f"not understood: something is missing in {self.sentence()!r}")

    def sentence(self) -> str:
        start = self.at - 1
        while start > 0 and self.tokens[start - 1].kind != ".":
            start -= 1
        return " ".join(token.text for token in self.tokens[start : self.at])

    def unknown(self, token: Token) -> None:
        self.problem(f"not understood: {token.text!r}")


_STEPS: Final[dict[str, Callable[[_Reader, Token], None]]] = {
    "position": _Reader.position,
    "relation": _Reader.relation,
    "side": _Reader.side,
    "surface": _Reader.surface,
    "farthest": _Reader.farthest,
    "setting": _Reader.setting,
    "feature": _Reader.feature,
    "direction": _Reader.direction,
    "verb": _Reader.verb,
    "has": _Reader.has,
    "with": _Reader.take_with,
    "it": _Reader.it,
    "of": _Reader.of,
    ";": _Reader.semicolon,
    ":": _Reader.colon,
    ".": _Reader.stop,
    **dict.fromkeys(ADJECTIVES, _Reader.attribute),
    **dict.fromkeys((*_JOINTS, *_SILENT), _Reader.silent),
}
"""What each kind of token does; others are not understood."""
