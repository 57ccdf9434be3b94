"""The text of an answer while it grows."""

from __future__ import annotations

from collections.abc import Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for a character of which not all bytes are there yet."""


class GrowingText:
    """Says what of a growing answer can be shown, and where it ends.

    Pieces shown are never taken back: together, and with the rest at the end, they are the whole answer.

    Args:
        stop: Texts before which the answer ends.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(stop)
        self._shown = ""

    def grow(self, text: str) -> tuple[str, bool]:
        """The next piece of the answer ``text`` so far, and whether a stop text ended it."""
        cut = cut_at_stop(text, self._stop)
        if len(cut) < len(text):
            return self.rest(cut.rstrip()), True
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        safe = text[: len(text) - held].rstrip(UNFINISHED).rstrip()
        if not safe.startswith(self._shown):
            return "", False
        return self.rest(safe), False

    def rest(self, text: str) -> str:
        """What of ``text`` was not shown yet; it counts as shown from now on."""
        piece = text[len(self._shown) :]
        self._shown += piece
        return piece


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """The text before the first of the stop texts."""
    return text[: min((at for at in map(text.find, stop) if at >= 0), default=len(text))]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that a stop text begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
