"""Formats of one text file for each image and one line for each object: DOTA, NWPU VHR-10, YOLO."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.class_lists import find_classes, is_class_list
from mgimm_plugin.data.prepare.readers.image_names import ImageNames, image_of_each
from mgimm_plugin.data.prepare.reading import files_in, read_text
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points, number, shown, whole, words
from mgimm_plugin.errors import BoxError, RecordError
from mgimm_plugin.geometry import fractions_to_pixels, points_to_xyxy, voc_to_xyxy, yolo_to_xyxy

VHR10_CLASSES: Final = (
    "airplane",
    "ship",
    "storage tank",
    "baseball diamond",
    "tennis court",
    "basketball court",
    "ground track field",
    "harbor",
    "bridge",
    "vehicle",
)
"""The classes of NWPU VHR-10 by their number, from 1."""

_BESIDE: Final = frozenset({"readme", "source", "license", "train", "val", "valid", "test", "trainval"})
"""Stems of text files that lie beside labels and are none."""
_META: Final = re.compile(r"\s*(imagesource|gsd|acquisition dates|acquisition date)\s*:\s*(.*?)\s*", flags=re.I)
_VHR10: Final = re.compile(r"\(\s*([^(),]+),\s*([^(),]+)\)\s*,\s*\(\s*([^(),]+),\s*([^(),]+)\)\s*,\s*(\S+)")

_VHR10_FRAME: Final = (
    "NWPU VHR-10 does not say in which frame its corners are. They are taken for pixels from 1, both corners inside "
    "the box, as in Pascal VOC: no corner of the published files is 0."
)

Lines = list[tuple[int, str]]
Parse = Callable[[str, str, tuple[int, int] | None], AnnotatedObject]


def read_dota(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of DOTA label files: an oriented box of eight numbers, a class and a flag on each line.

    Raises:
        RecordError: The inputs have no text file.
    """
    return _read(source, _dota_object, ".png")


def read_vhr10(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of NWPU VHR-10: ``(x1,y1),(x2,y2),class`` on each line.

    Raises:
        RecordError: The inputs have no text file.
    """
    classes = source.classes or VHR10_CLASSES
    source.losses.note(_VHR10_FRAME)

    def parse(line: str, name: str, size: tuple[int, int] | None) -> AnnotatedObject:
        match = _VHR10.fullmatch(line)
        if match is None:
            raise RecordError(f"must be (x1,y1),(x2,y2),class, not {shown(line)}")
        *corners, class_number = match.groups()
        return AnnotatedObject(
            source_id=name,
            bbox=checked_box(corners, voc_to_xyxy, field="bbox"),
            category=_class_of(class_number, classes, first=1),
        )

    return _read(source, parse, ".jpg")


def read_yolo(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of YOLO labels: a class number and a box, or an outline, in fractions, on each line.

    Raises:
        RecordError: The inputs have no text file, there are no names of classes, or nothing tells the images' sizes.
    """
    classes = source.classes or find_classes(source.inputs)
    if not classes:
        raise RecordError(
            "YOLO labels have class numbers only, and there is no classes.txt, *.names or data.yaml beside them: "
            "name a file of class names, one a line, with --classes"
        )
    if source.images is None and source.image_size is None:
        raise RecordError(
            "YOLO labels are fractions of the image: give the images (--images), or their size (--image-size 1024x768)"
        )

    def parse(line: str, name: str, size: tuple[int, int] | None) -> AnnotatedObject:
        if size is None:
            raise RecordError("the image's size is not known", field="bbox")
        class_number, *values = line.split()
        category = _class_of(class_number, classes, first=0)
        if len(values) in (4, 5):  # a fifth is a detector's confidence
            box = checked_box(values[:4], lambda boxes: yolo_to_xyxy(boxes, *size), field="bbox")
            extra = {"confidence": number(values[4], field="confidence")} if len(values) == 5 else {}
            return AnnotatedObject(source_id=name, bbox=box, category=category, extra=extra)
        points = checked_points(_pairs(values), lambda points: fractions_to_pixels(points, *size), field="polygon")
        return _outlined(name, points, category)

    return _read(source, parse, ".jpg", in_fractions=True)


def _read(source: Source, parse: Parse, suffix: str, *, in_fractions: bool = False) -> Iterator[AnnotatedImage]:
    found = files_in(source.inputs, {".txt"})
    beside = {path for path in found if path not in source.inputs and _is_beside(path)}
    paths = [path for path in found if path not in beside]
    if beside:
        left = ", ".join(sorted({path.name for path in beside}))
        source.losses.note(
            f"By their names taken for lists and notes, not for labels: {left}. One that is given as an input is read."
        )
    if not paths:
        raise RecordError("the inputs have no label file, only lists and notes")

    def image(path: Path, name: str, names: ImageNames) -> AnnotatedImage:
        file_name = names.beside(path, suffix)
        size = source.size_of(file_name)
        if in_fractions and size is None:
            raise RecordError(
                f"the size of {file_name} is not known: it is not among the images, or cannot be read", field="image"
            )
        if in_fractions:
            source.take_fractions(file_name)
        extra, lines = _meta(read_text(path).splitlines())
        before = len(source.losses.dropped)
        objects = tuple(_objects(source, path, name, lines, size, parse))
        width, height = size or (None, None)
        return AnnotatedImage(
            source_id=name,
            file_name=file_name,
            width=width,
            height=height,
            objects=objects,
            is_complete=len(source.losses.dropped) == before,
            extra=extra,
            file=path,
        )

    return image_of_each(paths, source, image)


def _is_beside(path: Path) -> bool:
    stem = path.stem.lower()
    try:
        return stem in _BESIDE or stem.startswith("readme.") or is_class_list(path)  # Roboflow's README.dataset.txt
    except RecordError:
        return False  # it cannot be read: where it is, that is told


def _objects(
    source: Source,
    path: Path,
    name: str,
    lines: Lines,
    size: tuple[int, int] | None,
    parse: Parse,
) -> Iterator[AnnotatedObject]:
    for position, (index, line) in enumerate(lines):
        item = f"{name}-{position}"
        try:
            yield parse(line, item, size)
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index, record=item))


def _meta(lines: list[str]) -> tuple[Mapping[str, Any], Lines]:
    """What a file says of its image, and its other lines that are not blank."""
    extra = {}
    rest = []
    for index, line in enumerate(lines):
        match = _META.fullmatch(line)
        if match is not None:
            if match[2].lower() not in ("", "null", "none"):
                extra[match[1].lower().replace(" ", "_")] = match[2]
        elif line.strip():
            rest.append((index, line.strip()))
    return extra, rest


def _dota_object(line: str, name: str, size: tuple[int, int] | None) -> AnnotatedObject:
    values = line.split()
    if len(values) < 9:
        raise RecordError(f"must be eight numbers, a class and a flag, not {shown(line)}")
    points = checked_points(_pairs(values[:8]), field="polygon")
    flagged = len(values) > 9 and re.fullmatch(r"-?\d", values[-1]) is not None
    category = words(" ".join(values[8:-1] if flagged else values[8:]), field="category")
    return _outlined(name, points, category, {"difficult": int(values[-1])} if flagged and values[-1] != "0" else {})


def _outlined(
    name: str, points: tuple[tuple[float, float], ...], category: str, extra: Mapping[str, Any] | None = None
) -> AnnotatedObject:
    ((x1, y1, x2, y2),) = points_to_xyxy(points).tolist()
    return AnnotatedObject(
        source_id=name,
        bbox=checked_box([x1, y1, x2, y2], field="polygon"),
        category=category,
        polygon=points,
        extra=extra or {},
    )


def _pairs(values: list[str]) -> list[list[str]]:
    if len(values) % 2:
        raise BoxError(f"has {len(values)} numbers where pairs of x and y are due", field="polygon")
    return [values[place : place + 2] for place in range(0, len(values), 2)]


def _class_of(value: str, names: Sequence[str], *, first: int) -> str:
    place = whole(value, field="category") - first
    if not 0 <= place < len(names):
        raise RecordError(f"class {shown(value)} has no name: there are {len(names)}, from {first}", field="category")
    return words(names[place], field="category")


register_source_format(
    SourceFormat(
        name="dota",
        title="DOTA: labelTxt files with oriented boxes",
        read=read_dota,
        citation="G.-S. Xia et al.: DOTA: A Large-scale Dataset for Object Detection in Aerial Images. CVPR 2018. "
        "For academic use only.",
    )
)
register_source_format(
    SourceFormat(
        name="vhr10",
        title="NWPU VHR-10: text files with (x1,y1),(x2,y2),class",
        read=read_vhr10,
        citation="G. Cheng et al.: Multi-class geospatial object detection and geographic image classification based "
        "on collection of part detectors. ISPRS 98, 2014. For research.",
    )
)
register_source_format(
    SourceFormat(name="yolo", title="YOLO: text files with class numbers and boxes in fractions", read=read_yolo)
)
