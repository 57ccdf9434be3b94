"""The contact sheet as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.html_pages import jpeg_url, load_template
from mgimm_plugin.data.inspect.contact_sheet import Mark, Said, Tile, place_tags, tag_scale
from mgimm_plugin.data.inspect.sheet_picture import ink_on
from mgimm_plugin.data.whole_files import written_whole

_TAG_PART: Final = 0.052
"""Height of a number over the longer side of its image: readable where a tile is as narrow as a telephone."""

_MANY: Final = 8
"""With more regions than this the list below a picture is folded."""


def write_page(tiles: Sequence[Tile], path: str | Path, *, title: str, subtitle: str) -> None:
    """Write tiles as a page, pictures inside it.

    Args:
        tiles: With their pictures.
        path: The HTML file; it is there completely or not at all.
        title: Heading.
        subtitle: Line below it.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    template = load_template(
        __package__, "sheet.html.j2", extra="data", purpose="the contact sheet", number=lambda value: f"{value:.6g}"
    )
    page = template.render(title=title, subtitle=subtitle, tiles=[_tile(tile) for tile in tiles], many=_MANY)
    with written_whole(path) as partial:
        # The name of a file may be no UTF-8.
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")


def _tile(tile: Tile) -> dict[str, Any]:
    width, height = tile.size
    tag = tag_scale(tile.marks) * _TAG_PART * max(width, height)
    places = place_tags(tile.marks, tile.size, tag)
    return {
        "title": tile.title,
        "has_picture": tile.path is not None,
        "width": width,
        "height": height,
        "picture": None if tile.picture is None else jpeg_url(tile.picture),
        "reason": tile.reason,
        "tag": tag,
        "marks": [_mark(mark, place) for mark, place in zip(tile.marks, places, strict=True)],
        "said": [_said(said) for said in tile.said],
    }


def _mark(mark: Mark, place: tuple[float, float, float] | None) -> dict[str, Any]:
    x1, y1, x2, y2 = mark.region.bbox
    polygon = mark.region.polygon or ()
    return {
        "number": mark.number, "color": mark.color, "ink": ink_on(mark.color),
        "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1,
        "polygon": " ".join(f"{x:.6g},{y:.6g}" for x, y in polygon),
        "tag": place,
        "label": mark.label, "category": mark.category,
    }  # fmt: skip


def _said(said: Said) -> dict[str, Any]:
    numbers = [{"number": mark.number, "color": mark.color, "ink": ink_on(mark.color)} for mark in said.marks]
    return {"numbers": numbers, "question": said.question, "answer": said.answer}
