"""The worlds that scenes are of, and the one way to draw a scene of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from numpy.random import Generator

from mgimm_plugin.constants import IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.question_templates import QuestionTemplates
from mgimm_plugin.data.scenes import mini, overhead
from mgimm_plugin.data.scenes.overhead.picture.nuisances import NUISANCES
from mgimm_plugin.data.scenes.overhead.styles import STYLES
from mgimm_plugin.data.scenes.overhead.text.texts import texts as overhead_texts
from mgimm_plugin.data.scenes.scene import Scene, SceneTexts
from mgimm_plugin.errors import SettingError


@dataclass(frozen=True)
class World:
    """What scenes are made of.

    Attributes:
        generate: Draws a scene from seed, index, size (px), and the names of a style and of a nuisance.
        texts: Everything that is said about a scene, from its own source of randomness.
        styles: Names of the presets of palette, scale and density, the usual one first.
        nuisances: Names of the presets of haze, blur, noise and brightness, the usual one first.
        questions: What is asked; None for the bundled templates.
    """

    generate: Callable[[int, int, int, str, str], Scene]
    texts: Callable[[Scene, Generator], SceneTexts]
    styles: tuple[str, ...] = ("standard",)
    nuisances: tuple[str, ...] = ("mild",)
    questions: QuestionTemplates | None = None

    def style(self, name: str | None) -> str:
        """The style of a name, the usual one for None.

        Raises:
            SettingError: There is none.
        """
        return _one_of(self.styles, name, "style")

    def nuisance(self, name: str | None) -> str:
        """The nuisance of a name, the usual one for None.

        Raises:
            SettingError: There is none.
        """
        return _one_of(self.nuisances, name, "nuisance")


def _one_of(names: tuple[str, ...], name: str | None, kind: str) -> str:
    if name is not None and name not in names:
        raise SettingError(f"this world has no {kind} {name!r}; it has {', '.join(names)}")
    return name or names[0]


WORLDS: Final[dict[str, World]] = {
    "overhead": World(overhead.generate, overhead_texts, styles=tuple(STYLES), nuisances=tuple(NUISANCES)),
    # The bundled models were taught one question a task.
    "mini": World(
        lambda seed, index, size, style, nuisance: mini.generate(seed, index, size),
        mini.texts,
        questions=QuestionTemplates({"region": (REGION_QUESTION,), "image": (IMAGE_QUESTION,)}),
    ),
}

DEFAULT_WORLD = "overhead"


def get_world(name: str) -> World:
    """Return the world of a name.

    Raises:
        SettingError: There is none; the message lists those that exist.
    """
    if name not in WORLDS:
        raise SettingError(f"no world {name!r}; there are {', '.join(WORLDS)}")
    return WORLDS[name]
