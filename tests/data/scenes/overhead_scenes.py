"""Scenes made up from the vocabulary of overhead scenes, without pictures: any mixture of anything."""

import random

from PIL import Image

from mgimm_plugin.data.measures import SIZES, position_word, size_word
from mgimm_plugin.data.scenes.overhead.text.lexicon import POSITION_WORDS
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, KINDS, SETTINGS, SHAPES
from mgimm_plugin.data.scenes.scene import Scene, SceneObject
from mgimm_plugin.evaluate.attributes import vocabulary

SIZE = 224
PICTURE = Image.new("RGB", (SIZE, SIZE))
FEATURES = ("road", "river", "shore", "rails", "lake", "trees", "fields", "mown grass", "something new")


def every_word() -> dict[str, dict[str, str]]:
    """The vocabulary of all scenes there can be."""
    words = {"category": CATEGORIES, "color": COLORS, "shape": SHAPES, "size": SIZES, "position": POSITION_WORDS}
    return vocabulary({name: value} for name, values in words.items() for value in values)


def an_object(category: str, box: tuple, color: str = "", shape: str = "", **facts) -> SceneObject:
    kind = KINDS[category]
    return SceneObject(
        category=category,
        color=color or kind.colors[0],
        shape=shape or kind.shapes[0],
        size=size_word(box, SIZE, SIZE),
        position=position_word(box, SIZE, SIZE),
        box=box,
        facts=facts,
    )


def a_scene(*objects: SceneObject, setting: str = "port", features: tuple = ()) -> Scene:
    return Scene(setting=setting, objects=objects, image=PICTURE, facts={"features": list(features)})


def random_scene(seed: int) -> Scene:
    rng = random.Random(seed)
    categories = rng.sample(CATEGORIES, rng.randint(1, 4))
    objects: list[SceneObject] = []
    for number in range(rng.randint(3, 9)):
        category = categories[number % len(categories)]
        box = _free_box(rng, category, objects)
        if box is not None:
            kind = KINDS[category]
            color, shape, surface = (rng.choice(words) for words in (kind.colors, kind.shapes, kind.surfaces))
            objects.append(an_object(category, box, color, shape, surface=surface))
    objects.sort(key=lambda item: (int(3 * (item.box[1] + item.box[3]) / 2 / SIZE), item.box[0]))
    features = [
        {"kind": kind, "direction": rng.choice(("horizontal", "vertical", "diagonal", None)) if number < 4 else None}
        for number, kind in enumerate(FEATURES)
        if rng.random() < 0.3
    ]
    return a_scene(*objects, setting=rng.choice(SETTINGS), features=tuple(features))


def _free_box(rng: random.Random, category: str, others: list[SceneObject]) -> tuple | None:
    for _ in range(40):
        side, stretch = rng.uniform(*KINDS[category].sides) * SIZE, rng.uniform(0.7, 1.4)
        width, height = side * stretch, side / stretch
        x, y = rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height)
        box = (x, y, x + width, y + height)
        if not any(
            box[0] < other.box[2] and other.box[0] < box[2] and box[1] < other.box[3] and other.box[1] < box[3]
            for other in others
        ):
            return box
    return None
