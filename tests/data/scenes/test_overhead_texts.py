import random

import numpy as np
import pytest
from PIL import Image

from mgimm_plugin.data.measures import position_word, size_word
from mgimm_plugin.data.scenes.overhead.claims import check_scene
from mgimm_plugin.data.scenes.overhead.grammar import pattern_counts
from mgimm_plugin.data.scenes.overhead.texts import texts
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, KINDS, SETTINGS
from mgimm_plugin.data.scenes.scene import Scene, SceneObject

SIZE = 224
PICTURE = Image.new("RGB", (SIZE, SIZE))
FEATURES = ("road", "river", "shore", "rails", "lake", "trees", "fields", "mown grass", "something new")


def random_object(rng: random.Random, category: str, others: list[SceneObject]) -> SceneObject | None:
    kind = KINDS[category]
    for _ in range(40):
        side, stretch = rng.uniform(*kind.sides) * SIZE, rng.uniform(0.7, 1.4)
        width, height = side * stretch, side / stretch
        x, y = rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height)
        box = (x, y, x + width, y + height)
        if any(box[0] < o.box[2] and o.box[0] < box[2] and box[1] < o.box[3] and o.box[1] < box[3] for o in others):
            continue
        return SceneObject(
            category=category,
            color=rng.choice(kind.colors),
            shape=rng.choice(kind.shapes),
            size=size_word(box, SIZE, SIZE),
            position=position_word(box, SIZE, SIZE),
            box=box,
            facts={"surface": rng.choice(kind.surfaces)},
        )
    return None


def random_scene(seed: int) -> Scene:
    rng = random.Random(seed)
    categories = rng.sample(CATEGORIES, rng.randint(1, 4))
    objects: list[SceneObject] = []
    for number in range(rng.randint(3, 9)):
        item = random_object(rng, categories[number % len(categories)], objects)
        if item is not None:
            objects.append(item)
    objects.sort(key=lambda item: (int(3 * (item.box[1] + item.box[3]) / 2 / SIZE), item.box[0]))
    features = [
        {"kind": kind, "direction": rng.choice(("horizontal", "vertical", "diagonal", None)) if number < 4 else None}
        for number, kind in enumerate(FEATURES)
        if rng.random() < 0.3
    ]
    return Scene(
        setting=rng.choice(SETTINGS), objects=tuple(objects), image=PICTURE, facts={"features": features, "counts": {}}
    )


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_every_text_read_back_is_true(start):
    for seed in range(start, start + 20):
        scene = random_scene(seed)
        assert check_scene(scene, texts(scene, np.random.default_rng(seed))) == []


def test_there_are_at_least_500_sentence_patterns():
    assert sum(pattern_counts().values()) >= 500
