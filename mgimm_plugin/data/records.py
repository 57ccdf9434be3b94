"""Records: read, checked, and turned back into JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.record_parsing import RecordParser
from mgimm_plugin.data.record_types import Box, Polygon, Record, Region, Turn
from mgimm_plugin.errors import RecordError

__all__ = [
    "Box", "Polygon", "Record", "Region", "Turn", "check_image_size", "parse_record", "read_records", "record_to_json",
]  # fmt: skip


def parse_record(obj: object, *, file: object = None, index: int | None = None) -> Record:
    """Check a decoded JSON value and turn it into a record.

    Args:
        obj: The decoded JSON value.
        file: File it came from, for errors.
        index: Its position in that file, for errors.

    Raises:
        RecordError: It is not a record; the error names file, index, id and field.
        BoxError: A box has a NaN or infinite number, or reversed corners.
    """
    return RecordParser(file, index).record(obj)


def record_to_json(record: Record) -> dict[str, Any]:
    """Turn a record back into what its file holds; ``parse_record`` of it gives the same record."""
    result: dict[str, Any] = {"id": record.id}
    for name in ("image", "width", "height"):
        if getattr(record, name) is not None:
            result[name] = getattr(record, name)
    if record.regions:
        result["regions"] = [_region_to_json(region) for region in record.regions]
    result["conversations"] = [{"from": turn.role, "value": turn.value} for turn in record.conversations]
    if record.references:
        result["references"] = list(record.references)
    return {**result, **record.extra}


def read_records(path: str | Path) -> Iterator[Record]:
    """Read a JSON array or JSONL file, told apart by content; JSONL is read line by line.

    Raises:
        RecordError: The file is missing, is no JSON (the line is named), or holds something that is not a record.
    """
    file = RecordFile(path)
    for index in range(len(file)):
        yield parse_record(file.load(index), file=path, index=index)


def check_image_size(record: Record, width: int, height: int) -> None:
    """Refuse a record that says another size than its image has.

    Args:
        record: The record.
        width: Width of its image in pixels.
        height: Height of its image in pixels.

    Raises:
        RecordError: With both sizes.
    """
    told = record.width, record.height
    if None not in told and told != (width, height):
        raise RecordError(
            f"says {record.width}x{record.height}, but image {record.image} has {width}x{height} pixels: "
            "its boxes may be in another frame",
            record=record.id,
            field="width",
        )


def _region_to_json(region: Region) -> dict[str, Any]:
    result: dict[str, Any] = {"bbox": list(region.bbox)}
    for name in ("category", "phrase"):
        if getattr(region, name) is not None:
            result[name] = getattr(region, name)
    if region.attributes:
        result["attributes"] = dict(region.attributes)
    if region.polygon is not None:
        result["polygon"] = [list(point) for point in region.polygon]
    return {**result, **region.extra}
