"""Text for the mini language model: made-up objects, their sentences, and the conversations about them.

Nothing here is drawn: objects are words only. A conversation says what it is about in one of two ways, as keywords or
as *bags*, vectors that are sums of word embeddings. Two bags stand where a region's two tokens will
stand, so that the frozen model can later be steered by what a projector makes of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from mgimm_plugin.constants import IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.scenes.mini.grammar import image_description, region_phrases
from mgimm_plugin.data.scenes.mini.layout import draw_kinds
from mgimm_plugin.data.scenes.mini.vocabulary import ATTRIBUTES, POSITIONS, SETTINGS, SIZES
from mgimm_plugin.data.scenes.scene import SceneObject

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
REGION_QUESTIONS = (
    REGION_QUESTION,
    "What is in this region?",
    "Describe this region.",
    "Describe the main object in the region.",
    "Based on the provided region of the remote sensing image, describe the basic attributes of its main object.",
)
IMAGE_QUESTIONS = (
    IMAGE_QUESTION,
    "Describe this image.",
    "What can you see in this remote sensing image?",
    "Please give a detailed description of the image.",
    "Provide a detailed caption for this aerial image.",
)
ENGLISH = (
    "Hello, who are you? I am a small language model that describes images seen from above.",
    "Can you help me with a question? Yes, I can answer questions about an image or about a part of it.",
    "How many objects are there, and what color are they? Please look at every part of the picture before you answer.",
    "The weather was fine, and the people who live near the river went to work early in the morning.",
    "A city has streets, houses, parks and bridges; a village has fields, trees and a few small roads.",
    "Ships carry goods across the sea, and trucks bring them from the port to the shops.",
    "If you want to know more, read the book that your teacher gave you last week.",
    "There is a large airport north of the town, with two runways, a terminal and a parking lot.",
    "Farmers grow corn, wheat and rice, and they use water from the lake when it does not rain.",
    "An image from a satellite shows the ground as a bird would see it, with roofs, cars and crops.",
    "She said that it would take about 30 minutes, but we were there in less than 15.",
    "The numbers are 0, 1, 2, 3, 4, 5, 6, 7, 8 and 9; ten times ten is 100, and in 2024 there were 366 days.",
    "What is the shape of this object? Which one is the largest, the left one or the right one?",
    "Tennis courts, stadiums, dams, chimneys, golf fields and train stations can be seen from the air.",
    "The road turns to the east, passes under the overpass, and ends at the toll station near the forest.",
    "He could not find the answer, so he asked again and was given a better explanation.",
    "This region contains brown and gray buildings around a green square with several tall trees.",
    "Between the two rivers lies an industrial area whose tanks and pipes are connected by a railway.",
)


@dataclass
class Sample:
    """A sequence in parts: strings are text, lists of word lists are bags (one vector each).

    Attributes:
        parts: What precedes the answer, in order.
        answer: The text that is learned.
        gap: Positions left out after the bags, as if there were more of them.
    """

    parts: list[str | list[list[str]]]
    answer: str
    gap: int = 0
    objects: list[SceneObject] = field(default_factory=list)


def made_up_objects(rng: Generator, setting: str) -> list[SceneObject]:
    """Objects as they occur together in a scene, in reading order, with places in words only."""
    kinds = draw_kinds(rng, setting)
    cells = np.sort(rng.choice(np.repeat(np.arange(9), 2), len(kinds), replace=False))
    order = rng.permutation(len(kinds))
    return [
        SceneObject(
            **dict(zip(("category", "color", "shape"), kinds[i], strict=True)),
            size=str(rng.choice(SIZES)),
            position=POSITIONS[cell // 3][cell % 3],
            box=(0, 0, 1, 1),
        )
        for i, cell in zip(order, cells, strict=True)
    ]


def sample_region(rng: Generator) -> Sample:
    """A question about one object, told by two bags, by keywords, or not at all."""
    item = made_up_objects(rng, str(rng.choice(list(SETTINGS))))[0]
    question = _question(REGION_QUESTIONS, rng)
    phrase = region_phrases(item, rng)[0]
    kind = rng.random()
    if kind < 0.75:
        parts: list[str | list[list[str]]] = [f"{SYSTEM} USER: ", _two_bags(item, rng), f"\n{question} ASSISTANT:"]
    else:
        told = f"{_keywords(item)}\n" if kind < 0.92 else ""
        parts = [f"{SYSTEM} USER: {told}{question} ASSISTANT:"]
    return Sample(parts, f" {phrase}</s>", objects=[item])


def sample_image(rng: Generator) -> Sample:
    """A question about a whole scene: bags in the place of an image and of regions, or keywords, or nothing."""
    setting = str(rng.choice(list(SETTINGS)))
    objects = made_up_objects(rng, setting)
    question = _question(IMAGE_QUESTIONS, rng)
    answer = f" {image_description(setting, objects, rng)}</s>"
    kind = rng.random()
    if kind < 0.12:
        told = "; ".join([setting, *(_keywords(item) for item in objects)]) + "\n" if kind < 0.08 else ""
        return Sample([f"{SYSTEM} USER: {told}{question} ASSISTANT:"], answer, objects=objects)
    with_objects = kind < 0.6
    image = _image_bags(setting, objects if with_objects else [], rng)
    shuffled = [objects[i] for i in rng.permutation(len(objects))]
    shown = shuffled[: int(rng.integers(len(objects) + 1))] if with_objects else objects
    if rng.random() < 0.5:
        shown = [item for item in objects if any(item is other for other in shown)]
    regions = [bag for item in shown for bag in _two_bags(item, rng)]
    parts = [f"{SYSTEM} USER: ", image, "\n", regions, f"\n{question} ASSISTANT:"]
    return Sample(parts, answer, gap=int(rng.integers(0, 160)), objects=objects)


def sample_text(rng: Generator) -> Sample:
    """Sentences without a conversation."""
    if rng.random() < 0.5:
        chosen = rng.choice(len(ENGLISH), 4, replace=False)
        return Sample([], " ".join(ENGLISH[i] for i in chosen) + "</s>")
    items = made_up_objects(rng, "desert")[:3]
    return Sample([], " ".join(region_phrases(item, rng)[0] for item in items) + "</s>")


def corpus_texts(rng: Generator, count: int) -> list[str]:
    """Texts the tokenizer is trained on."""
    samples = [make(rng) for make in (sample_region, sample_image, sample_text) for _ in range(count)]
    texts = ["".join(part if isinstance(part, str) else "\n" for part in s.parts) + s.answer for s in samples]
    return [text.replace("</s>", "") for text in texts] + list(REGION_QUESTIONS) + list(IMAGE_QUESTIONS)


def _question(questions: Sequence[str], rng: Generator) -> str:
    return questions[0] if rng.random() < 0.75 else questions[int(rng.integers(1, len(questions)))]


def _keywords(item: SceneObject) -> str:
    return f"{item.color} {item.shape} {item.category}, {item.size}, {item.position}"


def _words(item: SceneObject) -> list[str]:
    return [item.attributes[name] for name in ATTRIBUTES]


def _two_bags(item: SceneObject, rng: Generator) -> list[list[str]]:
    """All words in both, or each word in one of the two, or all in one: a projector may learn any of these."""
    words = _words(item)
    kind = rng.random()
    if kind < 0.4:
        return [words, words]
    if kind < 0.8:
        first = rng.random(len(words)) < 0.5
        return [[word for word, chosen in zip(words, first, strict=True) if chosen == part] for part in (True, False)]
    return [words, []] if kind < 0.9 else [[], words]


def _image_bags(setting: str, objects: Sequence[SceneObject], rng: Generator) -> list[list[str]]:
    """A few vectors for each object and some for the ground, in reading order as patches would be."""
    places: list[tuple[float, list[str]]] = [(rng.random() * 9, [setting]) for _ in range(rng.integers(4, 12))]
    for item in objects:
        row = next(i for i, words in enumerate(POSITIONS) if item.position in words)
        cell = 3 * row + POSITIONS[row].index(item.position)
        for _ in range(rng.integers(1, 5)):
            kept = [word for word in _words(item) if rng.random() < 0.85]
            places.append((cell + rng.random(), [*kept, setting] if rng.random() < 0.3 else kept))
    return [words for _, words in sorted(places, key=lambda place: place[0])]
