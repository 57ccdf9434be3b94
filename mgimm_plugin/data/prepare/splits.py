"""Which part of a set a record belongs to: as the source says, or by its image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage

OFFICIAL: Final = "official"
IMAGE_DISJOINT: Final = "image-disjoint"
UNASSIGNED: Final = "unassigned"
"""Where records go that have no part in a scheme which the others have a part in."""

SCHEMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"dior-rsvg": (OFFICIAL, IMAGE_DISJOINT)})
"""The schemes of formats that offer more than the source's own."""

MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        OFFICIAL: "the source's own",
        IMAGE_DISJOINT: "by image: 70 % train, 10 % val, 20 % test, by a hash of seed and image name; "
        "no image is in two parts",
    }
)

_SHARES: Final = (("train", 0.7), ("val", 0.8), ("test", 1.0))


def schemes_of(source_format: str, *, by_image: bool = False) -> tuple[str, ...]:
    """The schemes that a format's records are split by.

    Args:
        source_format: Name of the format.
        by_image: Whether a split by image is asked for, whatever the format offers.
    """
    return (OFFICIAL, IMAGE_DISJOINT) if by_image else SCHEMES.get(source_format, (OFFICIAL,))


def image_name(image: AnnotatedImage) -> str:
    """File name without folder and suffix: what is the same for an image wherever it is annotated."""
    return image.source_id if image.file_name is None else PurePosixPath(image.file_name).stem


@lru_cache(maxsize=256)
def image_split(name: str, seed: int) -> str:
    """``train``, ``val`` or ``test`` in 70 %, 10 % and 20 % of all cases; depends on nothing but name and seed."""
    digest = hashlib.sha256(f"{seed}\0{IMAGE_DISJOINT}\0{name}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for split, end in _SHARES if place < end)
