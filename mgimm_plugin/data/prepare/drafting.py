"""What an annotated image has to say, as records: of each object, of the whole, and in conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.measures import relative_side
from mgimm_plugin.data.prepare.annotations import FROM_SOURCE, MADE, AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.attributes import measure
from mgimm_plugin.data.prepare.checking import Pixels
from mgimm_plugin.data.prepare.naming import object_words
from mgimm_plugin.data.prepare.phrases import image_description, referring_expressions, region_phrases
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.question_templates import QuestionTemplates
from mgimm_plugin.errors import RecordError

GUIDES: Final = 100
"""Regions that guide a text about an image, at most; a model's context holds no more."""

REFERRING: Final = "referring.jsonl"
INCOMPLETE: Final = "image of which an object was dropped: no description and no referring expressions made of it"

_RECORD_FIELDS: Final = frozenset(
    {"id", "image", "width", "height", "regions", "conversations", "references", "source", "source_id", "text"}
)
_REGION_FIELDS: Final = frozenset({"bbox", "category", "phrase", "attributes", "polygon"})


@dataclass(frozen=True, slots=True)
class Sourced:
    """An image as a format has it: the one that is converted, or one whose texts are joined to it."""

    source_format: str
    image: AnnotatedImage


class Draft(NamedTuple):
    """A record that is not checked yet.

    Attributes:
        value: The record as JSON; its id may be taken.
        split: Its part by the source.
        file: Name of its file, where that is not told by the record's format.
        is_measured: Whether it says what was measured of its region.
    """

    value: dict[str, Any]
    split: str | None
    file: str | None = None
    is_measured: bool = False


class Drafter:
    """Drafts the records of one image.

    Args:
        sourced: The image, from ``Checker.check``.
        pixels: The image itself, where it is at hand.
        joined: Other sources of texts about it.
        questions: The questions to ask.
        seed: Chooses questions and patterns.
        losses: Where what is left out is accounted for.

    Raises:
        ImageError: The image cannot be read, and is needed.
    """

    def __init__(
        self,
        sourced: Sourced,
        pixels: Pixels | None,
        joined: Sequence[Sourced],
        *,
        questions: QuestionTemplates,
        seed: int,
        losses: Losses,
    ) -> None:
        self._sourced, self._joined = sourced, joined
        self._questions, self._seed, self._losses = questions, seed, losses
        image = sourced.image
        self._image = image
        spoken_of = {number for dialogue in image.dialogues for number in dialogue.objects}
        self._alone = [item for number, item in enumerate(image.objects) if number not in spoken_of]
        # Whatever is made says something of one thing, or counts things: none of it is true of a crowd.
        self._wordless = [
            item for item in self._alone if item.phrase is None and item.category is not None and not item.is_crowd
        ]
        self._measured: dict[int, dict[str, str]] = {}
        if self._wordless:
            picture = None if pixels is None else pixels.image
            found = measure(
                self._wordless, image.width, image.height, picture,
                among=image.objects, is_complete=image.is_complete,
            )  # fmt: skip
            self._measured = {id(item): values for item, values in zip(self._wordless, found, strict=True)}
        # What a conversation speaks of stays as the source has it: records of our own come out as they went in.
        known = {id(item): {"category": object_words(item.category)} for item in self._alone if item.category}
        known |= self._measured
        self._regions = {id(item): _region(item, known.get(id(item), {})) for item in image.objects}
        self._guides = [self._regions[id(item)] for item in image.objects]

    def drafts(self) -> Iterator[Draft]:
        """All records: objects, texts about the image, conversations, then what is made of an image without text."""
        for item in self._alone:
            if item.phrase is not None:
                yield self._told(item)
            elif item.is_crowd:
                message = "is a crowd (iscrowd): a made sentence about one thing would be false of it"
                self._losses.drop(RecordError(message, record=item.source_id, field="objects"))
            elif item.category is not None:
                yield self._described(item)
        for source in (self._sourced, *self._joined):
            yield from self._texts(source)
        yield from self._dialogues()
        if self._wordless and not self._image.is_complete:
            self._losses.change(INCOMPLETE)
        elif self._wordless and len(self._wordless) == len(self._image.objects):
            yield from self._referred()
            if not (self._joined or self._image.captions or self._image.descriptions or self._image.dialogues):
                yield self._description()

    def _told(self, item: AnnotatedObject) -> Draft:
        """The source's own sentence about an object."""
        return self._region_draft(item, "referring", [item.phrase or ""], FROM_SOURCE)

    def _described(self, item: AnnotatedObject) -> Draft:
        """Everything that was measured of an object."""
        measured = self._measured[id(item)]
        task = "region" if measured.keys() - {"category", "relation"} else "category"
        said = region_phrases(measured, self._name_of(item), seed=self._seed)
        return self._region_draft(item, task, said, MADE)._replace(is_measured=True)

    def _referred(self) -> Iterator[Draft]:
        """A referring expression for each object that few words tell from the others."""
        names = [f"{self._name_of(item)}-referring" for item in self._wordless]
        attributes = [self._measured[id(item)] for item in self._wordless]
        said = referring_expressions(attributes, names, seed=self._seed)
        for item, name, expressions in zip(self._wordless, names, said, strict=True):
            if expressions:
                draft = self._region_draft(item, "referring", expressions, MADE, name)
                # Such an answer names what is needed, not all attributes: it is not to be marked by them.
                region = {key: value for key, value in self._regions[id(item)].items() if key != "attributes"}
                yield Draft({**draft.value, "regions": [region]}, draft.split, REFERRING)

    def _region_draft(
        self, item: AnnotatedObject, task: str, answers: Sequence[str], text: str, name: str | None = None
    ) -> Draft:
        name = name or self._name_of(item)
        question = f"{DEFAULT_REGION_TOKEN}\n{self._questions.choose(task, name, seed=self._seed)}"
        value = self._record(name, self._sourced.source_format, item.source_id)
        value |= {"regions": [self._regions[id(item)]], **_answered(question, answers), "text": text}
        return Draft({**value, **_others(self._image.extra, _RECORD_FIELDS)}, item.split or self._image.split)

    def _texts(self, source: Sourced) -> Iterator[Draft]:
        """Descriptions and captions: one record each, the first as the answer, the others as references."""
        image = source.image
        for task, texts, suffix in (("image", image.descriptions, ""), ("caption", image.captions, "-caption")):
            said = [text for text in dict.fromkeys(texts) if text.strip()]
            self._losses.change(f"{task} text that repeats another of its image, or is blank", len(texts) - len(said))
            if said:
                value = self._record(f"{self._image.source_id}{suffix}", source.source_format, image.source_id)
                value |= {**self._guided(task, value["id"], said), "text": FROM_SOURCE}
                yield Draft({**value, **_others(image.extra, _RECORD_FIELDS)}, image.split)

    def _dialogues(self) -> Iterator[Draft]:
        image = self._image
        # A dialogue that is all there is to an image keeps the image's name: records of LLaVA keep their ids.
        alone = len(image.dialogues) == 1 and not (self._alone or image.captions or image.descriptions or self._joined)
        for number, dialogue in enumerate(image.dialogues):
            name = image.source_id if alone else f"{image.source_id}-dialogue{number}"
            value = self._record(name, self._sourced.source_format, image.source_id)
            turns = [{"from": turn.role, "value": turn.value} for turn in dialogue.turns]
            if dialogue.shows_image and turns:
                turns[0]["value"] = f"{DEFAULT_IMAGE_TOKEN}\n{turns[0]['value']}"
            value |= {"regions": [self._guides[place] for place in dialogue.objects], "conversations": turns}
            if dialogue.references:
                value["references"] = list(dialogue.references)
            value |= {"text": FROM_SOURCE, **dialogue.provenance, **_others(image.extra, _RECORD_FIELDS)}
            is_referring = image.file is not None and image.file.name == REFERRING
            file = REFERRING if is_referring and dialogue.objects and not dialogue.shows_image else None
            yield Draft({**value, **_others(dialogue.extra, _RECORD_FIELDS)}, image.split, file)

    def _description(self) -> Draft:
        image = self._image
        # The largest first: what a person would name first. Equals stay in the source's order.
        notable = sorted(self._wordless, key=lambda item: -relative_side(item.bbox, 1, 1))
        said = image_description([self._measured[id(item)] for item in notable], image.source_id, seed=self._seed)
        value = self._record(image.source_id, self._sourced.source_format, image.source_id)
        value |= {**self._guided("image", image.source_id, [said]), "text": MADE}
        return Draft({**value, **_others(image.extra, _RECORD_FIELDS)}, image.split)

    def _guided(self, task: str, name: str, answers: Sequence[str]) -> dict[str, Any]:
        """A question about the whole image, guided by its regions."""
        shown = [self._guides[place] for place in _guiding(self._image.objects)]
        self._losses.change(f"region beyond the {GUIDES} that guide an image's text", len(self._guides) - len(shown))
        tokens = f"{DEFAULT_REGION_TOKEN * len(shown)}\n" if shown else ""
        question = f"{DEFAULT_IMAGE_TOKEN}\n{tokens}{self._questions.choose(task, name, seed=self._seed)}"
        return {"regions": shown, **_answered(question, answers)}

    def _record(self, name: str, source_format: str, source_id: str) -> dict[str, Any]:
        image = self._image
        value: dict[str, Any] = {"id": name}
        if image.file_name is not None:
            value["image"] = image.file_name
        if image.width and image.height:
            value |= {"width": image.width, "height": image.height}
        return {**value, "source": source_format, "source_id": source_id}

    def _name_of(self, item: AnnotatedObject) -> str:
        # An object's own number (COCO's) says nothing by itself, and may be that of another image.
        image = self._image.source_id
        return item.source_id if item.source_id.startswith(f"{image}-") else f"{image}-{item.source_id}"


def _guiding(objects: Sequence[AnnotatedObject]) -> list[int]:
    """Positions of the objects that guide a text: the largest of each category, then the first, ``GUIDES`` in all.

    A category without a region would be taken for one that the image has not, when a description is scored.
    """
    largest: dict[str | None, int] = {}
    for place in sorted(range(len(objects)), key=lambda place: -relative_side(objects[place].bbox, 1, 1)):
        largest.setdefault(objects[place].category, place)
    chosen = dict.fromkeys([*sorted(largest.values()), *range(len(objects))])
    return sorted([*chosen][:GUIDES])


def _region(item: AnnotatedObject, known: Mapping[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = {"bbox": [_plain(number) for number in item.bbox]}
    if item.category is not None:
        value["category"] = item.category
    if item.phrase is not None:
        value["phrase"] = item.phrase
    if known or item.attributes:
        value["attributes"] = {**known, **item.attributes}
    if item.polygon is not None:
        value["polygon"] = [[_plain(x), _plain(y)] for x, y in item.polygon]
    return {**value, **_others(item.extra, _REGION_FIELDS)}


def _answered(question: str, answers: Sequence[str]) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answers[0]}]
    return {"conversations": turns, **({"references": list(answers[1:])} if answers[1:] else {})}


def _others(extra: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in taken}


def _plain(number: float) -> float | int:
    """Whole numbers without ``.0``: files are read by people, too."""
    return int(number) if float(number).is_integer() else float(number)
