"""Lengths in tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mgimm_plugin.data.inspect.distribution import Distribution
from mgimm_plugin.errors import MgimmError

_BATCH = 256


class TokenCounter:
    """Counts tokens of texts, many at a time because a tokenizer is quicker so.

    Args:
        tokenizer: Folder or Hub id. Code of the repository is not run.

    Raises:
        MgimmError: It cannot be loaded.
    """

    def __init__(self, tokenizer: str | Path) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(tokenizer), trust_remote_code=False)
        # ImportError: a tokenizer of a kind whose package is not installed.
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise MgimmError(f"tokenizer {tokenizer} cannot be loaded: {error}") from error
        self._waiting: list[tuple[str, Distribution]] = []

    def count(self, text: str, lengths: Distribution) -> None:
        """Add the number of a text's tokens to ``lengths``, by the next :meth:`flush` at the latest."""
        self._waiting.append((text, lengths))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Count what waits; tokens that a template adds (begin, end) are not counted."""
        if not self._waiting:
            return
        encoded = self._tokenizer([text for text, _ in self._waiting], add_special_tokens=False)["input_ids"]
        for ids, (_, lengths) in zip(encoded, self._waiting, strict=True):
            lengths.add(len(ids))
        self._waiting.clear()
