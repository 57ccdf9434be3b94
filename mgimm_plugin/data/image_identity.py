"""What tells one image file from another: a digest of its bytes, and a memory of digests between runs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.data.whole_files import written_whole
from mgimm_plugin.errors import MgimmError

DIGEST_BYTES = 16
DIGEST = np.dtype(f"S{DIGEST_BYTES}")
IDENTITY = np.dtype([("size", "<i8"), ("mtime_ns", "<i8"), ("ctime_ns", "<i8"), ("digest", DIGEST)])
"""A file at the moment its digest was taken. All zero: it could not be read; times zero: it was too young to trust."""

TOO_YOUNG_NS = 2_000_000_000
"""A file written to so shortly before may be written to again without its times changing: clocks tick coarsely."""


class DigestIndex:
    """Digests of files by path, size and times, so that not every start reads every image: git's index does the same.

    A file whose size or times are not those remembered is read again, and so is one that was changed in the last two
    seconds before it was read, whose times cannot tell a further change.

    Args:
        path: JSONL, ``{"path", "size", "mtime_ns", "ctime_ns", "digest"}`` a line; need not exist.

    Raises:
        MgimmError: It is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[int, int, int, bytes]] = {}
        if not path.exists():
            return
        try:
            for line in path.read_bytes().splitlines():
                entry = json.loads(line)
                stat = entry["size"], entry["mtime_ns"], entry["ctime_ns"]
                self._known[entry["path"]] = (*stat, bytes.fromhex(entry["digest"]))
        except (ValueError, KeyError, TypeError) as error:
            raise MgimmError(f"{path}: is not an index of images; remove it, it will be made again") from error

    def identify(self, file: Path) -> NDArray[np.void]:
        """Return the IDENTITY of a file, all zero if it cannot be read."""
        identity = np.zeros((), IDENTITY)
        now = time.time_ns()
        try:
            stat = _stat(file)
            known = self._known.get(os.path.abspath(file))
            digest = known[3] if known is not None and known[:3] == stat else digest_of(file)
        except OSError:
            return identity
        identity[()] = (*(stat if now - max(stat[1:]) > TOO_YOUNG_NS else (0, 0, 0)), digest)
        return identity

    def remember(self, files: Iterable[Path], identities: NDArray[np.void]) -> None:
        """Keep identities for later runs; nothing is written where nothing is new."""
        found = {os.path.abspath(file): tuple(row) for file, row in zip(files, identities.tolist(), strict=True)}
        known = self._known | {path: row for path, row in found.items() if row[1]}
        if known == self._known:
            return
        self._known = known
        with written_whole(self.path) as partial, partial.open("w", encoding="utf-8") as out:
            for path, (size, mtime_ns, ctime_ns, digest) in known.items():
                entry = {"path": path, "size": size, "mtime_ns": mtime_ns, "ctime_ns": ctime_ns, "digest": digest.hex()}
                out.write(json.dumps(entry) + "\n")


def unchanged(file: Path, identity: NDArray[np.void] | np.void) -> bool:
    """Does a file still have the bytes of its identity? They are read only where size or times differ.

    Raises:
        OSError: It cannot be read.
    """
    size, mtime_ns, ctime_ns, digest = identity.tolist()
    return _stat(file) == (size, mtime_ns, ctime_ns) or digest_of(file).rstrip(b"\0") == digest


def digest_of(file: Path) -> bytes:
    """Hash a file's bytes.

    Raises:
        OSError: It cannot be read.
    """
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()


def _stat(file: Path) -> tuple[int, int, int]:
    stat = os.stat(file)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
