"""The small world of the bundled models: 8 categories, 6 colors and 12 shapes on 5 grounds, at least 32 px.

It is what a language model and a vision tower of a million parameters can learn in minutes on a laptop.
"""

from __future__ import annotations

from numpy.random import Generator

from mgimm_plugin.data.scenes.mini.drawing import draw
from mgimm_plugin.data.scenes.mini.grammar import image_description, region_phrases
from mgimm_plugin.data.scenes.mini.layout import lay_out
from mgimm_plugin.data.scenes.mini.vocabulary import SETTINGS
from mgimm_plugin.data.scenes.scene import Scene, SceneTexts, random_source


def generate(seed: int, index: int, size: int) -> Scene:
    """Draw scene ``index`` of the set ``seed``, ``size`` pixels wide and high."""
    rng = random_source(seed, index, 0)
    setting = tuple(SETTINGS)[rng.integers(len(SETTINGS))]
    objects = lay_out(rng, setting, size)
    return Scene(setting=setting, objects=objects, image=draw(setting, objects, random_source(seed, index, 1), size))


def texts(scene: Scene, rng: Generator) -> SceneTexts:
    """Five descriptions of every object and of the scene; no referring expressions."""
    regions = [region_phrases(item, rng) for item in scene.objects]
    image = [image_description(scene.setting, scene.objects, rng) for _ in range(5)]
    return SceneTexts(regions, image, [])
