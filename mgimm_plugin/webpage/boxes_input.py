"""Boxes that a visitor pastes: JSON, COCO, DIOR-RSVG's XML, or lines of numbers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mgimm_plugin.commands.boxes import read_boxes_file
from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.webpage.session import DrawnBox, Limits


def parse_boxes(text: str, limits: Limits) -> list[DrawnBox]:
    """Read pasted boxes, with their classes where the format has some.

    XML is read as DIOR-RSVG, JSON with ``images`` and ``annotations`` as COCO (all its images together), anything else
    as ``mgimm describe --boxes-file`` does: lines of ``x1 y1 x2 y2``, lists, objects with ``bbox``, records.

    Args:
        text: What was pasted.
        limits: What the page takes.

    Raises:
        MgimmError: It has another form, a box is none, or it is too long.
    """
    if len(text) > limits.pasted:
        raise MgimmError(f"the text has {len(text):,} characters; the most are {limits.pasted:,}: paste less")
    if not text.strip():
        raise MgimmError("there is nothing to read: paste boxes first")
    is_xml = text.lstrip().startswith("<")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("pasted.xml" if is_xml else "pasted.json")
        path.write_text(text.strip(), encoding="utf-8")
        try:
            if is_xml:
                return _annotated(path, "dior-rsvg")
            if _is_coco(text):
                return _annotated(path, "coco")
            return [DrawnBox(box) for box in read_boxes_file(path, path.name)]
        except MgimmError as error:
            raise MgimmError(str(error).replace(str(path), "the pasted text")) from error


def _is_coco(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("images")) and "annotations" in value


def _annotated(path: Path, name: str) -> list[DrawnBox]:
    source = Source([path])
    images = list(get_source_format(name).read(source))
    if source.losses.dropped:
        raise source.losses.dropped[0]
    boxes = [DrawnBox(item.bbox, item.category or "") for image in images for item in image.objects]
    if not boxes:
        raise MgimmError("the pasted text has no box")
    return boxes
