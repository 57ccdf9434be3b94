"""Pascal VOC: one XML file for each image, as HRRSD, DIOR, DeepForest and many tools write it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import ImageNames, image_of_each
from mgimm_plugin.data.prepare.reading import files_in, parse_xml
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_size, sentence
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import voc_to_xyxy

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
_FLAGS: Final = ("difficult", "truncated", "occluded")
_BLANK: Final = frozenset({"", "unspecified", "null", "unknown"})


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of Pascal VOC files.

    Raises:
        RecordError: The inputs have no XML file.
    """
    return image_of_each(files_in(source.inputs, {".xml"}), source, partial(_image, source))


def _image(source: Source, path: Path, name: str, names: ImageNames) -> AnnotatedImage:
    root = parse_xml(path)
    if root.tag != "annotation":
        raise RecordError(f"is no Pascal VOC file: its root is <{root.tag[:40]}>, not <annotation>")
    written = _text(root, "filename")
    file_name = (
        names.beside(path, ".jpg") if written is None else names.named(written, annotation=path, field="filename")
    )
    width, height = size_written(root, path, source) or source.size_of(file_name) or (None, None)
    objects = []
    before = len(source.losses.dropped)
    for position, element in enumerate(root.iter("object")):
        item = f"{name}-{position}"
        try:
            objects.append(_object(element, item))
        except RecordError as error:
            source.losses.drop(error.at(file=path, record=item))
    return AnnotatedImage(
        source_id=name,
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(objects),
        is_complete=len(source.losses.dropped) == before,
        file=path,
    )


def _object(element: Element, name: str) -> AnnotatedObject:
    corners = [element.findtext(f"bndbox/{edge}") for edge in _CORNERS]
    extra: dict[str, str | int] = {}
    for flag in _FLAGS:
        text = _text(element, flag)
        if text is not None and text != "0":
            extra[flag] = 1 if text == "1" else text
    pose = _text(element, "pose")
    if pose is not None:
        extra["pose"] = pose
    return AnnotatedObject(
        source_id=name,
        bbox=checked_box(corners, voc_to_xyxy, field="bndbox"),
        category=_text(element, "name"),
        phrase=_text(element, "description"),
        extra=extra,
    )


def _text(element: Element, tag: str) -> str | None:
    text = (element.findtext(tag) or "").strip()
    return None if text.lower() in _BLANK else sentence(text, field=tag)


def size_written(root: Element, path: Path, source: Source) -> tuple[int, int] | None:
    """Width and height of the image as a file says them; None where it does not, or says what is no size.

    Some tools write 0 for a size that they do not know. One that is bad is accounted for in ``source.losses``.
    """
    written = [_text(root, f"size/{side}") for side in ("width", "height")]
    if None in written or set(written) == {"0"}:
        return None
    try:
        return checked_size(*written)
    except RecordError as error:
        # The boxes are good without it.
        source.losses.drop(error.at(file=path, field="size"))
        return None


register_source_format(
    SourceFormat(name="voc", title="Pascal VOC: an XML file for each image, boxes with class names", read=read)
)
