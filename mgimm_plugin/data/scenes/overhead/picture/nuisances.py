"""What stands between a scene and its picture: haze, blur, brightness, contrast, a cast of color, and sensor noise.

Presets: ``mild`` (the usual: every color keeps its name), ``none``, and ``strong``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mgimm_plugin.data.scenes.overhead.picture.textures import noise

Raster = NDArray[np.float32]


@dataclass(frozen=True)
class Nuisance:
    """The most of each nuisance; every scene draws its own between none and that.

    Attributes:
        haze: Part of the light that is haze.
        blur: Radius in pixels of a 224 px picture; it grows with the picture.
        noise: Deviation of the grain in gray levels.
        brightness: Change of the gain, up or down.
        contrast: Change of the contrast, up or down.
        cast: Change of the gain of one color channel against the others.
    """

    haze: float
    blur: float
    noise: float
    brightness: float
    contrast: float
    cast: float


NUISANCES: Final[dict[str, Nuisance]] = {
    "mild": Nuisance(haze=0.10, blur=0.6, noise=5.0, brightness=0.07, contrast=0.08, cast=0.02),
    "none": Nuisance(haze=0.0, blur=0.0, noise=0.0, brightness=0.0, contrast=0.0, cast=0.0),
    "strong": Nuisance(haze=0.34, blur=1.7, noise=15.0, brightness=0.2, contrast=0.22, cast=0.05),
}
"""The usual one first."""


_GRAINS: Final = 4
"""Different grains; each is cut at random."""

_HAZE: Final = (196, 202, 210)


def disturb(picture: Image.Image, nuisance: Nuisance, rng: Generator) -> Image.Image:
    """The picture as a sensor far above it sees it; the same size.

    Args:
        picture: RGB.
        nuisance: What may happen to it.
        rng: Source of how much of it does.
    """
    haze, blur, grain = rng.uniform(0, 1, 3) * (nuisance.haze, nuisance.blur, nuisance.noise)
    gain, contrast = 1 + rng.uniform(-1, 1, 2) * (nuisance.brightness, nuisance.contrast)
    cast = 1 + rng.uniform(-1, 1, 3) * nuisance.cast
    if blur > 0:
        picture = picture.filter(ImageFilter.BoxBlur(float(blur) * picture.width / 224))
    size = picture.width
    gains, offset = gain * contrast * cast, 118 * gain * (1 - contrast)
    picture = picture.point([round(min(max(value * g + offset, 0), 255)) for g in gains for value in range(256)])
    if haze > 0:
        veil = np.clip(255 * haze * (0.75 + 0.3 * noise(rng, size, 3)), 0, 153).astype(np.uint8)
        picture.paste(_HAZE, mask=Image.fromarray(veil))
    if grain > 0:
        raster = np.asarray(picture) + (np.float32(grain) * _grain(rng, size)).astype(np.int16)
        picture = Image.fromarray(np.clip(raster, 0, 255, out=raster).astype(np.uint8))
    return picture


def _grain(rng: Generator, size: int) -> Raster:
    """Noise ``[size, size, 3]`` of deviation about 1, mostly the same in the three colors."""
    number, start = rng.integers(_GRAINS), int(rng.integers(size // 2))
    return _some_grain(int(number), size)[start : start + size]


@lru_cache(maxsize=2 * _GRAINS)
def _some_grain(number: int, size: int) -> Raster:
    """Made once: a new one for each scene would take longer than the rest of it, and nobody can tell."""
    rng = np.random.default_rng(number)
    rows = size + size // 2
    light = rng.standard_normal((rows, size, 1), dtype=np.float32)
    grain: Raster = light * np.float32(0.85) + np.float32(0.45) * rng.standard_normal((rows, size, 3), dtype=np.float32)
    grain.setflags(write=False)
    return grain
