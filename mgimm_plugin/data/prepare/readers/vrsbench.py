"""VRSBench: one JSON file for each image, with a description, objects with referring sentences, and questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.captions import question_dialogues
from mgimm_plugin.data.prepare.readers.image_names import ImageNames, identity, image_of_each, plain
from mgimm_plugin.data.prepare.readers.json_files import objects_of
from mgimm_plugin.data.prepare.reading import files_in, load_json
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points, sentence, shown
from mgimm_plugin.data.records import Polygon
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import Boxes, fractions_to_pixels, points_to_xyxy

_IMAGE_FIELDS: Final = ("image", "caption", "objects", "qa_pairs")
_OBJECT_FIELDS: Final = ("obj_id", "referring_sentence", "obj_cls", "obj_coord", "obj_corner")
_NO_SIZE: Final = (
    "boxes are fractions of the image, and its size is not known: give the images (--images), or their size "
    "(--image-size 512x512)"
)


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of VRSBench.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    return image_of_each(files_in(source.inputs, {".json"}), source, partial(_image, source))


def _image(source: Source, path: Path, name: str, names: ImageNames) -> AnnotatedImage:
    value = load_json(path, tolerant=True)
    if not isinstance(value, dict) or not value.keys() & {"caption", "objects", "qa_pairs"}:
        raise RecordError("is no VRSBench file: it has no caption, no objects and no qa_pairs")
    losses = source.losses
    image = value.get("image")
    file_name = names.beside(path, ".png") if image is None else names.named(image, annotation=path, field="image")
    size = source.size_of(file_name)
    objects = []
    before = len(losses.dropped)
    seen: set[str] = set()
    for position, entry in objects_of(value.get("objects"), losses, "objects", file=path):
        try:
            item = f"{name}-{position if entry.get('obj_id') is None else identity(entry['obj_id'], field='obj_id')}"
            if item in seen:
                raise RecordError("an object of this id came before; this one is left out", field="obj_id")
            seen.add(item)
            objects.append(_object(entry, item, size, source))
            source.take_fractions(file_name)
        except RecordError as error:
            inner = f"objects[{position}].{error.field}" if error.field else f"objects[{position}]"
            losses.drop(type(error)(error.message, file=path, record=name, field=inner))
    is_complete = len(losses.dropped) == before
    descriptions = []
    try:
        if value.get("caption") is not None:
            descriptions.append(sentence(value["caption"], field="caption"))
    except RecordError as error:
        losses.drop(error.at(file=path, record=name))
    pairs = objects_of(value.get("qa_pairs"), losses, "qa_pairs", file=path)
    width, height = size or (None, None)
    return AnnotatedImage(
        source_id=name,
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(objects),
        is_complete=is_complete,
        descriptions=tuple(descriptions),
        dialogues=tuple(question_dialogues(pairs, losses, file=path, record=name)),
        extra=plain(value, _IMAGE_FIELDS, losses),
        file=path,
    )


def _object(entry: Mapping[str, Any], name: str, size: tuple[int, int] | None, source: Source) -> AnnotatedObject:
    if size is None:
        raise RecordError(_NO_SIZE, field="obj_coord")

    def to_xyxy(boxes: list[list[float]]) -> Boxes:
        return fractions_to_pixels(boxes, *size).reshape(-1, 4)

    polygon = _polygon(entry.get("obj_corner"), size)
    if entry.get("obj_coord") is None and polygon is not None:
        bbox = checked_box(points_to_xyxy(polygon)[0].tolist(), field="obj_corner")
    else:
        bbox = checked_box(entry.get("obj_coord"), to_xyxy, field="obj_coord")
    category, phrase = (
        None if entry.get(field) in (None, "") else sentence(entry[field], field=field)
        for field in ("obj_cls", "referring_sentence")
    )
    return AnnotatedObject(
        source_id=name,
        bbox=bbox,
        category=category,
        phrase=phrase,
        polygon=polygon,
        extra=plain(entry, _OBJECT_FIELDS, source.losses),
    )


def _polygon(corners: object, size: tuple[int, int]) -> Polygon | None:
    if corners is None or corners == []:
        return None
    if not isinstance(corners, list) or len(corners) != 8:
        raise RecordError(f"must be the eight numbers of four corners, not {shown(corners)}", field="obj_corner")
    pairs = [corners[place : place + 2] for place in range(0, 8, 2)]
    return checked_points(pairs, lambda points: fractions_to_pixels(points, *size), field="obj_corner")


register_source_format(
    SourceFormat(
        name="vrsbench",
        title="VRSBench: descriptions, referring sentences and questions; boxes in fractions",
        read=read,
        citation="X. Li, J. Ding, M. Elhoseiny: VRSBench: A Versatile Vision-Language Benchmark Dataset for Remote "
        "Sensing Image Understanding. NeurIPS 2024. Images: DOTA and DIOR, for academic use.",
    )
)
