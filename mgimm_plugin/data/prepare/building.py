"""Records made of an annotated image: one for each object, one for each kind of text about the whole, the dialogues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.formats import IMAGE_INSTRUCTION, LLAVA, REGION_INSTRUCTION, format_of
from mgimm_plugin.data.measures import relative_side
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.attributes import measure
from mgimm_plugin.data.prepare.checking import Pixels
from mgimm_plugin.data.prepare.naming import category_words
from mgimm_plugin.data.prepare.phrases import image_description, region_phrases
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.prepare.splits import image_name
from mgimm_plugin.data.question_templates import QuestionTemplates
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import RecordError

FROM_SOURCE: Final = "source"
MADE: Final = "made"
"""How a record's answer came about: the source's words, or made from measured attributes."""

GUIDES: Final = 100
"""Regions that guide an image's description, at most: the first ones; a model's context holds no more."""

FILES: Final[Mapping[str, str]] = {
    REGION_INSTRUCTION: "region.jsonl",
    IMAGE_INSTRUCTION: "image.jsonl",
    LLAVA: "text.jsonl",
}
"""Which file a record of a format goes to."""

_RECORD_FIELDS: Final = frozenset(
    {"id", "image", "width", "height", "regions", "conversations", "references", "source", "source_id", "text"}
)
_REGION_FIELDS: Final = frozenset({"bbox", "category", "phrase", "attributes", "polygon"})


@dataclass(frozen=True, slots=True)
class Built:
    """A record that was made and checked.

    Attributes:
        value: The record as JSON.
        file: Name of the file it belongs in.
        image_name: ``splits.image_name`` of its image.
        split: Its part by the source.
    """

    value: dict[str, Any]
    file: str
    image_name: str
    split: str | None


@dataclass(frozen=True, slots=True)
class Sourced:
    """An image as a format has it: the one that is converted, or one whose texts are joined to it."""

    source_format: str
    image: AnnotatedImage


class Builder:
    """Builds the records of one conversion.

    Args:
        questions: The questions to ask.
        seed: Chooses questions and patterns.
        losses: Where what is dropped or changed is accounted for.
    """

    def __init__(self, questions: QuestionTemplates, seed: int, losses: Losses) -> None:
        self._questions, self._seed, self._losses = questions, seed, losses
        self._ids: set[str] = set()

    def build(self, sourced: Sourced, pixels: Pixels | None, joined: Sequence[Sourced] = ()) -> list[Built]:
        """Build the records of an image.

        Args:
            sourced: The image, from ``Checker.check``.
            pixels: The image itself, where it is at hand.
            joined: Sourced of other sources about it.

        Raises:
            ImageError: The image cannot be read, and is needed.
        """
        return list(self._checked(sourced.image, self._records(sourced, pixels, joined)))

    def _records(
        self, sourced: Sourced, pixels: Pixels | None, joined: Sequence[Sourced]
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        image = sourced.image
        spoken_of = {number for dialogue in image.dialogues for number in dialogue.objects}
        silent = [item for number, item in enumerate(image.objects) if number not in spoken_of]
        wordless = [item for item in silent if item.phrase is None and item.category is not None]
        measured = self._measured(image, wordless, pixels)
        regions = {id(item): _region(item, measured.get(id(item))) for item in image.objects}
        for item in silent:
            if item.phrase is not None or item.category is not None:
                yield self._region_record(sourced, item, regions[id(item)], measured.get(id(item)))
        guides = [regions[id(item)] for item in image.objects]
        for source in (sourced, *joined):
            yield from self._text_records(image, source, guides)
        for number, dialogue in enumerate(image.dialogues):
            value = self._common(f"{image.source_id}-dialogue{number}", image, sourced.source_format, image.source_id)
            its_regions = [guides[place] for place in dialogue.objects]
            turns = [{"from": turn.role, "value": turn.value} for turn in dialogue.turns]
            if dialogue.shows_image and turns:
                turns[0]["value"] = f"{DEFAULT_IMAGE_TOKEN}\n{turns[0]['value']}"
            value |= {"regions": its_regions, "conversations": turns, "text": FROM_SOURCE}
            yield {**value, **_others(dialogue.extra, _RECORD_FIELDS)}, image.split
        if wordless and len(wordless) == len(image.objects) and not (joined or image.captions or image.descriptions):
            yield self._made_description(sourced, wordless, measured, guides)

    def _measured(
        self, image: AnnotatedImage, wordless: Sequence[AnnotatedObject], pixels: Pixels | None
    ) -> dict[int, dict[str, str]]:
        if not wordless:
            return {}
        picture = None if pixels is None else pixels.image
        found = measure(wordless, image.width, image.height, picture, among=image.objects)
        return {id(item): values for item, values in zip(wordless, found, strict=True)}

    def _region_record(
        self, sourced: Sourced, item: AnnotatedObject, region: dict[str, Any], measured: dict[str, str] | None
    ) -> tuple[dict[str, Any], str | None]:
        image = sourced.image
        name = item.source_id
        if not name.startswith(image.source_id):
            name = f"{image.source_id}-{name}"
        value = self._common(name, image, sourced.source_format, item.source_id)
        if measured is None:
            task, answers = "referring", [item.phrase]
        else:
            task = "region" if measured.keys() - {"category"} else "category"
            answers = [*region_phrases(measured, name, seed=self._seed)]
        question = f"{DEFAULT_REGION_TOKEN}\n{self._questions.choose(task, name, seed=self._seed)}"
        value |= {"regions": [region], **_answered(question, answers)}
        value["text"] = FROM_SOURCE if measured is None else MADE
        return value, item.split or image.split

    def _text_records(
        self, image: AnnotatedImage, source: Sourced, guides: list[dict[str, Any]]
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        texts = source.image
        for task, answers, suffix in (("image", texts.descriptions, ""), ("caption", texts.captions, "-caption")):
            said = [text for text in dict.fromkeys(answers) if text.strip()]
            self._losses.change(f"{task} text that repeats another of its image, or is blank", len(answers) - len(said))
            if said:
                name = f"{image.source_id}{suffix}"
                value = self._common(name, image, source.source_format, texts.source_id)
                value |= self._guided(task, name, guides, said)
                yield {**value, "text": FROM_SOURCE, **_others(texts.extra, _RECORD_FIELDS)}, texts.split

    def _made_description(
        self,
        sourced: Sourced,
        wordless: Sequence[AnnotatedObject],
        measured: Mapping[int, dict[str, str]],
        guides: list[dict[str, Any]],
    ) -> tuple[dict[str, Any], str | None]:
        image = sourced.image
        # The largest first: what a person would name first. Python's sort leaves equals in the source's order.
        notable = sorted(wordless, key=lambda item: -relative_side(item.bbox, 1, 1))
        said = image_description([measured[id(item)] for item in notable], image.source_id, seed=self._seed)
        value = self._common(image.source_id, image, sourced.source_format, image.source_id)
        value |= self._guided("image", image.source_id, guides, [said])
        return {**value, "text": MADE, **_others(image.extra, _RECORD_FIELDS)}, image.split

    def _guided(self, task: str, name: str, guides: list[dict[str, Any]], answers: Sequence[str]) -> dict[str, Any]:
        shown = guides[:GUIDES]
        self._losses.change(f"region beyond the {GUIDES} that guide an image's text", len(guides) - len(shown))
        tokens = f"{DEFAULT_REGION_TOKEN * len(shown)}\n" if shown else ""
        question = f"{DEFAULT_IMAGE_TOKEN}\n{tokens}{self._questions.choose(task, name, seed=self._seed)}"
        return {"regions": shown, **_answered(question, answers)}

    def _common(self, name: str, image: AnnotatedImage, source_format: str, source_id: str) -> dict[str, Any]:
        value: dict[str, Any] = {"id": name}
        if image.file_name is not None:
            value["image"] = image.file_name
        if image.width and image.height:
            value |= {"width": image.width, "height": image.height}
        return {**value, "source": source_format, "source_id": source_id}

    def _checked(self, image: AnnotatedImage, records: Iterable[tuple[dict[str, Any], str | None]]) -> Iterator[Built]:
        """Let only records through that training takes; each under an id of its own."""
        name = image_name(image)
        for value, split in records:
            try:
                value["id"] = self._unique(value["id"])
                record = parse_record(value)
                record_format = format_of(record)
                record_format.check(record)
            except RecordError as error:
                self._losses.drop(error.at(record=value["id"]))
                continue
            yield Built(value, FILES.get(record_format.name, f"{record_format.name}.jsonl"), name, split)

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._ids:
            number += 1
            name = f"{wanted}-{number}"
        self._losses.change("id that another record has: a number was added", int(name != wanted))
        self._ids.add(name)
        return name


def _region(item: AnnotatedObject, measured: Mapping[str, str] | None) -> dict[str, Any]:
    value: dict[str, Any] = {"bbox": [_plain(number) for number in item.bbox]}
    if item.category is not None:
        value["category"] = item.category
    if item.phrase is not None:
        value["phrase"] = item.phrase
    if measured is not None:
        value["attributes"] = dict(measured)
    elif item.category is not None:
        value["attributes"] = {"category": category_words(item.category)}
    if item.polygon is not None:
        value["polygon"] = [[_plain(x), _plain(y)] for x, y in item.polygon]
    return {**value, **_others(item.extra, _REGION_FIELDS)}


def _answered(question: str, answers: Sequence[str | None]) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answers[0]}]
    return {"conversations": turns, **({"references": list(answers[1:])} if answers[1:] else {})}


def _others(extra: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in taken}


def _plain(number: float) -> float | int:
    """Whole numbers without ``.0``: files are read by people, too."""
    return int(number) if float(number).is_integer() else float(number)
