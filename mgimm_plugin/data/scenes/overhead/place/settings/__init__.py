"""How each kind of place is laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.place.plan import Plan
from mgimm_plugin.data.scenes.overhead.place.settings.built import airfield, city, industry
from mgimm_plugin.data.scenes.overhead.place.settings.coast import port, sea
from mgimm_plugin.data.scenes.overhead.place.settings.open_land import desert, farmland, forest

_PLANS: Final[dict[str, Callable[[Generator, frozenset[str]], Plan]]] = {
    "farmland": farmland,
    "city": city,
    "forest": forest,
    "desert": desert,
    "sea": sea,
    "airfield": airfield,
    "port": port,
    "industry": industry,
}


def plan_setting(setting: str, rng: Generator, needs: frozenset[str]) -> Plan:
    """Lay out a place.

    Args:
        setting: One of ``vocabulary.SETTINGS``.
        rng: Source of everything random in it.
        needs: Categories that are to find a place in it: a bridge needs a river.
    """
    return _PLANS[setting](rng, needs)
