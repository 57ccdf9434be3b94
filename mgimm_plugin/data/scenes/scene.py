"""Scenes as a function of a seed and an index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mgimm_plugin.data.scenes.glyphs import Part
from mgimm_plugin.data.scenes.grounds import ground
from mgimm_plugin.data.scenes.layout import SceneObject, lay_out
from mgimm_plugin.data.scenes.vocabulary import SETTINGS

RGB = tuple[int, int, int]

DEFAULT_SIZE = 224
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        setting: The ground, one of ``vocabulary.SETTINGS``.
        objects: Its objects in reading order: by row of the 3 x 3 grid, then from left to right.
        image: The picture, RGB.
    """

    setting: str
    objects: tuple[SceneObject, ...]
    image: Image.Image


def random_source(seed: int, index: int, purpose: int) -> np.random.Generator:
    """The one source of randomness of scene ``index``: the same in every process, in any order.

    Args:
        seed: Seed of the whole set.
        index: Number of the scene.
        purpose: Keeps the draws of layout, pixels and text apart.
    """
    return np.random.default_rng([seed, index, purpose])


def generate_scene(seed: int, index: int, *, size: int = DEFAULT_SIZE) -> Scene:
    """Draw scene ``index`` of the set ``seed``.

    Args:
        seed: Any integer from 0.
        index: Any integer from 0.
        size: Side of the picture in pixels.

    Returns:
        The scene with its ground truth; the same for the same arguments.

    Example:
        >>> scene = generate_scene(seed=0, index=7)
        >>> scene.objects[0].attributes["category"]
        'building'
    """
    rng = random_source(seed, index, 0)
    setting = tuple(SETTINGS)[rng.integers(len(SETTINGS))]
    objects = lay_out(rng, setting, size)
    return Scene(setting, objects, _draw(setting, objects, random_source(seed, index, 1), size))


def _draw(setting: str, objects: tuple[SceneObject, ...], rng: np.random.Generator, size: int) -> Image.Image:
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
