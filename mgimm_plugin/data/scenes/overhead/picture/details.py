"""What stands in a place without being an object of the scene: trees, houses, halls, stacks of containers, rocks.

None of it may be taken for one of the categories: roofs are rectangles in muted colors, and stacks lie in tight blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mgimm_plugin.data.scenes.overhead.place.plan import rectangle
from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.scene import RGB, Points

_OUTLINES: Final = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 9, endpoint=False)), np.sin(np.linspace(0, 2 * np.pi, 9, endpoint=False))], axis=1
)


@dataclass(frozen=True)
class Detail:
    """One thing, in the unit frame.

    Attributes:
        kind: ``tree``, ``house`` (a ridge), ``hall`` (a flat roof), ``stack`` (containers) or ``rock``.
        middle: ``[2]``.
        length: Its length; the diameter of what is round.
        width: Its width.
        angle: Direction of its length in degrees.
        tint: Its color, sRGB; None for the style's color of trees.
        height: Its height.
    """

    kind: str
    middle: Points
    length: float
    width: float
    angle: float
    tint: RGB | None
    height: float

    @property
    def outline(self) -> Points:
        """Its corners, ``[P, 2]``."""
        if self.kind in ("tree", "rock"):
            return self.middle + _OUTLINES * (self.length / 2, self.width / 2)
        return rectangle(self.middle, self.length, self.width, self.angle)


def draw_details(canvas: Image.Image, details: Sequence[Detail], style: Style, sun: tuple[float, float]) -> None:
    """Draw details with their shadows onto a picture, in place.

    Args:
        canvas: RGB, square.
        details: In their order of drawing.
        style: Gives the color of trees.
        sun: Shadow of something of height 1, in the unit frame.
    """
    if not details:
        return
    _cast_shadows(canvas, details, np.asarray(sun))
    pen = ImageDraw.Draw(canvas)
    for item in details:
        tint = item.tint or style.palette["crown"]
        if item.kind == "tree":
            _tree(pen, item, tint, canvas.width)
        elif item.kind == "rock":
            _blobs(pen, item, tint, canvas.width, ((1.0, 0.0, 0.8), (0.7, 0.12, 1.1)))
        else:
            _roof(pen, item, tint, canvas.width)


def _cast_shadows(canvas: Image.Image, details: Sequence[Detail], sun: Points) -> None:
    half = canvas.width // 2
    shade = Image.new("L", (half, half))
    pen = ImageDraw.Draw(shade)
    for item in details:
        reach = sun * item.height
        outline = item.outline
        if item.kind in ("tree", "rock"):
            pen.polygon(((outline + reach) * half).ravel().tolist(), fill=105)
            continue
        # The way of a rectangle: itself, itself moved, and what lies between.
        pen.polygon(((outline + reach) * half).ravel().tolist(), fill=115)
        for number in range(4):
            a, b = outline[number - 1], outline[number]
            pen.polygon((np.array([a, b, b + reach, a + reach]) * half).ravel().tolist(), fill=115)
    box = shade.getbbox()
    if box is None:
        return
    left, top, right, bottom = max(0, box[0] - 2), max(0, box[1] - 2), min(half, box[2] + 2), min(half, box[3] + 2)
    soft = shade.crop((left, top, right, bottom)).filter(ImageFilter.BoxBlur(0.6))
    mask = soft.resize((2 * soft.width, 2 * soft.height), Image.Resampling.NEAREST)
    canvas.paste((16, 19, 26), (2 * left, 2 * top, 2 * right, 2 * bottom), mask)


def lit(tint: RGB, gain: float) -> RGB:
    """A color, lighter or darker."""
    return min(255, int(tint[0] * gain)), min(255, int(tint[1] * gain)), min(255, int(tint[2] * gain))


def _blobs(
    pen: ImageDraw.ImageDraw, item: Detail, tint: RGB, big: int, steps: tuple[tuple[float, float, float], ...]
) -> None:
    x, y = (item.middle * big).tolist()
    rx, ry = item.length / 2 * big, item.width / 2 * big
    for scale, shift, gain in steps:
        x0, y0 = x - rx * shift, y - ry * shift
        pen.ellipse((x0 - rx * scale, y0 - ry * scale, x0 + rx * scale, y0 + ry * scale), fill=lit(tint, gain))


def _tree(pen: ImageDraw.ImageDraw, item: Detail, tint: RGB, big: int) -> None:
    _blobs(pen, item, lit(tint, 0.8 + item.height * 3), big, ((1.0, 0.0, 0.78), (0.78, 0.14, 1.0), (0.42, 0.36, 1.28)))


def _roof(pen: ImageDraw.ImageDraw, item: Detail, tint: RGB, big: int) -> None:
    corners = item.outline * big - 0.5
    pen.polygon(corners.ravel().tolist(), fill=tint)
    a, b, c, d = corners
    if item.kind == "house":
        left, right = (a + d) / 2, (b + c) / 2
        # The far side from the sun, which is at the top left, is darker.
        shaded = (d, c) if (d + c - a - b).sum() > 0 else (a, b)
        pen.polygon(np.array([left, right, shaded[1], shaded[0]]).ravel().tolist(), fill=lit(tint, 0.78))
        return
    if item.kind == "hall":
        inner = rectangle(item.middle, item.length - 0.012, item.width - 0.012, item.angle) * big - 0.5
        pen.polygon(inner.ravel().tolist(), fill=lit(tint, 0.9))
        for part in np.arange(0.15, 0.9, 0.14):
            start, end = a + (b - a) * part, d + (c - d) * part
            pen.line(((start * 0.82 + end * 0.18).tolist() + (start * 0.18 + end * 0.82).tolist()), fill=lit(tint, 1.1))
        return
    for part in (0.25, 0.5, 0.75):
        pen.line(((a + (b - a) * part).tolist() + (d + (c - d) * part).tolist()), fill=lit(tint, 0.75))
    pen.line((((a + d) / 2).tolist() + ((b + c) / 2).tolist()), fill=lit(tint, 0.8))
