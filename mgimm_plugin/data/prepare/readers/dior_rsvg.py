"""DIOR-RSVG: one XML file for each image, in the manner of Pascal VOC, with a sentence for each object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import ImageNames
from mgimm_plugin.data.prepare.readers.voc import size_written
from mgimm_plugin.data.prepare.reading import is_hidden, parse_xml, read_text
from mgimm_plugin.data.prepare.source import Losses, Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, sentence
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import voc_to_xyxy

OBJECTS: Final = 38_320
"""Objects of the full dataset, numbered through by its official split files."""
FILES: Final = 17_402
"""Its XML files."""

_PARTS: Final = ("train", "val", "test")
_EDGES: Final = ("xmin", "ymin", "xmax", "ymax")
_COMMENT: Final = re.compile(rb"<!--.*?-->", flags=re.DOTALL)
_OBJECT: Final = re.compile(rb"<object[\s>/]")
_INFERRED: Final = (
    "The official split files number objects, not images. That the numbers go through the XML files by name, and "
    "through the objects of a file as they are written, from 0, is inferred: the files do not say so. One image can be "
    f"in several parts of the official split; the image-disjoint split has no such image. Official: {OBJECTS} objects "
    f"in {FILES} files."
)


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of DIOR-RSVG.

    Inputs are a folder with ``Annotations/`` and the split files in it, beside it or above it; or that folder of XML
    files, and the split files. Without split files there is no official split.

    Raises:
        RecordError: The inputs have no XML file.
    """
    annotations, split_files = _files(source.inputs)
    if not annotations:
        raise RecordError(f"{source.inputs[0]}: no XML file, and no folder Annotations with some")
    parts = _Parts(split_files, source.losses)
    counts = [_count(path) for path in annotations] if split_files else [0] * len(annotations)
    numbers: Sequence[int | None] = [None] * len(annotations)
    if split_files:
        numbers = _first_numbers(annotations, counts, parts.total, source.losses)
    names = ImageNames(source)
    for path, count, first in zip(annotations, counts, numbers, strict=True):
        try:
            root = parse_xml(path)
            if first is not None and len(root.findall("object")) != count:
                source.losses.note(f"{path.name} has objects inside others: its objects are in no official part.")
                first = None
            yield _image(root, path, source, names, [parts.of(first, position) for position in range(count)])
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def _files(inputs: Sequence[Path]) -> tuple[list[Path], dict[str, Path]]:
    """The XML files by name, and the split files by part."""
    annotations: set[Path] = set()
    split_files: dict[str, Path] = {}
    for path in inputs:
        if path.is_dir():
            folder = path / "Annotations" if (path / "Annotations").is_dir() else path
            annotations.update(item for item in folder.glob("*.xml") if not is_hidden(item.name))
            for place in (folder, folder.parent, folder.parent.parent):
                for part in _PARTS:
                    if (place / f"{part}.txt").is_file():
                        split_files.setdefault(part, place / f"{part}.txt")
        elif path.stem in _PARTS and path.suffix == ".txt":
            split_files[path.stem] = path
        elif path.suffix.lower() == ".xml":
            annotations.add(path)
        else:
            raise RecordError("is no folder, no XML file and no train.txt, val.txt or test.txt", file=path)
    return sorted(annotations, key=lambda path: (path.name, path)), split_files


class _Parts:
    """Which part each object belongs to, by its number.

    Attributes:
        total: How many numbers the split files have.
    """

    def __init__(self, split_files: dict[str, Path], losses: Losses) -> None:
        self._parts: dict[int, str] = {}
        self.total = 0
        for part in _PARTS:
            if part not in split_files:
                continue
            for line, text in enumerate(read_text(split_files[part]).split()):
                self.total += 1
                try:
                    self._add(text, part)
                except RecordError as error:
                    losses.drop(error.at(file=split_files[part], index=line))
        if split_files:
            losses.note(_INFERRED)
            missing = [part for part in _PARTS if part not in split_files]
            if missing:
                losses.note(f"There is no {' and no '.join(f'{part}.txt' for part in missing)}.")

    def _add(self, text: str, part: str) -> None:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise RecordError(f"{text[:40]!r} is not the number of an object")
        if self._parts.setdefault(int(text), part) != part:
            raise RecordError(f"object {int(text)} is in {self._parts[int(text)]} already")

    def of(self, first: int | None, position: int) -> str | None:
        """The part of an object by its place in its file."""
        return None if first is None else self._parts.get(first + position)


def _first_numbers(annotations: Sequence[Path], counts: Sequence[int], total: int, losses: Losses) -> list[int | None]:
    """The number of each file's first object; None where it is not known.

    Numbers go through all files, so that a file of which some objects cannot be read would shift all that follow. The
    objects are counted in the files' bytes, broken ones included; where that does not give the number in the split
    files, the files before the first broken one are numbered from the front, and those after the last from the back.
    """
    if sum(counts) == total:
        return list(_running(counts))
    good = [_parses(path) for path in annotations]
    found = sum(count for count, is_good in zip(counts, good, strict=True) if is_good)
    says = f"The split files are for {total} objects, and the XML files have {sum(counts)}"
    if all(good) or found > total or (total == OBJECTS and len(annotations) != FILES):
        losses.note(
            f"{says} in {len(annotations)} files: there is no official split, because it is not known which is which."
        )
        return [None] * len(annotations)
    first_bad, last_bad = good.index(False), len(good) - 1 - good[::-1].index(False)
    numbers: list[int | None] = [*_running(counts[: first_bad + 1])]
    numbers += [None] * (last_bad - first_bad)
    after = counts[last_bad + 1 :]
    numbers += [total - sum(after) + number for number in _running(after)]
    between = sum(counts[first_bad + 1 : last_bad])
    losses.note(
        f"{says}: {total - found} are in the {good.count(False)} files that cannot be read. Objects before the first "
        f"and after the last of these have their official numbers; {between} objects between them are in no part."
    )
    return numbers


def _running(counts: Sequence[int]) -> Iterator[int]:
    """The sum of the counts before each."""
    total = 0
    for count in counts:
        yield total
        total += count


def _count(path: Path) -> int:
    """How many objects a file opens, whether it is complete or not."""
    try:
        data = path.read_bytes()
    except OSError:
        return 0
    return len(_OBJECT.findall(_COMMENT.sub(b"", data) if b"<!--" in data else data))


def _parses(path: Path) -> bool:
    try:
        parse_xml(path)
    except RecordError:
        return False
    return True


def _image(root: Element, path: Path, source: Source, names: ImageNames, parts: Sequence[str | None]) -> AnnotatedImage:
    objects = []
    before = len(source.losses.dropped)
    for position, element in enumerate(root.findall("object")):
        name = f"{path.stem}-{position}"
        try:
            objects.append(_object(element, name, parts[position] if position < len(parts) else None))
        except RecordError as error:
            source.losses.drop(error.at(file=path, record=name))
    file_name = names.named((root.findtext("filename") or "").strip() or f"{path.stem}.jpg", field="filename")
    width, height = size_written(root, path, source) or source.size_of(file_name) or (None, None)
    return AnnotatedImage(
        source_id=path.stem,
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(objects),
        is_complete=len(source.losses.dropped) == before,
        file=path,
    )


def _object(element: Element, name: str, part: str | None) -> AnnotatedObject:
    texts = {child.tag: child.text for child in element}
    corners = {child.tag: child.text for child in element.iterfind("bndbox/*")}
    return AnnotatedObject(
        source_id=name,
        bbox=checked_box([corners.get(edge) for edge in _EDGES], voc_to_xyxy, field="bndbox"),
        category=_text(texts, "name"),
        phrase=_text(texts, "description"),
        split=part,
    )


def _text(texts: Mapping[str, str | None], tag: str) -> str | None:
    text = texts.get(tag)
    return sentence(text, field=tag) if text and text.strip() else None


register_source_format(
    SourceFormat(
        name="dior-rsvg",
        title="DIOR-RSVG: XML files with a referring expression for each object",
        read=read,
        citation="Y. Zhan, Z. Xiong, Y. Yuan: RSVG: Exploring Data and Models for Visual Grounding on Remote Sensing "
        "Data. IEEE TGRS 61, 2023. Images: DIOR (K. Li et al., ISPRS 159, 2020). For research.",
    )
)
