"""Which image an annotation speaks of, and what images and annotations are called."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.readers.image_folders import ImageFolders
from mgimm_plugin.data.prepare.reading import files_below
from mgimm_plugin.data.prepare.source import Losses, Source
from mgimm_plugin.data.prepare.splits import folder_splits, split_of
from mgimm_plugin.data.prepare.values import checked_size, number, words
from mgimm_plugin.errors import RecordError

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"})
_OUTSIDE: Final = "image path that leads out of the image folder: its file name alone is used"
_LEFT_OUT: Final = "nested, overlong or unwritable value left out of what else the source says"
_LONGEST: Final = 100


class ImageNames:
    """Finds the images of a source, where they are at hand, whatever folders the source writes before their names.

    Args:
        source: The source; ``source.images`` is walked once, when an image is first looked for.
        names: The images in ``source.images``, relative to it, for a format that has looked for them itself.
    """

    def __init__(self, source: Source, names: Iterable[str] | None = None) -> None:
        self._source = source
        self._given = None if names is None else frozenset(names)
        self._split_of: dict[str, str] = {}

    def named(self, value: object, *, annotation: Path | None = None, **where: Any) -> str:
        """Path of an image relative to the image folder.

        Where the images are at hand, leading folders that are not there are cut off, a missing suffix is added, and an
        image that is in one subfolder alone is found there.

        Args:
            value: The image's name in the source.
            annotation: The annotation file, where the source has one for each image: its folders count, too.
            **where: ``file``, ``index``, ``record``, ``field`` for the error.

        Raises:
            RecordError: It is no name, or the only images of that name are others, by their folders.
        """
        text = words(value, **where)
        if "/" not in text:
            text = text.replace("\\", "/")
        is_absolute = text.startswith("/") or re.match(r"[A-Za-z]:", text) is not None
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if not parts or parts[-1] == "..":
            raise RecordError(f"{text!r} names no file", **where)
        told = parts[:-1]
        if is_absolute or ".." in parts:
            self._source.losses.change(_OUTSIDE)
            parts = [re.sub(r"^[A-Za-z]:", "", parts[-1]) or parts[-1]]
        cut = ("/".join(parts[start:]) for start in range(len(parts)))
        found = [name if name in self._all else self._without_suffix.get(name) for name in cut]
        known = [name for name in found if name is not None]
        last = f"/{parts[-1]}"
        below = [
            name
            for name in self._by_stem.get(PurePosixPath(last).stem, ())
            if name.endswith(last) or os.path.splitext(name)[0].endswith(last)
        ]
        if not (known or below):
            return "/".join(parts)
        if annotation is not None:
            told = [*self._folders.of_annotation(annotation), *told]
        return self._one(self._agreeing(known, told)[:1] or below or known, told, **where)

    def beside(self, path: Path, suffix: str) -> str:
        """Name of the image that an annotation file of the same stem is about.

        Args:
            path: The annotation file.
            suffix: That of the format's images, for images that are not at hand.

        Raises:
            RecordError: Several images have that name, and no folder tells which; or those that have it are others, by
                their folders.
        """
        found = self._by_stem.get(path.stem, [])
        if not found:
            return path.stem + suffix
        return self._one(found, self._folders.of_annotation(path), field="image")

    def _agreeing(self, found: Sequence[str], told: Sequence[str]) -> list[str]:
        return [name for name in found if not self._folders.contradict(told, name)]

    def _one(self, found: Sequence[str], told: Sequence[str], **where: Any) -> str:
        """The one of some images of the right name that an annotation of these folders is about."""
        agreeing = self._agreeing(found, told)
        if not agreeing:
            raise RecordError(
                f"its image is not there: {found[0]} has the name, but the annotation's folders ({'/'.join(told)}) "
                "tell another. Add the image, or give the folder of these annotations' images as --images",
                **where,
            )
        nearest = told[-1] if told else ""
        agreeing = [name for name in agreeing if PurePosixPath(name).parent.name == nearest] or agreeing
        if len(agreeing) > 1:
            raise RecordError(f"is there several times among the images: {', '.join(agreeing[:3])}", **where)
        split = split_of(told)
        first = None if split is None else self._split_of.setdefault(agreeing[0], split)
        if first != split:
            raise RecordError(
                f"{agreeing[0]} is the image of an annotation of {first} already, and this one is of {split}: put the "
                "images of each into a folder of that name",
                **where,
            )
        return agreeing[0]

    @cached_property
    def _folders(self) -> ImageFolders:
        assert self._source.images is not None  # or no image would have been found
        return ImageFolders(self._source.inputs, self._source.images, self._all)

    @cached_property
    def _all(self) -> frozenset[str]:
        folder = self._source.images
        if self._given is not None or folder is None:
            return self._given or frozenset()
        paths = (path for path in files_below(folder) if path.suffix.lower() in SUFFIXES)
        return frozenset(path.relative_to(folder).as_posix() for path in paths)

    @cached_property
    def _without_suffix(self) -> dict[str, str]:
        return {os.path.splitext(name)[0]: name for name in sorted(self._all, reverse=True)}

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self._all):
            found.setdefault(PurePosixPath(name).stem, []).append(name)
        return found


class Ids:
    """Makes names unique: one that came before gets a number."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()

    def unique(self, wanted: str) -> str:
        """``wanted``, or ``wanted-2`` and so on where that is taken."""
        name = wanted
        while name in self._taken:
            self._counts[wanted] += 1
            name = f"{wanted}-{self._counts[wanted] + 1}"
        self._losses.change("id that came before in its source: a number was added", int(name != wanted))
        self._taken.add(name)
        return name


def file_ids(paths: Sequence[Path]) -> list[str]:
    """Names for files: their stems, with the folders from their common root where a stem is there twice."""
    counts = Counter(path.stem for path in paths)
    if len(counts) == len(paths):
        return [path.stem for path in paths]
    root = os.path.commonpath([path.absolute().parent for path in paths])
    inside = [os.path.relpath(path.absolute().with_suffix(""), root).replace(os.sep, "/") for path in paths]
    return [path.stem if counts[path.stem] == 1 else name for path, name in zip(paths, inside, strict=True)]


def image_of_each(
    paths: Sequence[Path], source: Source, image: Callable[[Path, str, ImageNames], AnnotatedImage]
) -> Iterator[AnnotatedImage]:
    """Yield the image of each file of a source that has a file for each image; a file that is bad is dropped.

    Its split is the one that the file's folders tell.

    Args:
        paths: The files.
        source: The source.
        image: Reads a file, given its name in the source and what finds images.
    """
    names = ImageNames(source)
    for path, name, split in zip(paths, file_ids(paths), folder_splits(paths, source.inputs), strict=True):
        try:
            yield replace(image(path, name, names), split=split)
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def size_told(
    entry: Mapping[str, Any], source: Source, file_name: str, **where: Any
) -> tuple[int, int] | tuple[None, None]:
    """Width and height of an image: as an entry tells, or else from the image; None where nothing tells.

    Raises:
        RecordError: What the entry tells is no size.
    """
    sides = entry.get("width"), entry.get("height")
    size = source.size_of(file_name) if None in sides else checked_size(*sides, **where)
    return size or (None, None)


def identity(value: object, **where: Any) -> str:
    """An id that is a text or a whole number, as a text.

    Raises:
        RecordError: It is neither.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return words(value, **where)


def plain(values: Mapping[str, Any], without: Collection[str], losses: Losses) -> dict[str, Any]:
    """What else a source says, as far as it is plain: texts, numbers, truth values, and short lists of them.

    Args:
        values: A JSON object of the source.
        without: Names that have a place of their own.
        losses: Where values that are not kept are counted.
    """
    kept = {}
    for name, value in values.items():
        if name in without or value is None or value == "" or value == []:
            continue
        items = value if isinstance(value, list) else [value]
        if len(items) <= _LONGEST and all(map(_is_plain, [name, *items])):
            kept[name] = value
        else:
            losses.change(_LEFT_OUT)
    return kept


def _is_plain(value: object) -> bool:
    try:
        if isinstance(value, str):
            return not value or value.isascii() or bool(words(value + "."))
        number(int(value) if isinstance(value, bool) else value)
    except RecordError:
        return False
    return True
