"""The parts of the page that show answers, as HTML. What people and models say is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from PIL import Image

from mgimm_plugin.data.html_pages import jpeg_url
from mgimm_plugin.webpage.linking import attributes_of, regions_of, sentences_of
from mgimm_plugin.webpage.session import Drawing, DrawnBox, Row, Session, color_of, ink_on

_SHOWN_SIDE = 720
_BAD = 0.5
"""A confidence below is shown as low."""


def picture(drawing: Drawing) -> str:
    """The image with its boxes, numbered."""
    width, height = drawing.image.size
    small = drawing.image.copy()
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
    shapes = []
    unit = max(width, height) / 100
    for number, box in enumerate(drawing.boxes, 1):
        x1, y1, x2, y2 = box.bbox
        wide = unit * (5.2 if number < 10 else 7.4)
        shapes.append(
            f'<g class="mg-box mg-r{number}" style="{_colors(number, box)}">'
            f'<rect x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" height="{y2 - y1:g}"/>'
            f'<rect class="mg-tag" x="{x1:g}" y="{y1:g}" width="{wide:g}" height="{unit * 6:g}"/>'
            f'<text x="{x1 + wide / 2:g}" y="{y1 + unit * 4.5:g}" font-size="{unit * 4.6:g}">{number}</text></g>'
        )
    return (
        f'<div class="mg-picture"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The image with {len(drawing.boxes)} numbered boxes">'
        f'<image href="{jpeg_url(small)}" width="{width}" height="{height}"/>{"".join(shapes)}</svg></div>'
    )


def table(rows: Sequence[Row]) -> str:
    """One line a region: number, phrase, attributes, confidence."""
    if not rows:
        return '<p class="mg-empty">No boxes yet. Draw some on the image, or ask for the whole image.</p>'
    lines = "".join(_line(number, row) for number, row in enumerate(rows, 1))
    return (
        '<table class="mg-table"><thead><tr><th scope="col">#</th><th scope="col">What is there</th>'
        '<th scope="col"><abbr title="exp of the mean log-probability of the words">sure</abbr></th></tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def _line(number: int, row: Row) -> str:
    found = attributes_of(row.phrase)
    chips = "".join(f'<span class="mg-chip" title="{name}">{escape(value)}</span>' for name, value in found.items())
    said = escape(row.phrase) or '<span class="mg-empty">not described yet</span>'
    label = f'<span class="mg-label">{escape(row.box.label)}</span>' if row.box.label else ""
    if row.phrase and not row.model:
        chips += '<span class="mg-chip" title="a correction">yours</span>'
    sure = "" if math.isnan(row.confidence) else f"{row.confidence:.0%}"
    low = " mg-low" if row.confidence < _BAD else ""
    return (
        f'<tr class="mg-row mg-r{number}" tabindex="0" style="{_colors(number, row.box)}">'
        f'<td><span class="mg-number">{number}</span></td><td>{label}<div class="mg-phrase">{said}</div>{chips}</td>'
        f'<td class="mg-sure{low}">{sure}</td></tr>'
    )


def told(session: Session) -> str:
    """The description of the image, whose sentences light up with the boxes that they speak of."""
    if session.description is None:
        return '<p class="mg-empty">The description of the whole image comes here.</p>'
    parts = []
    for sentence in sentences_of(session.description.text):
        numbers = regions_of(sentence, session.rows, session.size)
        boxes = {number: session.rows[number - 1].box for number in numbers}
        marks = "".join(f'<sup style="{_colors(number, box)}">{number}</sup>' for number, box in boxes.items())
        classes = " ".join(f"mg-r{number}" for number in numbers)
        focus = ' tabindex="0"' if numbers else ""
        words = sentence.rstrip()
        after = sentence[len(words) :]  # line breaks are the model's, and are shown as they are
        parts.append(f'<span class="mg-sentence {classes}"{focus}>{escape(words)}{marks}</span>{after}')
    return f'<p class="mg-told">{"".join(parts)}</p>'


def _colors(number: int, box: DrawnBox) -> str:
    color = color_of(number, box)
    return f"--c:{color};--ink:{ink_on(color)}"


def loading(model: str, seconds: float) -> str:
    """What stands in the place of an answer while its model is loaded."""
    return f'<p class="mg-empty">{escape(loading_text(model, seconds))}</p>'


def loading_text(model: str, seconds: float) -> str:
    """The same in plain words."""
    return f"{model} is being loaded: {seconds:.0f} s so far"
