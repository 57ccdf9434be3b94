"""COCO: images with captions, with boxes, or with both; several files about the same images go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain, size_told
from mgimm_plugin.data.prepare.readers.json_files import first_of, objects_of
from mgimm_plugin.data.prepare.reading import files_in, load_json
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points, sentence, shown, words
from mgimm_plugin.data.records import Box, Polygon
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import points_to_xyxy, xywh_to_xyxy

_IMAGE_FIELDS: Final = ("id", "file_name", "width", "height", "split")
_OBJECT_FIELDS: Final = (
    "id", "image_id", "category_id", "category", "bbox", "segmentation", "caption", "iscrowd",
)  # fmt: skip
_RLE: Final = "mask in run-length code left out: the box is kept"
_PARTS: Final = "mask of several parts left out: the box is kept"
_PARTS_ALONE: Final = "mask of several parts left out: the box around them all is kept"


@dataclass(slots=True)
class _Gathered:
    """An image and what the files have said of it so far."""

    entry: Mapping[str, Any]
    file: Path
    index: int
    objects: list[AnnotatedObject] = field(default_factory=list)
    is_complete: bool = True  # not where one of its objects was dropped
    captions: list[str] = field(default_factory=list)
    listed: int = 0  # how often files list it
    boxed: dict[tuple[Path, str], None] = field(default_factory=dict)  # file and image id of its boxes, in order


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of COCO files.

    Raises:
        RecordError: The inputs have no JSON file, or no file has images.
    """
    gathering = _Gathering(source)
    for path, value in _files(source):
        gathering.add(value, path)
    yield from gathering.images()


def _files(source: Source) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """What each file holds, files that list images first: those without speak of them."""
    without_images = []
    for path in files_in(source.inputs, {".json"}):
        try:
            value = load_json(path)
            if isinstance(value, list):  # results: a bare list of annotations
                value = {"annotations": value}
            if not isinstance(value, dict) or not value.keys() & {"images", "annotations"}:
                raise RecordError("is no COCO file: it has neither images nor annotations")
        except RecordError as error:
            source.losses.drop(error.at(file=path))
            continue
        if value.get("images"):
            yield path, value
        else:
            without_images.append((path, value))
    yield from without_images


class _Gathering:
    def __init__(self, source: Source) -> None:
        self._source, self._losses, self._names = source, source.losses, ImageNames(source)
        self._by_name: dict[str, _Gathered] = {}
        self._by_id: dict[str, list[_Gathered]] = {}  # of all files: one id may stand for several images

    def add(self, value: Mapping[str, Any], path: Path) -> None:
        """Take in what a file holds."""
        images = self._images(value, path) if value.get("images") else self._by_id
        categories = self._categories(value, path)
        seen: dict[str, Mapping[str, Any]] = {}
        for index, entry in objects_of(value.get("annotations"), self._losses, "annotations", file=path):
            where = f"annotations[{index}]"
            try:
                self._annotation(entry, images, categories, seen, path, where)
            except RecordError as error:
                name = entry.get("id")
                record = name if isinstance(name, str | int) else None
                inner = f"{where}.{error.field}" if error.field else where
                self._losses.drop(type(error)(error.message, file=path, index=index, record=record, field=inner))

    def _images(self, value: Mapping[str, Any], path: Path) -> dict[str, list[_Gathered]]:
        """The file's images by their id, one each."""
        here: dict[str, list[_Gathered]] = {}
        for index, entry in objects_of(value.get("images"), self._losses, "images", file=path):
            try:
                name = identity(entry.get("id"), field="id")
                if name in here:
                    raise RecordError("an image of this id came before; this one is left out", record=name, field="id")
                file_name = words(first_of(entry, ("file_name", "filename")), record=name, field="file_name")
                image = self._by_name.get(file_name) or _Gathered(entry, path, index)
                self._check_size(entry, image, name)
            except RecordError as error:
                self._losses.drop(error.at(file=path, index=index, field=f"images[{index}]"))
                continue
            self._by_name[file_name] = image
            here[name] = [image]
            image.listed += 1
            image.entry = {**entry, **image.entry}
            known = self._by_id.setdefault(name, [])
            if not any(item is image for item in known):
                known.append(image)
        return here

    def _check_size(self, entry: Mapping[str, Any], image: _Gathered, name: str) -> None:
        said, before = ([of.get(side) for side in ("width", "height")] for of in (entry, image.entry))
        if None not in (*said, *before) and said != before:
            raise RecordError(
                f"is {said[0]}x{said[1]} here, and {before[0]}x{before[1]} in {image.file}: "
                "its boxes here may be in another frame",
                record=name,
                field="width",
            )

    def _categories(self, value: Mapping[str, Any], path: Path) -> dict[str, str]:
        categories = dict(enumerate(self._source.classes))
        found = {str(number): name for number, name in categories.items()}
        for index, entry in objects_of(value.get("categories"), self._losses, "categories", file=path):
            try:
                found[identity(entry.get("id"), field="id")] = words(entry.get("name"), field="name")
            except RecordError as error:
                self._losses.drop(error.at(file=path, index=index, field=f"categories[{index}]"))
        return found

    def _annotation(
        self,
        entry: Mapping[str, Any],
        images: Mapping[str, Sequence[_Gathered]],
        categories: Mapping[str, str],
        seen: dict[str, Mapping[str, Any]],
        path: Path,
        where: str,
    ) -> None:
        image_id = identity(entry.get("image_id"), field="image_id")
        meant = images.get(image_id, ())
        if not meant:
            raise RecordError(f"there is no image {shown(image_id)}", field="image_id")
        if len(meant) > 1:
            for image in meant:
                image.is_complete = False
            raise RecordError(
                f"{shown(image_id)} is one image in {meant[0].file} and another in {meant[1].file}: convert this file "
                "with that of its own images alone",
                field="image_id",
            )
        image = meant[0]
        name, first = f"{image_id}-{len(image.objects)}", None
        has_box = not (_is_missing(entry.get("bbox")) and _is_missing(entry.get("segmentation")))
        is_caption = entry.get("caption") is not None and not has_box
        try:
            if not _is_missing(entry.get("id")):
                name = identity(entry["id"], field="id")
                first = seen.setdefault(name, entry)
                if first is not entry:
                    raise RecordError("an annotation of this id came before; this one is left out", field="id")
            if is_caption:
                image.captions.append(sentence(entry["caption"], field="caption"))
            else:
                image.objects.append(self._object(entry, name, categories, path, where))
                image.boxed[path, image_id] = None
        except RecordError:
            # Without an annotation that is there twice, word for word, no object is missing.
            image.is_complete &= is_caption or (first is not entry and first == entry)
            raise

    def _object(
        self, entry: Mapping[str, Any], name: str, categories: Mapping[str, str], path: Path, where: str
    ) -> AnnotatedObject:
        category, phrase = (
            None if _is_missing(entry.get(field)) else entry[field] for field in ("category", "caption")
        )
        if not _is_missing(entry.get("category_id")):
            number = identity(entry["category_id"], field="category_id")
            if number not in categories:
                raise RecordError(f"there is no category {shown(number)}", field="category_id")
            category = categories[number]
        polygon, segmentation = None, entry.get("segmentation")
        if _is_missing(entry.get("bbox")) and not _is_missing(segmentation):
            bbox, polygon = self._outlined(segmentation)
        else:
            bbox = checked_box(entry.get("bbox"), xywh_to_xyxy, field="bbox")
            try:
                polygon = self._polygon(segmentation)
            except RecordError as error:
                # The box is good without it.
                self._losses.drop(error.at(file=path, record=name, field=f"{where}.segmentation"))
        extra = plain(entry, _OBJECT_FIELDS, self._losses)
        if entry.get("iscrowd") in (1, True):
            extra["iscrowd"] = 1
        return AnnotatedObject(
            source_id=name,
            bbox=bbox,
            category=None if category is None else words(category, field="category"),
            phrase=None if phrase is None else sentence(phrase, field="caption"),
            polygon=polygon,
            extra=extra,
        )

    def _outlined(self, segmentation: object) -> tuple[Box, Polygon | None]:
        """The box around an outline, which is all that says where the object is, and an outline of one part."""
        if isinstance(segmentation, dict):
            raise RecordError("a mask in run-length code is not read, and there is no bbox: add one", field="bbox")
        parts = [_points(part, field="segmentation") for part in _parts(segmentation, field="segmentation")]
        around = points_to_xyxy([point for part in parts for point in part])[0].tolist()
        bbox = checked_box(around, field="segmentation")
        self._losses.change(_PARTS_ALONE, int(len(parts) > 1))
        return bbox, parts[0] if len(parts) == 1 else None

    def _polygon(self, segmentation: object) -> Polygon | None:
        """The outline of an object that has a box."""
        if _is_missing(segmentation):
            return None
        if isinstance(segmentation, dict):
            self._losses.change(_RLE)
            return None
        parts = _parts(segmentation)
        self._losses.change(_PARTS, int(len(parts) > 1))
        return _points(parts[0]) if len(parts) == 1 else None

    def images(self) -> Iterator[AnnotatedImage]:
        """Yield the images of all files.

        Raises:
            RecordError: No file has images.
        """
        if not self._by_name and not self._losses.dropped:
            raise RecordError("no input has images: annotations need the file that lists their images, too")
        self._note_shared()
        ids = Ids(self._losses)
        for name, image in self._by_name.items():
            try:
                yield self._image(name, image, ids)
            except RecordError as error:
                self._losses.drop(error.at(file=image.file, record=image.entry.get("id")))

    def _note_shared(self) -> None:
        """Tell what went together under one file name: it may be two images."""
        shared = sum(image.listed > 1 for image in self._by_name.values())
        if shared:
            self._losses.note(
                f"Images that are listed more than once, in several files or in one: {shared}. What is said of them "
                "went together, by their file name."
            )
        boxed = {name: image.boxed for name, image in self._by_name.items() if len(image.boxed) > 1}
        if boxed:
            name, places = next(iter(boxed.items()))
            files = ", ".join(dict.fromkeys(path.name for path, _ in places))
            self._losses.note(
                f"Images with boxes from more than one listing: {len(boxed)}, the first {name} ({files}). If these are "
                "different images of one name, their boxes are mixed: convert each file on its own, with the folder of "
                "its images as --images."
            )

    def _image(self, name: str, image: _Gathered, ids: Ids) -> AnnotatedImage:
        file_name = self._names.named(name, field="file_name")
        width, height = size_told(image.entry, self._source, file_name)
        split = image.entry.get("split")
        return AnnotatedImage(
            source_id=ids.unique(identity(image.entry["id"])),
            file_name=file_name,
            width=width,
            height=height,
            objects=tuple(image.objects),
            is_complete=image.is_complete,
            captions=tuple(image.captions),
            split=None if _is_missing(split) else words(split, field="split"),
            extra=plain(image.entry, _IMAGE_FIELDS, self._losses),
            file=image.file,
            index=image.index,
        )


def _parts(segmentation: object, **where: Any) -> list[Any]:
    """The numbers of each part of an outline; some tools write one part without a list around it."""
    if not isinstance(segmentation, list):
        raise RecordError(f"must be a list of outlines, not {shown(segmentation)}", **where)
    return segmentation if isinstance(segmentation[0], list) else [segmentation]


def _points(numbers: object, **where: Any) -> Polygon:
    if not isinstance(numbers, list) or len(numbers) % 2:
        raise RecordError(f"must be pairs of x and y, not {shown(numbers)}", **where)
    return checked_points([numbers[place : place + 2] for place in range(0, len(numbers), 2)], **where)


def _is_missing(value: object) -> bool:
    """Whether an optional field is not there, or there and empty, as many tools write it."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


register_source_format(
    SourceFormat(name="coco", title="COCO: captions, detections, or both; several files go together", read=read)
)
