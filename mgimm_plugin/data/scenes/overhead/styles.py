"""Presets of palette, scale and density, so that one set can differ from another on purpose.

========  =========================================  ==============  ============
style     ground                                     sides           objects
========  =========================================  ==============  ============
standard  summer                                     as in KINDS     3 to 12
autumn    red and yellow trees, ocher grass          as in KINDS     3 to 12
winter    snow on grass, fields and trees            as in KINDS     3 to 12
dusk      warm, low light: darker, longer shadows    as in KINDS     3 to 12
small     summer                                     lower 40 %      3 to 12
dense     summer                                     lower 70 %      8 to 12
========  =========================================  ==============  ============

The colors of objects are the same in all of them (``dusk`` darkens everything a little): their words stay true.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mgimm_plugin.data.scenes.scene import RGB

_SUMMER: Final[dict[str, RGB]] = {
    "grass": (104, 122, 72),
    "lawn": (92, 118, 68),
    "meadow": (128, 134, 82),
    "wheat": (186, 166, 112),
    "crop": (98, 112, 66),
    "plowed": (138, 112, 84),
    "stubble": (168, 154, 118),
    "forest": (62, 84, 50),
    "crown": (66, 90, 52),
    "hedge": (62, 80, 48),
    "sand": (204, 178, 134),
    "gravel": (164, 152, 132),
    "dirt": (156, 132, 100),
    "beach": (206, 188, 150),
    "water": (46, 82, 102),
    "river": (62, 90, 96),
    "asphalt": (88, 89, 92),
    "pavement": (112, 109, 105),
    "concrete": (172, 169, 160),
    "apron": (158, 157, 151),
    "quay": (150, 146, 137),
    "curb": (146, 143, 136),
    "ballast": (116, 106, 98),
    "rail": (72, 66, 64),
    "paint": (216, 214, 204),
    "yellow paint": (206, 178, 84),
    "rock": (128, 120, 108),
    "ruts": (134, 110, 82),
    "surf": (150, 176, 178),
    "joint": (136, 134, 128),
    "pipe": (160, 158, 150),
    "sleepers": (92, 80, 70),
    "shallows": (92, 134, 132),
}

_AUTUMN: Final[dict[str, RGB]] = _SUMMER | {
    "grass": (146, 130, 78),
    "lawn": (136, 126, 74),
    "meadow": (166, 142, 88),
    "wheat": (172, 148, 104),
    "crop": (138, 118, 78),
    "plowed": (114, 90, 70),
    "stubble": (182, 158, 112),
    "forest": (134, 84, 42),
    "crown": (148, 90, 42),
    "hedge": (112, 84, 46),
}

_WINTER: Final[dict[str, RGB]] = _SUMMER | {
    "grass": (206, 212, 218),
    "lawn": (198, 205, 212),
    "meadow": (214, 218, 222),
    "wheat": (210, 212, 212),
    "crop": (190, 198, 204),
    "plowed": (182, 182, 184),
    "stubble": (200, 200, 198),
    "forest": (104, 114, 112),
    "crown": (92, 104, 100),
    "hedge": (104, 106, 102),
    "sand": (206, 198, 184),
    "gravel": (176, 174, 172),
    "dirt": (164, 158, 152),
    "beach": (204, 202, 196),
    "water": (42, 66, 84),
    "river": (58, 78, 88),
}


@dataclass(frozen=True)
class Style:
    """One preset.

    Attributes:
        palette: Colors of the ground.
        light: Gain of red, green and blue over the whole picture.
        shadow: Length of the shadows against the usual.
        sides: Which part of each category's range of sides is used, from 0 (smallest) to 1.
        objects: Fewest and most objects of a scene.
    """

    palette: dict[str, RGB] = field(default_factory=lambda: _SUMMER)
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow: float = 1.0
    sides: tuple[float, float] = (0.0, 1.0)
    objects: tuple[int, int] = (3, 12)


STYLES: Final[dict[str, Style]] = {
    "standard": Style(),
    "autumn": Style(palette=_AUTUMN),
    "winter": Style(palette=_WINTER),
    "dusk": Style(light=(0.92, 0.84, 0.78), shadow=1.9),
    "small": Style(sides=(0.0, 0.4)),
    "dense": Style(sides=(0.0, 0.7), objects=(8, 12)),
}
"""The usual one first."""
