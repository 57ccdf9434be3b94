"""Overhead scenes: the 20 categories of DIOR in eight kinds of places."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mgimm_plugin.data.scenes.overhead.picture.drawing import draw
from mgimm_plugin.data.scenes.overhead.picture.nuisances import NUISANCES
from mgimm_plugin.data.scenes.overhead.place.layout import lay_out
from mgimm_plugin.data.scenes.overhead.styles import STYLES
from mgimm_plugin.data.scenes.overhead.text.relations import relations_json
from mgimm_plugin.data.scenes.scene import Scene, random_source
from mgimm_plugin.errors import look_up

DEFAULT_SIZE = 224
"""Side of the pictures in pixels."""


def generate_scene(
    seed: int, index: int, *, size: int = DEFAULT_SIZE, style: str = "standard", nuisance: str = "mild"
) -> Scene:
    """Draw scene ``index`` of the set ``seed``.

    Args:
        seed: Any integer from 0.
        index: Any integer from 0.
        size: Side of the picture in pixels, from 64 on.
        style: A name of ``styles.STYLES``.
        nuisance: A name of ``nuisances.NUISANCES``; it changes the pixels and nothing else.

    Returns:
        The scene with its ground truth; the same for the same arguments.

    Raises:
        SettingError: There is no such style or nuisance.
    """
    its_style, its_nuisance = look_up(STYLES, style, "style"), look_up(NUISANCES, nuisance, "nuisance")
    layout = lay_out(random_source(seed, index, 0), its_style, size)
    relations = relations_json(layout.objects, size)
    objects = tuple(
        replace(item, facts={**item.facts, "relations": found})
        for item, found in zip(layout.objects, relations, strict=True)
    )
    image = draw(layout, its_style, its_nuisance, random_source(seed, index, 1), size)
    facts = {
        "setting": layout.plan.setting,
        "features": layout.plan.visible_features(),
        "counts": dict(sorted(Counter(item.category for item in layout.objects).items())),
        "style": style,
        "nuisance": nuisance,
    }
    return Scene(setting=layout.plan.setting, objects=objects, image=image, facts=facts)
