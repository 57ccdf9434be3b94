"""The picture of a scene of the small world."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mgimm_plugin.data.scenes.mini.glyphs import Part
from mgimm_plugin.data.scenes.mini.grounds import ground
from mgimm_plugin.data.scenes.mini.layout import MiniObject
from mgimm_plugin.data.scenes.scene import RGB

_OVERSAMPLING = 2


def draw(setting: str, objects: tuple[MiniObject, ...], rng: np.random.Generator, size: int) -> Image.Image:
    """Draw ground, shadows and objects, and the sensor's grain."""
    big = size * _OVERSAMPLING
    picture = ground(setting, rng, size).resize((big, big), Image.Resampling.BILINEAR)
    shade = Image.new("L", (big, big))
    pen = ImageDraw.Draw(shade)
    for item in objects:
        for part in item.parts:
            pen.polygon(_corners(part, shift=0.009 * size), fill=110)
    picture.paste((18, 20, 26), mask=shade.filter(ImageFilter.BoxBlur(2)))
    pen = ImageDraw.Draw(picture)
    for item in objects:
        for part in item.parts:
            pen.polygon(_corners(part), fill=role_color(part.role, item.tint))
    picture = picture.reduce(_OVERSAMPLING)
    grain = 4 * rng.standard_normal((size, size, 1), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(picture, dtype=np.float32) + grain, 0, 255).astype(np.uint8))


def _corners(part: Part, shift: float = 0.0) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (part.points + shift) * _OVERSAMPLING]


def role_color(role: str, tint: RGB) -> RGB:
    """Color of a glyph's part: the object's own for the body, shades of it or fixed ones for the details."""
    fixed = {"tire": (20, 20, 22), "glass": (120, 165, 190), "soil": (176, 124, 78), "mark": (250, 250, 250)}
    if role in fixed:
        return fixed[role]
    base = np.asarray(tint, dtype=np.float32)
    if role == "dark":
        # Half as bright; on black nothing is darker, so the detail is lighter there.
        base = base * 0.5 if base.mean() > 60 else base + 62
    elif role == "light":
        base = base + (255 - base) * 0.6 if base.mean() < 200 else base * 0.82
    return int(base[0]), int(base[1]), int(base[2])
