"""Conversations for the mini language model, made of what is said about scenes; no picture and no box is in them.

A conversation says what it is about in *bags*, vectors that are sums of word embeddings: two stand where a region's two
tokens will stand, a few dozen where an image's patches will. So the frozen model can later be steered by what a
projector makes of a picture. Some conversations tell it in keywords instead, or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.random import Generator

from mgimm_plugin.constants import IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.measures import POSITIONS
from mgimm_plugin.data.question_templates import load_questions

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
REGION_QUESTIONS = (*load_questions().by_task["region"], REGION_QUESTION)
IMAGE_QUESTIONS = (*load_questions().by_task["image"], IMAGE_QUESTION)
ATTRIBUTES = ("category", "color", "shape", "size", "position", "surface")
END = "</s>"

_AROUND = re.compile(
    r"\b(only|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|left|right|above|below|beside|next|close"
    r"|largest|biggest|smallest|leftmost|rightmost|topmost|uppermost|bottommost|lowermost)\b"
)
"""Words of a region's text that tell of the objects around it."""


@dataclass
class Sample:
    """A sequence in parts: strings are text, lists of word lists are bags (one vector each).

    Attributes:
        parts: Everything in order; a string of ``answers`` is learned.
        answers: Places in ``parts`` of the texts that are learned.
        gap: Positions left out after the first bags, as if there were more of them.
        objects: What the answers are about, one for each; empty where they are about none or many.
    """

    parts: list[str | list[list[str]]]
    answers: tuple[int, ...]
    gap: int = 0
    objects: list[dict[str, str]] = field(default_factory=list)


class Conversations:
    """Samples made of the texts of scenes.

    Args:
        scenes: From ``corpus.load_texts``.
    """

    def __init__(self, scenes: Sequence[dict[str, Any]]) -> None:
        self.scenes = scenes
        self.english = json.loads(Path(__file__).with_name("english.json").read_text())

    def region(self, rng: Generator, turns: int = 4) -> Sample:
        """Questions about objects of several scenes, each told by two bags, by keywords, or not at all."""
        parts: list[str | list[list[str]]] = []
        answers, objects = [], []
        for turn in range(turns):
            scene = self._scene(rng)
            which = int(rng.integers(len(scene["objects"])))
            item, said = scene["objects"][which], str(rng.choice(scene["regions"][which]))
            start = f"{SYSTEM} USER: " if turn == 0 else "USER: "
            question = str(rng.choice(REGION_QUESTIONS))
            kind = rng.random()
            if kind < 0.92:
                around = list(dict.fromkeys(_AROUND.findall(_beyond(said, item)))) if rng.random() < 0.5 else []
                parts += [start, _two_bags(_words(item), around, rng), f"\n{question} ASSISTANT:"]
            else:
                told = f"{_keywords(item)}\n" if kind < 0.98 else ""
                parts += [f"{start}{told}{question} ASSISTANT:"]
            answers.append(len(parts))
            parts.append(f" {said}{END}")
            objects.append(item)
        return Sample(parts, tuple(answers), objects=objects)

    def image(self, rng: Generator) -> Sample:
        """A question about a scene: bags in the place of an image and of its regions, or keywords, or nothing."""
        scene = self._scene(rng)
        objects = scene["objects"]
        question = str(rng.choice(IMAGE_QUESTIONS))
        # The last description leaves out attributes here and there.
        answer = f" {scene['image'][rng.integers(5 if rng.random() < 0.3 else 4)]}{END}"
        kind = rng.random()
        if kind < 0.05:
            told = "; ".join([scene["setting"], *map(_keywords, objects)]) + "\n" if kind < 0.03 else ""
            return Sample([f"{SYSTEM} USER: {told}{question} ASSISTANT:", answer], (1,))
        with_objects = kind < 0.55
        image = _image_bags(scene, objects if with_objects else [], rng)
        shown = list(range(len(objects)))
        if with_objects and rng.random() < 0.6:
            shown = [i for i in rng.permutation(len(objects)) if rng.random() < 0.5]
            shown = sorted(shown) if rng.random() < 0.5 else shown
        regions = [bag for i in shown for bag in _two_bags(_words(objects[i]), [], rng)]
        parts: list[str | list[list[str]]]
        parts = [f"{SYSTEM} USER: ", image, "\n", regions, f"\n{question} ASSISTANT:", answer]
        return Sample(parts, (5,), gap=int(rng.integers(0, 240)))

    def text(self, rng: Generator) -> Sample:
        """Sentences without a conversation."""
        if rng.random() < 0.5:
            return Sample([" ".join(rng.choice(self.english, 4, replace=False)) + END], (0,))
        scene = self._scene(rng)
        return Sample([" ".join(str(rng.choice(said)) for said in scene["regions"][:4]) + END], (0,))

    def texts(self, rng: Generator, count: int) -> list[str]:
        """Texts the tokenizer is trained on."""
        samples = [make(rng) for make in (self.region, self.image, self.text) for _ in range(count)]
        texts = ["".join(part if isinstance(part, str) else "\n" for part in sample.parts) for sample in samples]
        return [text.replace(END, "") for text in texts]

    def _scene(self, rng: Generator) -> dict[str, Any]:
        return self.scenes[int(rng.integers(len(self.scenes)))]


def _words(item: dict[str, str]) -> list[str]:
    return [item[name] for name in ATTRIBUTES]


def _keywords(item: dict[str, str]) -> str:
    return "{color} {shape} {category}, {size}, {position}, {surface}".format(**item)


def _beyond(said: str, item: dict[str, str]) -> str:
    """The text without the words of its own position."""
    return said.replace(item["position"], "")


def _two_bags(words: list[str], around: list[str], rng: Generator) -> list[list[str]]:
    """All words in both, or each word in one of the two, or all in one: a projector may learn any of these."""
    words = words + around
    kind = rng.random()
    if kind < 0.5:
        return [words, words]
    if kind < 0.8:
        first = rng.random(len(words)) < 0.5
        return [[word for word, chosen in zip(words, first, strict=True) if chosen == part] for part in (True, False)]
    return [words, []] if kind < 0.9 else [[], words]


def _image_bags(scene: dict[str, Any], objects: Sequence[dict[str, str]], rng: Generator) -> list[list[str]]:
    """A few vectors for each object and some for the ground, in reading order as patches would be."""
    ground = [scene["setting"], *(feature["kind"] for feature in scene["features"])]
    places = [(rng.random() * 9, [scene["setting"], str(rng.choice(ground))]) for _ in range(rng.integers(6, 16))]
    cells = [word for row in POSITIONS for word in row]
    for item in objects:
        cell = cells.index(item["position"])
        for _ in range(rng.integers(1, 4)):
            kept = [word for word in _words(item) if rng.random() < 0.9]
            places.append((cell + rng.random(), [*kept, scene["setting"]] if rng.random() < 0.3 else kept))
    return [words for _, words in sorted(places, key=lambda place: place[0])]
