"""Choices that come out the same on every machine, whatever was chosen before."""

from __future__ import annotations

import hashlib


def drawn(seed: int, *names: str) -> int:
    """A number below 2 ** 64 that depends on a seed and names alone."""
    # The name of a file may hold bytes that are no UTF-8; Python has them as lone surrogates.
    data = "\0".join((str(seed), *names)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
