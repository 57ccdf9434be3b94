"""Boxes as people give them: on the command line, in a file of their own, or in an annotation file."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mgimm_plugin.errors import BoxError, MgimmError
from mgimm_plugin.geometry import as_boxes, grid_boxes, xywh_to_xyxy

Box = tuple[float, float, float, float]


class NamedBox(NamedTuple):
    """A box of a file.

    Attributes:
        box: xyxy in pixels.
        name: Its ``category`` or ``label``; empty where it has none, and for COCO, whose classes are numbers.
        size: (width, height) of its image in pixels, where the file says it.
    """

    box: Box
    name: str = ""
    size: tuple[float, float] | None = None


_SEPARATOR = re.compile(r"[,;\s]+")


def parse_box(text: str) -> Box:
    """Read ``x1,y1,x2,y2`` in pixels.

    Raises:
        BoxError: Not four numbers, or reversed corners.
    """
    parts = _SEPARATOR.split(text.strip())
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise BoxError(f"{text!r} is not a box: four numbers x1,y1,x2,y2 are needed")
    return _checked(numbers, repr(text))


def parse_regions(text: str, width: int, height: int) -> list[Box]:
    """Read ``grid:ROWSxCOLUMNS`` for an image of that size in pixels.

    Raises:
        MgimmError: Another form.
    """
    kind, _, grid = text.partition(":")
    if kind != "grid" or not grid:
        raise MgimmError(f"regions {text!r} are not known; write for example grid:3x4 (three rows of four cells)")
    return _tuples(grid_boxes(grid, width, height))


def read_boxes_file(path: Path, image: Path, size: tuple[int, int]) -> list[Box]:
    """Read the boxes of one image from a file, each once.

    Args:
        path: A file as of ``read_named_boxes``.
        image: The image.
        size: (width, height) of the image in pixels.

    Raises:
        BoxError: A box is not one; file and place are named.
        MgimmError: The file has another form, no box for this image, or says that it has another size.
    """
    found = read_named_boxes(path, image)
    check_size_told(found, size, f"boxes file {path}")
    return list(dict.fromkeys(each.box for each in found))


def check_size_told(boxes: Iterable[NamedBox], size: tuple[int, int], source: str) -> None:
    """Refuse boxes of an image of another size: they would be in another frame.

    Args:
        boxes: The boxes.
        size: (width, height) in pixels of the image that they are for.
        source: Where the boxes are from, for the error.

    Raises:
        MgimmError: With both sizes.
    """
    for width, height in {each.size for each in boxes if each.size} - {size}:
        raise MgimmError(
            f"{source} has boxes of an image of {width:g}x{height:g} pixels; this one has {size[0]}x{size[1]}: "
            "give the image in that size, or boxes of this one"
        )


def read_named_boxes(path: Path, image: Path | None = None) -> list[NamedBox]:
    """Read boxes from a file, whose form is told by its content.

    Understood are lines of ``x1 y1 x2 y2``; a JSON list of ``[x1, y1, x2, y2]`` or of objects with ``bbox``; COCO
    (``annotations`` with ``bbox`` as x, y, width, height); and records of this package, as a JSON array or JSONL.

    Where a file has several images, the one is meant whose name is the longest end of the image's path: ``b/1.jpg``,
    not ``a/1.jpg``, for ``set/b/1.jpg``. Boxes that name no image are taken for any.

    Args:
        path: The file.
        image: The image whose boxes are taken; None takes all.

    Raises:
        BoxError: A box is not one; file and place are named.
        MgimmError: The file has another form, no box for this image, or does not tell which of its images it is.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MgimmError(f"boxes file {path} cannot be read: {error}") from error
    boxes = list(dict.fromkeys(_boxes_in(text, path, image)))
    if not boxes:
        raise MgimmError(f"boxes file {path} has no box{f' for {image}' if image else ''}")
    return boxes


def _boxes_in(text: str, path: Path, image: Path | None) -> Iterator[NamedBox]:
    if not text.lstrip().startswith(("[", "{")):
        yield from _lines(text, path)
        return
    value = _decode(text, path)
    if isinstance(value, Mapping):
        if "annotations" in value:
            yield from _coco(value, path, image)
            return
        value = [value]
    if value and all(isinstance(item, int | float) for item in value):
        value = [value]
    is_of = _chooser((item.get("image") for item in value if isinstance(item, Mapping)), image, path)
    for number, item in enumerate(value):
        where = f"{path}, entry {number}"
        if isinstance(item, list):
            yield NamedBox(_checked(item, where))
        elif isinstance(item, Mapping) and "bbox" in item:
            _check_no_result(item, where)
            if is_of(item.get("image")):
                yield NamedBox(_checked(item["bbox"], where), _name_of(item))
        elif isinstance(item, Mapping) and isinstance(item.get("regions", []), list):
            if is_of(item.get("image")):
                for region in item.get("regions", []):
                    region = region if isinstance(region, Mapping) else {"bbox": region}
                    yield NamedBox(_checked(region.get("bbox"), where), _name_of(region), _size_of(item))
        else:
            raise MgimmError(f"{where}: neither a box, nor an object with bbox, nor a record with regions")


def _name_of(item: Mapping[str, Any]) -> str:
    name = item.get("category") or item.get("label")
    return name if isinstance(name, str) else ""


def _size_of(item: Mapping[str, Any]) -> tuple[float, float] | None:
    width, height = item.get("width"), item.get("height")
    return (width, height) if isinstance(width, int | float) and isinstance(height, int | float) else None


def _decode(text: str, path: Path) -> Any:
    """One JSON value, or JSON lines as a list."""
    # Beside broken JSON: numbers of thousands of digits (ValueError), and brackets without end.
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as whole:
        try:
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            raise MgimmError(f"boxes file {path} is not valid JSON: {whole}") from whole


def _lines(text: str, path: Path) -> Iterator[NamedBox]:
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#")[0].strip()
        if content:
            try:
                yield NamedBox(parse_box(content))
            except BoxError as error:
                raise BoxError(error.message, file=path, index=number - 1) from error


def _check_no_result(item: Mapping[str, Any], where: str) -> None:
    """A detector's results for COCO look like our boxes, and are in another frame."""
    for field in ("image_id", "category_id"):
        if field in item:
            raise BoxError(
                f"{where} has {field}, as results for COCO have: its box may be x, y, width, height; give the COCO "
                "file with images and annotations"
            )


def _coco(value: Mapping[str, Any], path: Path, image: Path | None) -> Iterator[NamedBox]:
    images = {str(entry.get("id")): entry for entry in _objects(value.get("images", []), "images", path)}
    annotations = _objects(value["annotations"], "annotations", path)
    if image is not None and not images and len({str(entry.get("image_id")) for entry in annotations}) > 1:
        raise MgimmError(f"boxes file {path} has annotations of several images, and no images to tell which is {image}")
    is_of = _chooser((entry.get("file_name") for entry in images.values()), image, path)
    for number, annotation in enumerate(annotations):
        entry = images.get(str(annotation.get("image_id")), {})
        # An annotation whose image is not listed is of another image than one that is.
        if not images or image is None or (entry.get("file_name") is not None and is_of(entry["file_name"])):
            where = f"{path}, annotation {number}"
            box = _checked(_tuples(xywh_to_xyxy([_four(annotation.get("bbox"), where)]))[0], where)
            yield NamedBox(box, size=_size_of(entry))


def _objects(value: object, field: str, path: Path) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise MgimmError(f"boxes file {path}: {field} must be a list of objects")
    return value


def _chooser(names: Iterable[object], image: Path | None, path: Path) -> Callable[[object], bool]:
    """What tells whether an entry belongs to the image: it names it, or names none."""
    if image is None:
        return lambda name: True
    place = Path(os.path.abspath(image)).parts
    found = {_parts(name) for name in names if name is not None}
    longest = max((_common_end(parts, place) for parts in found), default=0)
    best = {parts for parts in found if longest and _common_end(parts, place) == longest}
    # Of names with the same end, one that is nothing but that end is the image's.
    best = {parts for parts in best if len(parts) == longest} or best
    if len(best) > 1:
        one, other, *_ = sorted("/".join(parts) for parts in best)
        raise MgimmError(
            f"boxes file {path} has boxes of {one} and of {other}, and does not tell which of them is {image}; "
            "give the image in its folder, or a file with its boxes alone"
        )
    return lambda name: name is None or _parts(name) in best


def _parts(name: object) -> tuple[str, ...]:
    return PurePosixPath(str(name).replace("\\", "/")).parts


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts, from the last on, two paths have in common."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((length for length, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _four(value: object, where: str) -> list[float]:
    is_box = isinstance(value, Sequence) and len(value) == 4
    if not is_box or not all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):  # type: ignore[attr-defined]
        raise BoxError(f"{where}: {value!r} is not a box: four numbers are needed")
    try:
        return [float(item) for item in value]  # type: ignore[attr-defined]
    except OverflowError as error:
        raise BoxError(f"{where}: {error}") from error


def _checked(value: object, where: str) -> Box:
    x1, y1, x2, y2 = _four(value, where)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise BoxError(f"{where} has a number that is not finite")
    if not (x1 < x2 and y1 < y2):
        raise BoxError(f"{where} encloses nothing: it must have x1 < x2 and y1 < y2 (is it x, y, width, height?)")
    return (float(x1), float(y1), float(x2), float(y2))


def _tuples(boxes: Any) -> list[Box]:
    return [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in as_boxes(boxes)]
