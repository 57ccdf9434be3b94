"""Which part of a set a record belongs to: as the source says, or by its image."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

from mgimm_plugin.data.drawing import drawn
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

_FOLDER: Final = re.compile(r"(?:.*[-_.])?(?:(train)|(val|valid|validation)|(test))(?:\d{4})?")
"""What folders of a part are called: ``train``, ``valid``, ``Annotations_val``, ``test2017``."""
_SHARES: Final = (("train", 0.7), ("val", 0.8), ("test", 1.0))


def schemes_of(source_format: str, *, by_image: bool = False) -> tuple[str, ...]:
    """The schemes that a format's records are split by.

    Args:
        source_format: Name of the format.
        by_image: Whether a split by image is asked for, whatever the format offers.
    """
    return (OFFICIAL, IMAGE_DISJOINT) if by_image else SCHEMES.get(source_format, (OFFICIAL,))


def folder_splits(paths: Sequence[Path], inputs: Sequence[Path]) -> list[str | None]:
    """The part that each file is in by the folders it lies in, the nearest first; None where they tell none.

    Args:
        paths: The files.
        inputs: Files and folders, as the user gave them. Folders above what they have in common tell nothing.

    Returns:
        ``train``, ``val`` or ``test`` for each file.
    """
    common = os.path.commonpath([os.path.abspath(item if item.is_dir() else item.parent) for item in inputs])
    return [split_of(Path(os.path.relpath(path.parent, common)).parts) for path in paths]


def split_of(folders: Sequence[str]) -> str | None:
    """The part that names of folders tell, the last one first: ``train``, ``val`` or ``test``; None where none does."""
    for name in reversed(folders):
        match = _FOLDER.fullmatch(name.lower())
        if match is not None:
            return "train" if match[1] else "val" if match[2] else "test"
    return None


def image_name(image: AnnotatedImage) -> str:
    """File name without folder and suffix: what is the same for an image wherever it is annotated."""
    return image.source_id if image.file_name is None else PurePosixPath(image.file_name).stem


@lru_cache(maxsize=256)
def image_split(name: str, seed: int) -> str:
    """``train``, ``val`` or ``test`` in 70 %, 10 % and 20 % of all cases; depends on nothing but name and seed."""
    place = drawn(seed, IMAGE_DISJOINT, name) / 2**64
    return next(split for split, end in _SHARES if place < end)
