"""Tables of any kind, CSV, JSONL or JSON: the user says which column holds what (``--column phrase=expression``)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain
from mgimm_plugin.data.prepare.readers.json_files import json_entries
from mgimm_plugin.data.prepare.reading import files_in, read_text
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_size, sentence, shown, words
from mgimm_plugin.errors import RecordError, SettingError
from mgimm_plugin.geometry import Boxes, as_boxes, fractions_to_pixels, voc_to_xyxy, xywh_to_xyxy, yolo_to_xyxy

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image", "image_path", "file_name", "filename", "img", "image_name", "path"),
    "bbox": ("bbox", "box", "xyxy"),
    "x1": ("x1", "xmin", "left"),
    "y1": ("y1", "ymin", "top"),
    "x2": ("x2", "xmax", "right"),
    "y2": ("y2", "ymax", "bottom"),
    "category": ("category", "label", "class", "class_name", "name"),
    "phrase": ("phrase", "referring_sentence", "expression"),
    "caption": ("caption", "captions", "sentence", "sentences"),
    "description": ("description",),
    "id": ("id",),
    "split": ("split",),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "frame": ("frame",),
}
"""What a table may hold, and the columns it is looked for in where the user names none."""

FRAMES: Final = ("xyxy", "voc", "xywh", "yolo", "fractions")
"""Frames of boxes; ``fractions`` are xyxy in parts of the image."""

_CORNERS: Final = ("x1", "y1", "x2", "y2")
_JSON: Final = (".json", ".jsonl")


@dataclass(slots=True)
class _Gathered:
    """An image and what the rows have said of it so far."""

    file: Path
    index: int
    name: str | None = None
    size: tuple[int, int] | None = None
    split: str | None = None
    objects: list[AnnotatedObject] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of tables; rows about the same image go together, wherever they stand.

    Raises:
        RecordError: The inputs have no table.
        SettingError: ``--column`` names something that a table cannot hold.
    """
    unknown = sorted(source.columns.keys() - COLUMNS.keys())
    if unknown:
        raise SettingError(f"--column {unknown[0]}=... is not known; there are {', '.join(COLUMNS)}")
    gathering = _Gathering(source)
    for path in files_in(source.inputs, {".csv", ".tsv", *_JSON}):
        try:
            gathering.add(path)
        except RecordError as error:
            source.losses.drop(error.at(file=path))
    yield from gathering.images()


class _Gathering:
    def __init__(self, source: Source) -> None:
        self._source, self._losses, self._names = source, source.losses, ImageNames(source)
        self._images: dict[str, _Gathered] = {}
        self._ids: set[str] = set()

    def add(self, path: Path) -> None:
        """Take in one table."""
        rows = json_entries(path, self._losses) if path.suffix.lower() in _JSON else _csv_rows(path)
        seen: set[str] = set()
        for index, row in rows:
            seen.update(row)
            columns = self._columns(row)
            try:
                self._row(
                    {name: row.get(column) for name, column in columns.items()}, row, set(columns.values()), path, index
                )
            except RecordError as error:
                self._losses.drop(error.at(file=path, index=index))
        for name, column in self._source.columns.items():
            if name == "frame" and column not in FRAMES and column not in seen:
                message = f"frame={column} is neither a column of {path.name} nor a frame: {', '.join(FRAMES)}"
                raise SettingError(f"--column {message}")
            if column not in seen and not (name == "frame" and column in FRAMES):
                there = ", ".join(map(shown, sorted(map(str, seen))[:20]))
                self._losses.drop(RecordError(f"has no column {column!r}; there are {there}", file=path, field=name))

    def _columns(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The column of each thing that the row has."""
        chosen = self._source.columns
        # A usual name that the user has given to another thing (x2=width, for xywh) is of that thing alone.
        free = row.keys() - chosen.values()
        found = {
            name: chosen[name] if name in chosen else next((column for column in usual if column in free), None)
            for name, usual in COLUMNS.items()
        }
        return {name: column for name, column in found.items() if column is not None and column in row}

    def _row(self, values: Mapping[str, Any], row: Mapping[str, Any], used: set[str], path: Path, index: int) -> None:
        file_name = self._names.named(values.get("image"), field="image")
        image = self._images.setdefault(file_name, _Gathered(path, index))
        size = _size(values)
        if size is not None and image.size not in (None, size):
            raise RecordError(f"an earlier row says that {file_name} is of another size", field="width")
        image.size = image.size or size or self._source.size_of(file_name)
        name = None if _is_blank(values.get("id")) else identity(values["id"], field="id")
        extra = plain({str(key): value for key, value in row.items()}, used, self._losses)
        split = None if _is_blank(values.get("split")) else words(values["split"], field="split")
        captions, descriptions = (_texts(values.get(column), column) for column in ("caption", "description"))
        has_box = not all(_is_blank(values.get(corner)) for corner in ("bbox", *_CORNERS))
        if has_box:
            image.objects.append(
                self._object(values, name or f"{file_name}-{len(image.objects)}", image.size, split, extra)
            )
        else:
            image.name, image.split = image.name or name, image.split or split
            image.extra |= extra
        image.captions += captions
        image.descriptions += descriptions

    def _object(
        self,
        values: Mapping[str, Any],
        name: str,
        size: tuple[int, int] | None,
        split: str | None,
        extra: dict[str, Any],
    ) -> AnnotatedObject:
        if name in self._ids:
            raise RecordError("an object of this id came before; this one is left out", record=name, field="id")
        corners = values.get("bbox")
        if _is_blank(corners):
            corners = [values.get(corner) for corner in _CORNERS]
        elif isinstance(corners, str):
            corners = [part for part in re.split(r"[\s,;]+", corners.strip(" []()")) if part]
        category, phrase = (
            None if _is_blank(values.get(column)) else sentence(_text(values[column]), field=column)
            for column in ("category", "phrase")
        )
        bbox = checked_box(corners, self._frame(values, size), record=name, field="bbox")
        self._ids.add(name)
        return AnnotatedObject(source_id=name, bbox=bbox, category=category, phrase=phrase, split=split, extra=extra)

    def _frame(self, values: Mapping[str, Any], size: tuple[int, int] | None) -> Callable[[Any], Boxes]:
        """The conversion from the frame of the table's boxes."""
        frame = self._source.columns.get("frame")
        if frame not in FRAMES:
            frame = "xyxy" if _is_blank(values.get("frame")) else values["frame"]
        if frame in ("yolo", "fractions"):
            if size is None:
                raise RecordError(
                    "boxes are fractions of the image, and its size is not known: give the images (--images), or "
                    "their size (--image-size)",
                    field="bbox",
                )
            if frame == "yolo":
                return lambda boxes: yolo_to_xyxy(boxes, *size)
            return lambda boxes: fractions_to_pixels(boxes, *size).reshape(-1, 4)
        if frame not in FRAMES:
            raise RecordError(f"is {shown(frame)}; there are {', '.join(FRAMES)}", field="frame")
        return {"xyxy": as_boxes, "voc": voc_to_xyxy, "xywh": xywh_to_xyxy}[frame]

    def images(self) -> Iterator[AnnotatedImage]:
        """Yield the images of all tables."""
        ids = Ids(self._losses)
        for file_name, image in self._images.items():
            width, height = image.size or (None, None)
            yield AnnotatedImage(
                source_id=ids.unique(image.name or file_name),
                file_name=file_name,
                width=width,
                height=height,
                objects=tuple(image.objects),
                captions=tuple(image.captions),
                descriptions=tuple(image.descriptions),
                split=image.split or _shared({item.split for item in image.objects}),
                extra=image.extra,
                file=image.file,
                index=image.index,
            )


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV file by the names in its first line; the delimiter is the one that line has most of."""
    text = read_text(path)
    first = next((line for line in text.split("\n", 100) if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="", skipinitialspace=True)
        rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
        yield from enumerate(rows)
    except csv.Error as error:
        raise RecordError(f"is no CSV: {error}", file=path) from error


def _texts(value: object, field: str) -> list[str]:
    """A text, a list of texts, or a list of texts as JSON in a cell."""
    if _is_blank(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith('["'):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    values = value if isinstance(value, list) else [value]
    return [sentence(item, field=field) for item in values]


def _shared(splits: set[str | None]) -> str | None:
    """The split of an image whose objects are all of one; of several it is in none, so that nothing leaks."""
    return splits.pop() if len(splits) == 1 else None


def _text(value: object) -> object:
    """A number as a text: class names may be numbers."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    sides = values.get("width"), values.get("height")
    return None if any(map(_is_blank, sides)) else checked_size(*sides)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


register_source_format(
    SourceFormat(
        name="table",
        title="CSV, JSONL or JSON: --column says which column holds what",
        read=read,
    )
)
