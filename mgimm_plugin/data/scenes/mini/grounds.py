"""Textures of the ground under the objects."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Raster = NDArray[np.float32]


def _noise(rng: Generator, size: int, cells: int) -> Raster:
    """Smooth noise ``[size, size]`` in about [-1, 1], with ``cells`` bumps along a side."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def _waves(rng: Generator, size: int, count: float, bend: float) -> Raster:
    """Parallel waves ``[size, size]`` in [-1, 1] in a random direction, bent by noise."""
    angle = rng.uniform(0, np.pi)
    along = np.arange(size, dtype=np.float32) / size
    phase = np.cos(angle) * along[None, :] + np.sin(angle) * along[:, None]
    return np.sin(2 * np.pi * count * phase + bend * _noise(rng, size, 5)).astype(np.float32)


def _tinted(color: tuple[int, int, int], light: Raster) -> Raster:
    """``[size, size, 3]``: the color, lighter or darker by ``light`` (in gray levels)."""
    return np.asarray(color, dtype=np.float32) + light[..., None]


def _farmland(rng: Generator, size: int) -> Raster:
    picture = Image.new("RGB", (size, size))
    pen = ImageDraw.Draw(picture)
    columns = [0, *sorted(rng.uniform(0.2, 0.8, 2) * size), size]
    tints = ((150, 128, 92), (126, 134, 84), (164, 146, 104), (112, 122, 78))
    for left, right in pairwise(columns):
        rows = [0, *sorted(rng.uniform(0.15, 0.85, 2) * size), size]
        for top, bottom in pairwise(rows):
            pen.rectangle((left, top, right, bottom), fill=tints[rng.integers(len(tints))], outline=(104, 96, 70))
    return np.asarray(picture, dtype=np.float32) + 6 * _waves(rng, size, rng.uniform(18, 26), 1)[..., None]


def _desert(rng: Generator, size: int) -> Raster:
    return _tinted((206, 176, 128), 9 * _waves(rng, size, rng.uniform(4, 8), 4) + 8 * _noise(rng, size, 8))


def _water(rng: Generator, size: int) -> Raster:
    return _tinted((44, 92, 122), 5 * _waves(rng, size, rng.uniform(10, 18), 5) + 9 * _noise(rng, size, 6))


def _asphalt(rng: Generator, size: int) -> Raster:
    picture = Image.new("RGB", (size, size), (122, 122, 124))
    pen = ImageDraw.Draw(picture)
    half, dash = size // 28, size // 16
    for vertical in (True, False):
        middle = int(rng.uniform(0.1, 0.9) * size)
        road = (middle - half, 0, middle + half, size)
        pen.rectangle(road if vertical else (road[1], road[0], road[3], road[2]), fill=(98, 98, 102))
        for start in range(0, size, 2 * dash):
            line = (middle, start, middle, start + dash)
            pen.line(
                line if vertical else (line[1], line[0], line[3], line[2]),
                fill=(172, 170, 160),
                width=max(1, size // 200),
            )
    return np.asarray(picture, dtype=np.float32) + 8 * _noise(rng, size, 12)[..., None]


def _grassland(rng: Generator, size: int) -> Raster:
    light = 9 * _noise(rng, size, 7) + 9 * _noise(rng, size, 30)
    return _tinted((86, 118, 66), light)


_GROUNDS: Final[dict[str, Callable[[Generator, int], Raster]]] = {
    "farmland": _farmland,
    "desert": _desert,
    "water": _water,
    "asphalt": _asphalt,
    "grassland": _grassland,
}


def ground(setting: str, rng: Generator, size: int) -> Image.Image:
    """An empty ground, RGB, ``size`` x ``size`` px.

    Args:
        setting: One of ``vocabulary.SETTINGS``.
        rng: Source of everything random in it.
        size: Side in pixels.
    """
    raster = _GROUNDS[setting](rng, size) + rng.uniform(-10, 10)
    return Image.fromarray(np.clip(raster, 0, 255).astype(np.uint8))
