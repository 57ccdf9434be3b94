"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, one: str, several: str | None = None) -> str:
    """``1 box``, ``2,000 boxes``: a number and the noun that goes with it; ``several`` where an s does not do."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
