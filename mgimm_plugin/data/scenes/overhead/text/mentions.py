"""What a text about a scene claims, once it is read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Mention:
    """A noun phrase and all that is said of it.

    Attributes:
        text: The phrase.
        category: What it names; None for "object".
        determiner: ``a``, ``the``, ``another``, ``this`` or nothing.
        number: How many, where it says so.
        plural: Whether its noun is plural.
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
    plural: bool = False
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
