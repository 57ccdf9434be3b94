"""The picture of a scene."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image

from mgimm_plugin.data.scenes.overhead.picture.details import draw_details
from mgimm_plugin.data.scenes.overhead.picture.grounds import draw_ground
from mgimm_plugin.data.scenes.overhead.picture.nuisances import Nuisance, disturb
from mgimm_plugin.data.scenes.overhead.picture.painting import paint
from mgimm_plugin.data.scenes.overhead.place.layout import Layout
from mgimm_plugin.data.scenes.overhead.styles import Style

_OVERSAMPLING = 2


def draw(layout: Layout, style: Style, nuisance: Nuisance, rng: Generator, size: int) -> Image.Image:
    """Draw ground, shadows and objects, and what the sensor makes of them.

    Args:
        layout: What is where.
        style: Its palette and light.
        nuisance: What disturbs the picture.
        rng: Source of textures, light and disturbance.
        size: Side in pixels.

    Returns:
        RGB, ``size`` x ``size`` px.
    """
    angle, length = rng.uniform(0.15, 0.35) * np.pi, rng.uniform(0.5, 0.8) * style.shadow
    ground = draw_ground(layout.plan, style, rng, size)
    # Nearest: what no object covers comes back as it was when the picture is reduced.
    big = ground.resize((size * _OVERSAMPLING, size * _OVERSAMPLING), Image.Resampling.NEAREST)
    sun = (float(length * np.cos(angle)), float(length * np.sin(angle)))
    draw_details(big, layout.details, style, sun)
    paint(big, [(item.glyph, item.tint) for item in layout.objects], scale=_OVERSAMPLING, sun=sun)
    picture = big.reduce(_OVERSAMPLING)
    if style.light != (1.0, 1.0, 1.0):
        lit = np.asarray(picture, dtype=np.float32) * np.asarray(style.light, dtype=np.float32)
        picture = Image.fromarray(lit.astype(np.uint8))
    return disturb(picture, nuisance, rng)
