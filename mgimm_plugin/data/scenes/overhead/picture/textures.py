"""Fields of light and dark for the ground, made once for a size and then cut, turned and mixed for each scene."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Raster = NDArray[np.float32]

_BANK = 6
"""Fields of a kind to choose from."""


def noise(rng: Generator, size: int, cells: int | tuple[int, int]) -> Raster:
    """Smooth noise ``[size, size]`` of mean 0 and deviation 1 with about ``cells`` (or columns, rows) bumps a side."""
    columns, rows = cells if isinstance(cells, tuple) else (cells, cells)
    coarse = rng.standard_normal((rows + 2, columns + 2), dtype=np.float32)
    field = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    raster = np.asarray(field, dtype=np.float32)
    return (raster - raster.mean()) / max(float(raster.std()), 1e-6)


def _field(kind: str, rng: Generator, size: int) -> Raster:
    if kind == "fine":
        return 0.7 * noise(rng, size, size) + 0.7 * noise(rng, size, max(size // 3, 4))
    if kind == "rough":
        return 0.6 * noise(rng, size, 60) + 0.6 * noise(rng, size, 24) + 0.5 * noise(rng, size, 11)
    if kind == "broad":
        return 0.8 * noise(rng, size, 5) + 0.5 * noise(rng, size, 10)
    if kind == "waves":
        return _waves(rng, size)
    if kind == "dunes":
        return _dunes(rng, size)
    return _crowns(rng, size)


def _waves(rng: Generator, size: int) -> Raster:
    """Short crests across the wind, in a random direction."""
    big = int(size * 1.5)
    field = 0.7 * noise(rng, big, (28, 90)) + 0.5 * noise(rng, big, (14, 40)) + 0.3 * noise(rng, big, (90, 200))
    turned = Image.fromarray(field).rotate(float(rng.uniform(0, 180)), Image.Resampling.BILINEAR)
    edge = (big - size) // 2
    return np.asarray(turned, dtype=np.float32)[edge : edge + size, edge : edge + size]


def _dunes(rng: Generator, size: int) -> Raster:
    """Ridges with a long windward and a short, dark leeward side."""
    along = np.linspace(0, 1, size, dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    phase = np.cos(angle) * along[None, :] + np.sin(angle) * along[:, None]
    saw = (rng.uniform(6, 11) * phase + 0.55 * noise(rng, size, 4) + 0.12 * noise(rng, size, 12)) % 1
    ridge = np.where(saw < 0.78, saw / 0.78, (1 - saw) / 0.22) - 0.5
    patchy = np.clip(0.7 + 0.5 * noise(rng, size, 5), 0, 1.3)
    dunes: Raster = (2.2 * ridge * patchy + 0.2 * noise(rng, size, (60, 30))).astype(np.float32)
    return dunes


def _crowns(rng: Generator, size: int) -> Raster:
    """Crowns of trees as tops of light with dark gaps between them."""
    image = Image.new("L", (2 * size, 2 * size), 40)
    pen = ImageDraw.Draw(image)
    for x, y in rng.uniform(0, 2 * size, (1500, 2)):
        radius = 2 * size * rng.uniform(0.011, 0.024)
        light = int(rng.uniform(95, 150))
        for shrink, shift, gain in ((1.0, 0.0, -45), (0.82, 0.14, 0), (0.45, 0.34, 40)):
            half, x0, y0 = radius * shrink, x - radius * shift, y - radius * shift
            pen.ellipse((x0 - half, y0 - half, x0 + half, y0 + half), fill=light + gain)
    raster = np.asarray(image.reduce(2), dtype=np.float32)
    crowns: Raster = ((raster - 115) / 60).astype(np.float32)
    return crowns


@lru_cache(maxsize=64)
def _bank(kind: str, size: int, number: int) -> Raster:
    seed = sum(ord(letter) for letter in kind)
    field = _field(kind, np.random.default_rng([seed, number]), size)
    field.setflags(write=False)
    return field


def texture(kind: str, rng: Generator, size: int) -> Raster:
    """A field ``[size, size]`` of about mean 0 and deviation 1, the same for the same draws.

    Args:
        kind: ``fine``, ``rough``, ``broad``, ``waves``, ``dunes`` or ``crowns``.
        rng: Says which of a few fields, and how it is turned; crowns are not, as light falls on them from one side.
        size: Side in pixels.
    """
    number, flip = rng.integers(_BANK), rng.integers(8)
    field = _bank(kind, size, int(number))
    if kind == "crowns":
        return field
    field = field.T if flip & 4 else field
    return field[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]
