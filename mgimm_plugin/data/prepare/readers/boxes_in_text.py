"""GeoChat and EarthDial: LLaVA records whose boxes are written into the text.

A box of a question becomes ``<region>``. A box of an answer cannot: a model that takes regions does not write them. So

* an answer of nothing but a box turns the pair around: the box becomes an object, and what was asked for its phrase;
* from an answer of words and boxes the boxes are taken out, and one with a phrase of its own becomes an object;
* an answer of boxes that share a phrase, or have none, is dropped with its question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.readers.conversations import LISTS
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain
from mgimm_plugin.data.prepare.readers.json_files import entries_of, objects_of
from mgimm_plugin.data.prepare.readers.text_boxes import (
    MarkedText,
    Place,
    earthdial_text,
    geochat_text,
    placed_object,
)
from mgimm_plugin.data.prepare.source import Losses, Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_size, shown, words
from mgimm_plugin.data.records import Turn
from mgimm_plugin.errors import RecordError

_TASK: Final = re.compile(r"(?:\s|\\n)*\[([a-z_ ]{3,20})\]", flags=re.IGNORECASE)
_FIELDS: Final = ("id", "image", "width", "height", "conversations")
_TURNED: Final = "answer that was a box: the box became an object, and what was asked for its phrase"
_TAKEN_OUT: Final = "box taken out of an answer's text"
_ANGLES: Final = (
    "Boxes with an angle are turned counterclockwise about their center, in degrees, as the demonstration of GeoChat "
    "draws them: the data do not say so. The turned box is the polygon, and bbox the upright box around it."
)
_PLURAL: Final = "box of an answer that shares its phrase with others, or has none: left out"


@dataclass(slots=True)
class _Reading:
    """One record while it is read."""

    name: str
    size: tuple[int, int] | None
    losses: Losses
    where: Mapping[str, Any]
    marked: Callable[[str], MarkedText]
    turns: list[Turn] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    objects: list[AnnotatedObject] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    def add(self, place: Place, phrase: str | None = None) -> int:
        """Add an object; returns its position."""
        item = placed_object(place, f"{self.name}-{len(self.objects)}", phrase, self.size)
        if item.polygon is not None:
            self.losses.note(_ANGLES)
        self.objects.append(item)
        return len(self.objects) - 1

    def read(self, question: str, answer: str) -> None:
        """Take in a question and its answer, or nothing of them.

        Raises:
            RecordError: They cannot be told with tokens for boxes.
        """
        task = _TASK.match(question.replace(DEFAULT_IMAGE_TOKEN, ""))
        asked = self.marked(question if task is None else question.replace(f"[{task[1]}]", "", 1))
        answered = self.marked(answer)
        before = len(self.objects)
        try:
            singles = _singles(asked, answered)
            for phrase, place in singles:
                self.add(place, phrase)
            left_out = len(answered.places) - len(singles)
            if answered.is_places_only:
                self.losses.change(_TURNED, len(singles))
            else:
                turns = [Turn("human", asked.with_tokens()), Turn("gpt", answered.without_boxes())]
                self.tokens += [self.add(place) for place in asked.places]
                self.turns += turns
                self.tasks += [] if task is None else [task[1].lower()]
                self.losses.change(_TAKEN_OUT, len(singles))
            self.losses.change(_PLURAL, left_out)
        except RecordError:
            del self.objects[before:]
            raise


def _singles(asked: MarkedText, answered: MarkedText) -> list[tuple[str, Place]]:
    """The boxes of an answer that have a phrase of their own.

    Raises:
        RecordError: The answer is nothing but boxes, and none of them has.
    """
    groups = answered.groups()
    if answered.is_places_only and len(groups) == 1 and groups[0][0] is None and len(asked.phrases) == 1:
        groups = [(asked.phrases[0], groups[0][1])]
    singles = [(phrase, places[0]) for phrase, places in groups if phrase is not None and len(places) == 1]
    if answered.is_places_only and (asked.places or not singles):
        raise RecordError(
            f"the answer is nothing but {len(answered.places)} boxes, and no phrase in tags belongs to one alone"
        )
    return singles


def read_geochat(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the records of GeoChat: boxes are ``{<x1><y1><x2><y2>|<angle>}``.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    return _read(source, geochat_text)


def read_earthdial(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the records of EarthDial: boxes are ``<box>[[x1, y1, x2, y2, angle]]</box>``.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    return _read(source, earthdial_text)


def _read(source: Source, marked: Callable[[str], MarkedText]) -> Iterator[AnnotatedImage]:
    names, ids = ImageNames(source), Ids(source.losses)
    for path, index, entry in entries_of(source, LISTS):
        try:
            name = identity(entry.get("id", f"{path.stem}-{index}"), field="id")
            where = {"file": path, "index": index, "record": name}
            file_name = _file_name(entry.get("image"), names, where)
            sides = entry.get("width"), entry.get("height")
            size = None
            if None not in sides:
                size = checked_size(*sides, **where)
            elif file_name is not None:
                size = source.size_of(file_name)
            image = _image(entry, _Reading(ids.unique(name), size, source.losses, where, marked), file_name)
            if image.objects and file_name is not None:
                source.take_fractions(file_name)
            yield image
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index))


def _file_name(image: object, names: ImageNames, where: Mapping[str, Any]) -> str | None:
    images = image if isinstance(image, list) else [image]
    if len(images) != 1:
        raise RecordError(f"has {len(images)} images; a record has one", **where, field="image")
    return None if images[0] is None else names.named(images[0], **where, field="image")


def _image(entry: Mapping[str, Any], reading: _Reading, file_name: str | None) -> AnnotatedImage:
    for position, question, answer in _pairs(entry.get("conversations"), reading):
        try:
            reading.read(question, answer)
        except RecordError as error:
            reading.losses.drop(error.at(**reading.where, field=f"conversations[{position}]"))
    if not reading.turns and not reading.objects:
        raise RecordError("nothing is left of its conversation", **reading.where, field="conversations")
    extra = plain(entry, _FIELDS, reading.losses)
    if reading.tasks:
        extra["tasks"] = reading.tasks
    dialogue = Dialogue(
        turns=tuple(reading.turns), objects=tuple(reading.tokens), shows_image=file_name is not None, extra=extra
    )
    width, height = reading.size or (None, None)
    return AnnotatedImage(
        source_id=reading.name,
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(reading.objects),
        dialogues=(dialogue,) if reading.turns else (),
        file=reading.where["file"],
        index=reading.where["index"],
    )


def _pairs(values: object, reading: _Reading) -> Iterator[tuple[int, str, str]]:
    """Question and answer by turns, with the question's position; a turn without its counterpart is dropped."""
    question: tuple[int, str] | None = None
    for position, turn in objects_of(values, reading.losses, "conversations", **reading.where):
        place = f"conversations[{position}]"
        try:
            text, role = words(turn.get("value"), field=place), turn.get("from")
            if role == "gpt" and question is not None:
                yield *question, text
                question = None
            elif role == "human" and question is None:
                question = position, text
            else:
                raise RecordError(f"is from {shown(role)}: turns alternate human, gpt, the human first", field=place)
        except RecordError as error:
            reading.losses.drop(error.at(**reading.where))
    if question is not None:
        problem = RecordError("is a question without an answer", field=f"conversations[{question[0]}]")
        reading.losses.drop(problem.at(**reading.where))


register_source_format(
    SourceFormat(
        name="geochat",
        title="GeoChat_Instruct: LLaVA records with boxes in the text",
        read=read_geochat,
        citation="K. Kuckreja et al.: GeoChat: Grounded Large Vision-Language Model for Remote Sensing. CVPR 2024.",
    )
)
register_source_format(
    SourceFormat(
        name="earthdial",
        title="EarthDial: LLaVA records with <box> in the text",
        read=read_earthdial,
        citation="S. Soni et al.: EarthDial: Turning Multi-sensory Earth Observations to Interactive Dialogues. "
        "CVPR 2025.",
    )
)
