"""Lengths in tokens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mgimm_plugin.data.inspect.distribution import Distribution
from mgimm_plugin.errors import MgimmError

_BATCH = 256
_SECONDS = 5.0
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class TokenCounter:
    """Counts tokens of texts, many at a time because a tokenizer is quicker so.

    Args:
        tokenizer: Folder or Hub id. Code of the repository is not run.

    Raises:
        MgimmError: It cannot be loaded.
    """

    def __init__(self, tokenizer: str | Path) -> None:
        from transformers import AutoTokenizer

        name = str(tokenizer)
        if not Path(name).exists() and not _HUB_ID.fullmatch(name):
            raise MgimmError(f"tokenizer {name}: there is no such folder, and an id of the Hub is owner/name")
        # Of the Hub, what is here already does where the Hub cannot be reached: the download would try for a minute.
        local = Path(name).exists() or not _is_on_hub(name)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=local)
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


def _is_on_hub(name: str) -> bool:
    """Ask the Hub once, without trying again."""
    from huggingface_hub import model_info

    try:
        model_info(name, timeout=_SECONDS)
    except Exception:  # huggingface_hub raises many kinds: offline, unknown, not allowed
        return False
    return True
