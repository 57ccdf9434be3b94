"""Boxes that a visitor pastes: JSON, COCO, DIOR-RSVG's XML, or lines of numbers."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Final

from mgimm_plugin.commands.boxes import NamedBox, check_size_told, read_named_boxes
from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.errors import MgimmError, RecordError
from mgimm_plugin.webpage.session import DrawnBox, Limits

_XML_DECLARATION: Final = re.compile(r"\A<\?xml\s.*?\?>", flags=re.DOTALL)


def parse_boxes(text: str, limits: Limits, size: tuple[int, int]) -> list[DrawnBox]:
    """Read pasted boxes, with their classes where the format has some.

    XML is read as DIOR-RSVG, JSON with ``images`` and ``annotations`` as COCO (all its images together), anything else
    as ``mgimm describe --boxes-file`` does: lines of ``x1 y1 x2 y2``, lists, objects with ``bbox``, records.

    Args:
        text: What was pasted.
        limits: What the page takes.
        size: (width, height) of the image that they are for.

    Raises:
        MgimmError: It has another form, a box is none, it is too long, or says that its image has another size: the
            boxes would be in another frame.
    """
    if len(text) > limits.pasted:
        raise MgimmError(f"the text has {len(text):,} characters; the most are {limits.pasted:,}: paste less")
    text = text.strip()
    if not text:
        raise MgimmError("there is nothing to read: paste boxes first")
    is_xml, is_coco = text.startswith("<"), _is_coco(text)
    if is_xml:  # what encoding the file had is of no matter any more: the browser has decoded it
        text = _XML_DECLARATION.sub("", text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("pasted.xml" if is_xml else "pasted.json")
        path.write_text(text, encoding="utf-8")
        try:
            if is_xml:
                found = _annotated(path, "dior-rsvg")
            elif is_coco:
                found = _annotated(path, "coco")
            else:
                found = read_named_boxes(path)
        except RecordError as error:
            where = ""
            if is_coco and error.field:  # a path such as annotations[3].bbox
                where = f"{error.field}: "
            elif not is_xml and error.index is not None:
                where = f"line {error.index + 1}: "
            raise MgimmError(where + error.message.replace(str(path), "the pasted text")) from error
        except MgimmError as error:
            message = str(error).replace(f"boxes file {path}", "the pasted text")
            raise MgimmError(message.replace(str(path), "the pasted text")) from error
    check_size_told(found, size, "the pasted text")
    return [DrawnBox(each.box, each.name) for each in found]


def _is_coco(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("images")) and "annotations" in value


def _annotated(path: Path, name: str) -> list[NamedBox]:
    source = Source([path])
    images = list(get_source_format(name).read(source))
    if source.losses.dropped:
        raise source.losses.dropped[0]
    boxes = [
        NamedBox(item.bbox, item.category or "", (image.width, image.height) if image.width and image.height else None)
        for image in images
        for item in image.objects
    ]
    if not boxes:
        raise MgimmError("the pasted text has no box")
    return boxes
