"""Read noun phrases: "the largest of the three white storage tanks", "another one"."""

from __future__ import annotations

from typing import Final

from mgimm_plugin.data.scenes.overhead.text.lexicon import Token
from mgimm_plugin.data.scenes.overhead.text.mentions import Claims, Mention

ADJECTIVES: Final = ("size", "color", "shape")

_NOUNS: Final = ("category", "categories", "object", "objects", "ones", "outline")
_STARTS: Final = frozenset(("det", "number", "superlative", "only", "one", *_NOUNS))
_WITH_COMMAS: Final = (*ADJECTIVES, ",")


class PhraseReader:
    """Tokens, the place among them, and what was found so far.

    Attributes:
        found: What the text claims.
        last: What the last clause was about.
        base: What "one" and "another" are of.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.found = Claims()
        self.last: list[Mention] = []
        self.base: Mention | None = None

    def problem(self, what: str) -> None:
        """Note what cannot be read."""
        self.found.problems.append(what)

    def kind(self, ahead: int = 0) -> str:
        """Kind of the next token, or of another near it; a full stop beyond the ends."""
        place = self.at + ahead
        return self.tokens[place].kind if 0 <= place < len(self.tokens) else "."

    def starts_noun_phrase(self) -> bool:
        """Whether a noun phrase begins here: by an article, a number, a noun, or adjectives before one."""
        kind = self.kind()
        if kind in _STARTS:
            return True
        return kind in ADJECTIVES and self.leads_to_noun(0)

    def leads_to_noun(self, ahead: int, between: tuple[str, ...] = ADJECTIVES) -> bool:
        """Whether a noun follows after nothing but adjectives."""
        while self.kind(ahead) in between:
            ahead += 1
        return self.kind(ahead) in _NOUNS or self.kind(ahead) == "one"

    def noun_phrase(self) -> Mention:
        """Take the noun phrase that begins here."""
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
            elif token.kind in ADJECTIVES:
                self.set(mention.restrictive, token.kind, token.value)
            elif token.kind == "," and self.kind(-1) in ADJECTIVES and self.leads_to_noun(1, _WITH_COMMAS):
                pass
            elif token.kind in _NOUNS or token.kind == "one":
                noun = token
            elif token.kind == "unknown" and self.leads_to_noun(1):
                self.problem(f"not understood: {token.text!r}")
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
            mention.role = "outline" if noun.kind == "outline" else mention.role
            mention.plural = noun.kind == "objects"
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
            self.name_again(mention, noun)

    def name_again(self, mention: Mention, noun: Token | None) -> None:
        """Find out what "a red one", "another" and "the largest" are of."""
        base = self.base or (self.last[-1] if self.last else next(iter(self.found.mentions[::-1]), None))
        stands_alone = noun is not None or mention.superlative or mention.number or mention.determiner == "another"
        if base is None or base.category is None or not stands_alone:
            self.problem(f"not understood: {mention.text!r} names nothing")
            return
        mention.category = base.category
        if noun is not None and noun.kind == "one" and not mention.determiner:
            mention.determiner = "a"

    def check_number(self, mention: Mention, noun: Token) -> None:
        """Note "two ship" and "a ships"."""
        mention.plural = is_plural = noun.kind == "categories"
        wrong = mention.number is not None and (mention.number != 1) != is_plural
        if wrong or (is_plural and mention.determiner in ("a", "another", "this")):
            self.problem(f"not understood: {mention.text!r} does not agree in number")

    def set(self, attributes: dict[str, str], name: str, value: str) -> None:
        """Note an attribute; two different ones are a problem."""
        if attributes.get(name, value) != value:
            self.problem(f"contradicts itself: {name} {attributes[name]} and {value}")
        attributes[name] = value

    def keep(self, mention: Mention) -> None:
        """Note a phrase."""
        self.found.mentions.append(mention)
