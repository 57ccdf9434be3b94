"""The picture of a place before any object stands in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mgimm_plugin.data.scenes.overhead.picture.textures import Raster, texture
from mgimm_plugin.data.scenes.overhead.place.plan import Mark, Patch, Plan, draw_map
from mgimm_plugin.data.scenes.overhead.styles import Style

_GRAIN: Final[dict[str, tuple[float, float, float]]] = {
    "grass": (0.05, 0.06, 0.05),
    "lawn": (0.04, 0.03, 0.04),
    "meadow": (0.05, 0.08, 0.06),
    "wheat": (0.03, 0.03, 0.04),
    "crop": (0.04, 0.03, 0.04),
    "plowed": (0.05, 0.05, 0.05),
    "stubble": (0.04, 0.05, 0.05),
    "forest": (0.02, 0.0, 0.1),
    "sand": (0.02, 0.02, 0.03),
    "gravel": (0.06, 0.05, 0.04),
    "dirt": (0.04, 0.06, 0.04),
    "beach": (0.03, 0.02, 0.03),
    "water": (0.02, 0.0, 0.06),
    "river": (0.02, 0.02, 0.05),
    "asphalt": (0.03, 0.02, 0.03),
    "rock": (0.12, 0.1, 0.04),
}
"""How much fine, rough and broad light and dark each material has, as part of its brightness."""

_PAVED: Final = (0.03, 0.04, 0.04)

_FURROWS: Final = {"wheat": 0.05, "crop": 0.10, "plowed": 0.09, "stubble": 0.07, "lawn": 0.025}
"""How deep the furrows of a field are."""

_OVERSAMPLING: Final = 2


def draw_ground(plan: Plan, style: Style, rng: Generator, size: int) -> Image.Image:
    """The empty place, RGB, ``size`` x ``size`` px.

    Args:
        plan: What is where.
        style: Gives the colors.
        rng: Source of the texture.
        size: Side in pixels.
    """
    flat = _flat(plan, style, size)
    raster = np.array(flat.reduce(_OVERSAMPLING), dtype=np.float32)
    numbers = draw_map(plan.patches, size)
    materials = [patch.material for patch in plan.patches]
    _add_shallows(raster, numbers, materials, style, size)
    light = _light(numbers, materials, rng, size)
    _add_rows(light, numbers, plan.patches, size)
    raster *= (1 + light)[..., None]
    _vary_hue(raster, numbers, materials, rng, size)
    return Image.fromarray(np.clip(raster, 0, 255, out=raster).astype(np.uint8))


def _flat(plan: Plan, style: Style, size: int) -> Image.Image:
    """Patches and marks in their colors, at twice the resolution."""
    big = size * _OVERSAMPLING
    picture = Image.new("RGB", (big, big))
    pen = ImageDraw.Draw(picture)
    marks = sorted(plan.marks, key=lambda mark: mark.level)
    done = 0
    for number, patch in enumerate(plan.patches):
        while done < len(marks) and marks[done].level <= number:
            _draw_mark(pen, marks[done], style, big)
            done += 1
        red, green, blue = (min(255, round(value * patch.shade)) for value in style.palette[patch.material])
        pen.polygon((patch.polygon * big - 0.5).ravel().tolist(), fill=(red, green, blue))
    for mark in marks[done:]:
        _draw_mark(pen, mark, style, big)
    return picture


def _draw_mark(pen: ImageDraw.ImageDraw, mark: Mark, style: Style, big: int) -> None:
    width = max(1, round(mark.width * big))
    color = style.palette[mark.material]
    if not mark.dash:
        pen.line((mark.line * big - 0.5).ravel().tolist(), fill=color, width=width, joint="curve")
        return
    steps = np.hypot(*np.diff(mark.line, axis=0).T)
    ends = np.concatenate([[0.0], np.cumsum(steps)])
    starts = np.arange(0, ends[-1], 2 * mark.dash)
    cuts = np.stack([starts, starts + mark.dash], axis=1).ravel()
    points = np.stack([np.interp(cuts, ends, mark.line[:, axis]) for axis in (0, 1)], axis=1) * big - 0.5
    for four in points.reshape(-1, 4).tolist():
        if -8 < four[0] < big + 8 and -8 < four[1] < big + 8:
            pen.line(four, fill=color, width=width)


def _light(numbers: NDArray[np.uint8], materials: list[str], rng: Generator, size: int) -> Raster:
    """Light and dark of all materials, as parts of their brightness, ``[size, size]``."""
    depths = np.array([_GRAIN.get(material, _PAVED) for material in materials], dtype=np.float32)
    light = np.zeros((size, size), dtype=np.float32)
    for column, kind in enumerate(("fine", "rough", "broad")):
        light += depths[:, column][numbers] * texture(kind, rng, size)
    for kind, names, depth in (
        ("crowns", ("forest",), 0.34),
        ("waves", ("water",), 0.07),
        ("waves", ("river",), 0.035),
        ("dunes", ("sand",), 0.075),
    ):
        chosen = np.array([material in names for material in materials])
        if chosen.any():
            light += np.where(chosen, np.float32(depth), np.float32(0))[numbers] * texture(kind, rng, size)
    return light


def _add_rows(light: Raster, numbers: NDArray[np.uint8], patches: list[Patch], size: int) -> None:
    """Furrows, in place: parallel lines along the direction of each field."""
    for number, patch in enumerate(patches):
        depth = _FURROWS.get(patch.material)
        if depth is None:
            continue
        low = np.clip(np.floor(patch.polygon.min(axis=0) * size), 0, size).astype(int)
        high = np.clip(np.ceil(patch.polygon.max(axis=0) * size), 0, size).astype(int)
        if (high - low).min() < 2:
            continue
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        rad = np.radians(patch.angle)
        x = np.arange(low[0], high[0], dtype=np.float32) * np.float32(-np.sin(rad) * 330 / size)
        y = np.arange(low[1], high[1], dtype=np.float32) * np.float32(np.cos(rad) * 330 / size)
        rows = np.sin(x[None, :] + y[:, None])
        light[window] += np.where(numbers[window] == number, depth * rows, np.float32(0))


def _add_shallows(raster: Raster, numbers: NDArray[np.uint8], materials: list[str], style: Style, size: int) -> None:
    """Water lighter towards its banks, in place."""
    wet = np.array([material in ("water", "river", "surf") for material in materials])
    if not wet.any():
        return
    coarse = 48
    mask = Image.fromarray(np.where(wet, np.uint8(0), np.uint8(255))[numbers])
    near = mask.resize((coarse, coarse), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(2.2))
    part = np.asarray(near.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    part = np.where(wet[numbers], np.clip(part * 1.1, 0, 0.6), np.float32(0))[..., None]
    raster *= 1 - part
    raster += part * np.asarray(style.palette["shallows"], dtype=np.float32)


def _vary_hue(raster: Raster, numbers: NDArray[np.uint8], materials: list[str], rng: Generator, size: int) -> None:
    """What grows is yellower here and there, in place."""
    green = np.array([material in ("grass", "meadow", "forest", "crop", "lawn") for material in materials])
    if green.any():
        shift = np.where(green, np.float32(4), np.float32(0))[numbers] * texture("broad", rng, size)
        raster[..., 0] += shift
        raster[..., 2] -= 0.5 * shift
