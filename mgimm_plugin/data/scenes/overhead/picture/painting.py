"""Glyphs put into a picture: their shadows first, then their parts in the colors of their roles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Part
from mgimm_plugin.data.scenes.scene import RGB, Points

PALETTE: Final[dict[str, RGB]] = {
    "tire": (22, 22, 24),
    "glass": (72, 98, 118),
    "soil": (196, 152, 104),
    "sand": (234, 216, 168),
    "turf": (92, 148, 66),
    "tree": (38, 84, 42),
    "asphalt": (74, 76, 82),
    "concrete": (176, 172, 164),
    "platform": (196, 192, 186),
    "ballast": (112, 104, 98),
    "steel": (190, 194, 200),
    "wood": (150, 116, 78),
    "water": (58, 104, 140),
    "foam": (232, 242, 246),
    "smoke": (206, 206, 208),
    "steam": (228, 228, 230),
    "mouth": (16, 15, 16),
    "go": (80, 220, 110),
    "spray": (168, 204, 222),
    "mown": (104, 162, 76),
    "leaf": (62, 116, 60),
    "shore": (150, 142, 96),
    "green": (150, 214, 112),
    "flag": (214, 40, 46),
    "hoop": (236, 118, 38),
    "track": (196, 120, 84),
    "roof": (206, 202, 196),
    "pale": (236, 236, 232),
    "car-red": (190, 48, 44),
    "car-blue": (52, 84, 170),
    "car-white": (236, 236, 236),
    "car-black": (30, 31, 34),
    "car-yellow": (226, 190, 60),
}
"""Colors of details that are the same whatever the color of the object; a style may bring its own."""

_SHADE: Final[RGB] = (14, 17, 26)
_DEPTH: Final = 118
"""How dark a shadow is, of 255."""

_SHORTEST: Final = 0.5
"""Shadows shorter than this, in pixels of the scene, are not drawn."""


def role_color(role: str, tint: RGB, palette: Mapping[str, RGB] = PALETTE) -> RGB:
    """Color of a glyph's part.

    Args:
        role: "body": the object's own color; "dark", "light": shades of it; "mark": paint that shows on it; or a key
            of the palette.
        tint: The object's own color.
        palette: Colors of the details.
    """
    if role == "body":
        return tint
    if role in palette:
        return palette[role]
    brightness = sum(tint) / 3
    if role == "dark":
        # On black nothing is darker, so the detail is lighter there.
        return _mixed(tint, (0, 0, 0), 0.3) if brightness > 60 else _mixed(tint, (255, 255, 255), 0.22)
    if role == "light":
        return _mixed(tint, (255, 255, 255), 0.36) if brightness < 200 else _mixed(tint, (0, 0, 0), 0.14)
    if role == "mark":
        return (250, 250, 248) if brightness < 200 else (84, 88, 96)
    raise KeyError(f"no color for the role {role!r} of a glyph's part: give the palette one")


def _mixed(color: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def paint(
    canvas: Image.Image,
    objects: Sequence[tuple[Glyph, RGB]],
    *,
    scale: float,
    sun: tuple[float, float],
    palette: Mapping[str, RGB] = PALETTE,
) -> None:
    """Draw objects onto a picture: what lies flat, then the shadows of all, then what stands up, the lowest first.

    Args:
        canvas: RGB, changed in place.
        objects: Placed glyphs, in pixels of the scene, each with its own color.
        scale: Pixels of the canvas per pixel of the scene.
        sun: Shadow of something of height 1, in pixels of the scene: x, y.
        palette: Colors of the details.
    """
    standing = sorted(objects, key=lambda item: max(part.height for part in item[0].parts))
    flat = [next((k for k, part in enumerate(glyph.parts) if part.height), len(glyph.parts)) for glyph, _ in standing]
    pen = ImageDraw.Draw(canvas)
    for (glyph, tint), count in zip(standing, flat, strict=True):
        _draw(pen, glyph.parts[:count], tint, scale, palette)
    _darken(canvas, [glyph for glyph, _ in standing], scale, sun)
    for (glyph, tint), count in zip(standing, flat, strict=True):
        _draw(pen, glyph.parts[count:], tint, scale, palette)


def _draw(pen: ImageDraw.ImageDraw, parts: Sequence[Part], tint: RGB, scale: float, palette: Mapping[str, RGB]) -> None:
    colors: dict[str, RGB] = {}
    for part in parts:
        color = colors.get(part.role)
        if color is None:
            color = colors[part.role] = role_color(part.role, tint, palette)
        # Pillow counts from the middle of a pixel, boxes from its edge.
        pen.polygon((part.points * scale - 0.5).ravel().tolist(), fill=color)


def _darken(canvas: Image.Image, glyphs: Sequence[Glyph], scale: float, sun: tuple[float, float]) -> None:
    # One value per pixel of the scene is enough for something soft.
    shade = Image.new("L", (round(canvas.width / scale), round(canvas.height / scale)))
    pen = ImageDraw.Draw(shade)
    direction, aside = np.asarray(sun), np.array((-sun[1], sun[0]))
    length = math.hypot(*sun)
    for glyph in glyphs:
        for part in glyph.parts:
            if part.height * length >= _SHORTEST:
                pen.polygon((_shadow(part, direction, aside) - 0.5).ravel().tolist(), fill=_DEPTH)
    covered = shade.getbbox()
    if covered is None:
        return
    left, top, right, bottom = covered
    box = (max(0, left - 1), max(0, top - 1), min(right + 1, shade.width), min(bottom + 1, shade.height))
    soft = shade.crop(box).filter(ImageFilter.BoxBlur(0.7))
    left, top, right, bottom = (round(edge * scale) for edge in box)
    mask = soft.resize((right - left, bottom - top), Image.Resampling.NEAREST)
    canvas.paste(_SHADE, (left, top, right, bottom), mask)


def _shadow(part: Part, sun: Points, aside: Points) -> Points:
    """Where a part's shadow falls: the way of its edge from its underside to its top; ``aside``: across the sun."""
    points = part.points + part.base * sun if part.base else part.points
    if part.base == part.height:
        return points
    reach = (part.height - part.base) * sun
    # The two outermost points seen along the sun part the edge into the side that faces it and the one behind.
    across = points @ aside
    ends = int(across.argmin()), int(across.argmax())
    first, last = min(ends), max(ends)
    one, other = points[first : last + 1], np.concatenate([points[last:], points[: first + 1]])
    behind = float((one.sum(axis=0) / len(one) - other.sum(axis=0) / len(other)) @ sun) > 0
    return np.concatenate([one + reach, other] if behind else [one, other + reach])
