"""A word for the color of a region: the one that most of its pixels have, or none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mgimm_plugin.data.records import Box, Polygon

COLOR_WORDS: Final = (
    "black", "white", "gray", "red", "orange", "brown", "beige", "yellow", "green", "blue", "purple", "pink",
)  # fmt: skip

CLEAR_SHARE: Final = 0.5
"""Part of a region's pixels that a color needs to be its color."""
CLEAR_LEAD: Final = 2.0
"""And how many times as many as the next color."""

_SAMPLES: Final = 48
"""Pixels looked at along each side of a region, at most."""
_MIDDLE: Final = 0.6
"""Part of an upright box, in each direction, that is taken to be the object: its middle."""

# Upper ends of hue angles in CIELAB, in degrees, and their words: pure red lies at 40, yellow at 103, blue at 306.
_HUES: Final = (
    (48, "red"),
    (78, "orange"),
    (110, "yellow"),
    (195, "green"),
    (312, "blue"),
    (345, "purple"),
    (360, "red"),
)


def dominant_color(image: Image.Image, box: Box, polygon: Polygon | None = None) -> str | None:
    """Name the color of a region.

    Args:
        image: The image, RGB.
        box: The region's box (xyxy, px of the image).
        polygon: Its outline; only pixels inside count. Without one the middle of the box is looked at.

    Returns:
        One of ``COLOR_WORDS``: that of at least ``CLEAR_SHARE`` of the pixels, where no other has more than half as
        many. None where no color is clear, or the region has fewer than 4 pixels.
    """
    pixels = _pixels(image, box, polygon)
    if len(pixels) < 4:
        return None
    counts = np.bincount(color_indices(pixels), minlength=len(COLOR_WORDS))
    second, first = np.sort(counts)[-2:]
    if first < CLEAR_SHARE * len(pixels) or first < CLEAR_LEAD * second:
        return None
    return COLOR_WORDS[int(counts.argmax())]


def color_indices(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Position in ``COLOR_WORDS`` of each of ``[N, 3]`` sRGB pixels, by lightness, chroma and hue of CIELAB (D65)."""
    lightness, a, b = lab(rgb).T
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    word = {name: number for number, name in enumerate(COLOR_WORDS)}
    edges = np.array([end for end, _ in _HUES[:-1]], dtype=np.float64)
    names = np.array([word[name] for _, name in _HUES])
    result = names[np.searchsorted(edges, hue, side="right")]
    # Earth, bare fields and rust: too dark or too pale for orange or yellow, too colorful for gray.
    warm = (hue >= 30) & (hue < 95)
    result[warm & (lightness < 78) & (chroma < 45)] = word["brown"]
    result[(hue >= 48) & (hue < 85) & (lightness < 55)] = word["brown"]
    result[warm & (lightness >= 74) & (chroma < 32)] = word["beige"]
    pale_red = ((hue < 48) | (hue >= 345)) & (chroma < 45)
    result[pale_red & (lightness >= 65)] = word["pink"]
    neutral = chroma < np.where(lightness < 40, 8.0, 12.0)
    result[neutral] = word["gray"]
    result[neutral & (lightness > 82)] = word["white"]
    result[(lightness < 20) & (chroma < 16)] = word["black"]
    return result


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Convert ``[N, 3]`` sRGB pixels to CIELAB with white D65 (IEC 61966-2-1, CIE 15): L in 0..100, a, b."""
    unit = rgb.astype(np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def _pixels(image: Image.Image, box: Box, polygon: Polygon | None) -> NDArray[np.uint8]:
    """The ``[N, 3]`` pixels that count, at most ``_SAMPLES`` squared."""
    x1, y1, x2, y2 = box
    if polygon is None:
        inset_x, inset_y = ((1 - _MIDDLE) / 2 * side for side in (x2 - x1, y2 - y1))
        x1, y1, x2, y2 = x1 + inset_x, y1 + inset_y, x2 - inset_x, y2 - inset_y
    left, top = max(0, int(x1)), max(0, int(y1))
    right, bottom = min(image.width, max(left + 1, round(x2))), min(image.height, max(top + 1, round(y2)))
    if right <= left or bottom <= top:
        return np.empty((0, 3), dtype=np.uint8)
    size = (min(_SAMPLES, right - left), min(_SAMPLES, bottom - top))
    part = image.resize(size, Image.Resampling.NEAREST, box=(left, top, right, bottom))
    values = np.asarray(part, dtype=np.uint8).reshape(-1, 3)
    if polygon is None:
        return values
    mask = Image.new("1", size)
    scale = size[0] / (right - left), size[1] / (bottom - top)
    ImageDraw.Draw(mask).polygon([((x - left) * scale[0], (y - top) * scale[1]) for x, y in polygon], fill=1)
    return values[np.asarray(mask).reshape(-1)]
