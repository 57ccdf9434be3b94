"""Everything that is said about an overhead scene; ``claims`` proves that it is true."""

from __future__ import annotations

from random import Random

from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.text.describing import describe
from mgimm_plugin.data.scenes.overhead.text.grammar import load_grammar
from mgimm_plugin.data.scenes.overhead.text.referring import refer
from mgimm_plugin.data.scenes.overhead.text.wording import Wording, one_of, words
from mgimm_plugin.data.scenes.scene import Scene, SceneTexts
from mgimm_plugin.data.wording import plural

TEXTS = 5
"""Texts of each kind."""

_TRIES = 60


def texts(scene: Scene, rng: Generator) -> SceneTexts:
    """Say all there is to say.

    Args:
        scene: The scene; of its facts ``features`` are spoken of, of those of an object its ``surface``.
        rng: The only source of chance.

    Returns:
        Five descriptions of each object, each with all its attributes; five descriptions of the scene; up to five
        expressions for each object that no other object fits, fewer where there are no more.
    """
    wording = Wording(scene, Random(int(rng.integers(2**63))))
    regions = [_regions(wording, index) for index in range(len(scene.objects))]
    image = [describe(wording, brief=number == TEXTS - 1) for number in range(TEXTS)]
    return SceneTexts(regions, image, [refer(wording, index, TEXTS) for index in range(len(scene.objects))])


def _regions(wording: Wording, index: int) -> list[str]:
    """Five different descriptions of an object."""
    grammar, slots = load_grammar("region"), _slots(wording, index)
    said: dict[str, None] = {}
    for _ in range(_TRIES):
        said[grammar.say("region", slots, wording.rng)] = None
        if len(said) == TEXTS:
            break
    return list(said)


def _slots(wording: Wording, index: int) -> dict[str, str]:
    item, rng = wording.objects[index], wording.rng
    members = wording.members[item.category]
    slots = {
        "size": words()["sizes"][item.size],
        "size_bare": item.size,
        "color": item.color,
        "shape": item.shape,
        "category": item.category,
        "position": item.position,
    }
    if wording.can_stand_alone(item):
        slots["form"] = item.shape
    if item.shape in words()["outlines"]:
        slots["outline"] = item.shape
    surface = wording.surface(item)
    if surface is not None:
        slots["surface"] = surface
    if len(members) == 1:
        slots["only"] = "only"
        return slots
    slots |= {"number": wording.number(len(members)), "plural": plural(item.category)}
    if len(members) > 2:
        slots["many"] = slots["number"]
    siblings = [relation for relation in wording.relations[index] if relation.object in members]
    if siblings:
        predicate = siblings[int(rng.random() * len(siblings))].predicate
        slots |= {"sibling_is": wording.relation(predicate), "sibling_has": wording.its_side(predicate)}
    # "A small ship, the largest of the two" would be true and odd.
    odd = {"small": "largest", "large": "smallest"}.get(item.size)
    ranks = [name for name, which in wording.extremes(wording.mask(item, ())).items() if which == index and name != odd]
    if ranks:
        slots["superlative"] = one_of(words()["superlatives"][one_of(ranks, rng)], rng)
    return slots
