"""Files that are there completely or not at all, and what tells them apart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """The path to write a file to; it takes its place when the context ends well."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    os.replace(partial, path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
