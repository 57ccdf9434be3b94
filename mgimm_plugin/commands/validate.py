"""``mgimm validate``: every problem of a record file, not only the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.records import Record, parse_record
from mgimm_plugin.errors import ImageError, RecordError
from mgimm_plugin.geometry import clip_boxes


def problems_in(
    file: Path, images: Path | None, formats: Counter[str], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Iterator[str | None]:
    """Check a file record by record.

    Args:
        file: JSON array or JSONL file of records.
        images: Where to look for the images; None leaves images alone.
        formats: Receives the number of good records by format.
        max_pixels: A larger image is a problem.

    Yields:
        For each record the problem with it, or None.

    Raises:
        RecordError: The file as a whole cannot be read.
    """
    source = RecordFile(file)
    seen: dict[str, int] = {}
    for index in range(len(source)):
        try:
            record = parse_record(source.load(index), file=file, index=index)
            if seen.setdefault(record.id, index) != index:
                raise RecordError(
                    f"the id is that of index {seen[record.id]} too",
                    file=file,
                    index=index,
                    record=record.id,
                    field="id",
                )
            record_format = format_of(record)
            record_format.check(record)
            if images is not None:
                _check_image(record, images, file, index, max_pixels)
        except RecordError as error:
            yield str(error.at(file=file, index=index))
            continue
        formats[record_format.name] += 1
        yield None


def _check_image(record: Record, images: Path, file: Path, index: int, max_pixels: int) -> None:
    if record.image is None:
        return
    try:
        size = open_image(images / record.image, max_pixels=max_pixels).size
    except ImageError as error:
        raise error.at(record=record.id, field="image") from error
    if record.width is not None and (record.width, record.height) != size:
        raise RecordError(
            f"says {record.width}x{record.height}, the image has {size[0]}x{size[1]} pixels",
            file=file, index=index, record=record.id, field="width",
        )  # fmt: skip
    clip_boxes([region.bbox for region in record.regions], *size, file=file, index=index, record=record.id)
