"""Tables of any kind, CSV, JSONL or JSON: the user says which column holds what (``--column phrase=expression``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.csv_rows import csv_rows
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain
from mgimm_plugin.data.prepare.readers.json_files import json_entries
from mgimm_plugin.data.prepare.reading import files_in
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

_OF_FRACTIONS: Final = ("yolo", "fractions")
_AS_WRITTEN: Final = ("id", "width", "height")
_CORNERS: Final = ("x1", "y1", "x2", "y2")
_JSON: Final = (".json", ".jsonl")
_TOLD_OTHERWISE: Final = "value of a row about the whole image left out: an earlier row says another"


@dataclass(slots=True)
class _Gathered:
    """An image and what the rows have said of it so far."""

    file: Path
    index: int
    name: str | None = None
    size: tuple[int, int] | None = None
    splits: set[str] = field(default_factory=set)
    objects: list[AnnotatedObject] = field(default_factory=list)
    is_complete: bool = True  # not where one of its objects was dropped
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
        gathering.add(path)
    yield from gathering.images()


class _Gathering:
    def __init__(self, source: Source) -> None:
        self._source, self._losses, self._names = source, source.losses, ImageNames(source)
        self._images: dict[str, _Gathered] = {}
        self._ids: set[str] = set()

    def add(self, path: Path) -> None:
        """Take in one table, as far as it can be read."""
        rows = json_entries(path, self._losses) if path.suffix.lower() in _JSON else csv_rows(path)
        seen: set[str] = set()
        nameless: list[int] = []  # rows without a column of images
        count = 0
        try:
            for index, row in rows:
                count += 1
                seen.update(row)
                columns = self._columns(row)
                if "image" not in columns:
                    nameless.append(index)
                    continue
                try:
                    self._row(row, columns, path, index)
                except RecordError as error:
                    self._losses.drop(error.at(file=path, index=index))
        except RecordError as error:
            self._losses.drop(error.at(file=path))
            if not count:
                return
        self._account_for_columns(seen, nameless, count, path)

    def _account_for_columns(self, seen: set[str], nameless: Sequence[int], count: int, path: Path) -> None:
        """Tell which columns are not there, given those that are and the rows without one of images."""
        there = ", ".join(map(shown, sorted(map(str, seen))[:20]))
        if len(nameless) < count:
            for index in nameless:
                self._losses.drop(RecordError("is missing", file=path, index=index, field="image"))
        elif count and "image" not in self._source.columns:
            message = (
                f"none of its columns is known to name the image, and none of its {count} rows is read; there are "
                f"{there}: say which it is with --column image=..."
            )
            self._losses.drop(RecordError(message, file=path, field="image"))
        for name, column in self._source.columns.items():
            if name == "frame" and column not in FRAMES and column not in seen:
                message = f"frame={column} is neither a column of {path.name} nor a frame: {', '.join(FRAMES)}"
                raise SettingError(f"--column {message}")
            if column not in seen and not (name == "frame" and column in FRAMES):
                self._losses.drop(RecordError(f"has no column {column!r}; there are {there}", file=path, field=name))

    def _columns(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The column of each thing that the row has."""
        chosen = self._source.columns
        # A usual name that the user has given to another thing (x2=width, for xywh) is of that thing alone.
        free = [column for column in row if column not in chosen.values()]
        written = {column: column for column in free}
        # Numbers of classes are called ID as well, sides of boxes Width: these mean something as they are alone.
        in_any_case = {column.lower(): column for column in free} | written
        found = {
            name: chosen[name] if name in chosen else next((there[one] for one in usual if one in there), None)
            for name, usual in COLUMNS.items()
            for there in [written if name in _AS_WRITTEN else in_any_case]
        }
        return {name: column for name, column in found.items() if column is not None and column in row}

    def _row(self, row: Mapping[str, Any], columns: Mapping[str, str], path: Path, index: int) -> None:
        values = {name: row[column] for name, column in columns.items()}
        file_name = self._names.named(values["image"], field="image")
        image = self._images.setdefault(file_name, _Gathered(path, index))
        has_box = not all(_is_blank(values.get(corner)) for corner in ("bbox", *_CORNERS))
        try:
            split = None if _is_blank(values.get("split")) else words(values["split"], field="split")
            if split is not None:
                image.splits.add(split)
            # The texts first: they are good whatever is wrong with the box.
            image.captions += self._texts(values, "caption", file=path, index=index)
            image.descriptions += self._texts(values, "description", file=path, index=index)
            name = None if _is_blank(values.get("id")) else identity(values["id"], field="id")
            # Of a whole image they have no place of their own.
            spare = () if has_box else ("category", "phrase")
            used = {column for thing, column in columns.items() if thing not in spare}
            extra = plain({str(key): value for key, value in row.items()}, used, self._losses)
            if not has_box:
                other = sum(image.extra.get(key, value) != value for key, value in extra.items())
                self._losses.change(_TOLD_OTHERWISE, other + (None not in (name, image.name) and name != image.name))
                image.name = image.name or name
                image.extra = extra | image.extra
            size = _size(values)
            if size is not None and image.size not in (None, size):
                raise RecordError(f"an earlier row says that {file_name} is of another size", field="width")
            image.size = image.size or size or self._source.size_of(file_name)
            item = name or f"{file_name}-{len(image.objects)}"
            found = self._object(values, item, image.size, split, extra) if has_box else None
        except RecordError:
            image.is_complete &= not has_box
            raise
        if found is not None:
            self._add_object(found, image)
            if self._frame_of(values) in _OF_FRACTIONS:
                self._source.take_fractions(file_name)

    def _texts(self, values: Mapping[str, Any], thing: str, **where: Any) -> Iterator[str]:
        """A text, a list of texts, or a list of texts as JSON in a cell; a bad one costs itself alone."""
        value = values.get(thing)
        if _is_blank(value):
            return
        if isinstance(value, str) and value.lstrip().startswith('["'):
            try:
                value = json.loads(value)
            except ValueError:
                value = [value]
        items = (
            {f"{thing}[{place}]": item for place, item in enumerate(value)}
            if isinstance(value, list)
            else {thing: value}
        )
        for field_name, item in items.items():
            try:
                yield sentence(item, field=field_name)
            except RecordError as error:
                self._losses.drop(error.at(**where))

    def _add_object(self, item: AnnotatedObject, image: _Gathered) -> None:
        name = item.source_id
        if name in self._ids:
            image.is_complete &= item in image.objects
            raise RecordError("an object of this id came before; this one is left out", record=name, field="id")
        self._ids.add(name)
        image.objects.append(item)

    def _object(
        self,
        values: Mapping[str, Any],
        name: str,
        size: tuple[int, int] | None,
        split: str | None,
        extra: dict[str, Any],
    ) -> AnnotatedObject:
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
        return AnnotatedObject(source_id=name, bbox=bbox, category=category, phrase=phrase, split=split, extra=extra)

    def _frame_of(self, values: Mapping[str, Any]) -> Any:
        frame = self._source.columns.get("frame")
        if frame in FRAMES:
            return frame
        return "xyxy" if _is_blank(values.get("frame")) else values["frame"]

    def _frame(self, values: Mapping[str, Any], size: tuple[int, int] | None) -> Callable[[Any], Boxes]:
        """The conversion from the frame of the table's boxes."""
        frame = self._frame_of(values)
        if frame in _OF_FRACTIONS:
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
        self._note_splits()
        for file_name, image in self._images.items():
            width, height = image.size or (None, None)
            yield AnnotatedImage(
                source_id=ids.unique(image.name or file_name),
                file_name=file_name,
                width=width,
                height=height,
                objects=tuple(image.objects),
                is_complete=image.is_complete,
                captions=tuple(image.captions),
                descriptions=tuple(image.descriptions),
                # Of several splits it is in none, so that nothing leaks.
                split=next(iter(image.splits)) if len(image.splits) == 1 else None,
                extra=image.extra,
                file=image.file,
                index=image.index,
            )

    def _note_splits(self) -> None:
        mixed = [
            name
            for name, image in self._images.items()
            if len(image.splits) > 1 and (image.captions or image.descriptions)
        ]
        if mixed:
            self._losses.note(
                f"Images with texts whose rows are of several splits: {len(mixed)}, the first {mixed[0]}. Their texts "
                "are in no split, so that none is in two."
            )


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
