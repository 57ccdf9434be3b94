"""Files that are there completely or not at all, and what tells them apart."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

_PARTIAL = ".{}.{}.partial"
_ABANDONED_S = 3600
"""Nobody takes that long to write on a file."""


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """The path to write a file to; it takes its place when the context ends well, and goes when it does not.

    Each writer has a path of its own, so that several may write one file: it is the last one's in the end. What killed
    writers have left in the folder is removed.
    """
    path = Path(path)
    _remove_leftovers(path.parent)
    partial = path.with_name(_PARTIAL.format(path.name, uuid4().hex))
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: str | Path, text: str) -> None:
    """Write text into a file so that it is there completely or not at all."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _remove_leftovers(folder: Path) -> None:
    for partial in folder.glob(_PARTIAL.format("*", "[0-9a-f]" * 32)):
        with suppress(OSError):  # gone already, or somebody else's
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
