"""MGIMM's own files: ``dior-vg.json`` (stage 1), ``dior-gpg-{train,val,test}.json`` (stage 2, DIOR-IDD), questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, size_told
from mgimm_plugin.data.prepare.readers.json_files import json_entries, objects_of
from mgimm_plugin.data.prepare.reading import files_in, load_json
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, shown, words
from mgimm_plugin.data.records import Turn
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import xywh_to_xyxy

_PART: Final = re.compile(r"[-_](train|val|test)$")
_ROLES: Final = ("human", "gpt")
_REPLACED: Final = "question of a description: one of the templates took its place"


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of MGIMM's files, told apart by content.

    Stage 1 (``images`` and ``annotations``) has a sentence for each box. An entry of stage 2 with one question and one
    answer is a description, with more of them a dialogue; its boxes guide it. Questions become dialogues without an
    answer, for evaluation. Parts are told by file names that end in ``-train``, ``-val`` or ``-test``.
    """
    reader = _Reader(source)
    for path in files_in(source.inputs, (".json", ".jsonl")):
        try:
            first_stage = _first_stage_of(path)
            yield from reader.second_stage(path) if first_stage is None else reader.first_stage(first_stage, path)
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def _first_stage_of(path: Path) -> dict[str, Any] | None:
    """The content of a file of stage 1; None for any other."""
    if path.suffix.lower() != ".json":
        return None
    try:
        value = load_json(path)
    except RecordError:
        return None  # perhaps one object a line; if not, reading it as such says what is wrong
    return value if isinstance(value, dict) and "annotations" in value else None


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source, self._losses = source, source.losses
        self._names, self._ids = ImageNames(source), Ids(source.losses)

    def first_stage(self, value: Mapping[str, Any], path: Path) -> Iterator[AnnotatedImage]:
        objects: dict[str, list[AnnotatedObject]] = {}
        for index, entry in objects_of(value["annotations"], self._losses, "annotations", file=path):
            where = f"annotations[{index}]"
            try:
                name = identity(entry.get("image_id"), field=f"{where}.image_id")
                own = objects.setdefault(name, [])
                own.append(
                    AnnotatedObject(
                        source_id=f"{name}-{len(own)}",
                        bbox=checked_box(entry.get("bbox"), xywh_to_xyxy, field=f"{where}.bbox"),
                        phrase=words(entry.get("caption"), field=f"{where}.caption"),
                    )
                )
            except RecordError as error:
                self._losses.drop(error.at(file=path, field=where))
        for index, entry in objects_of(value.get("images"), self._losses, "images", file=path):
            try:
                name = identity(entry.get("id"), field=f"images[{index}].id")
                yield self._image(self._ids.unique(name), entry, path, index, objects=tuple(objects.pop(name, ())))
            except RecordError as error:
                self._losses.drop(error.at(file=path, field=f"images[{index}]"))
        for name, orphans in objects.items():
            for orphan in orphans:
                problem = f"is on image {name}, which is not among the images"
                self._losses.drop(RecordError(problem, file=path, record=orphan.source_id))

    def second_stage(self, path: Path) -> Iterator[AnnotatedImage]:
        for index, entry in json_entries(path, self._losses):
            try:
                if "question_id" in entry:
                    raise RecordError("is an answer of a model, which nothing is to be learned from")
                # Several entries about one image are several records.
                name = self._ids.unique(identity(entry.get("image_id"), field="image_id"))
                objects = tuple(self._boxes(entry, name, path, index))
                yield self._image(name, entry, path, index, objects=objects, **self._said(entry, len(objects)))
            except RecordError as error:
                self._losses.drop(error.at(file=path, index=index))

    def _boxes(self, entry: Mapping[str, Any], name: str, path: Path, index: int) -> Iterator[AnnotatedObject]:
        values = entry.get("bbox") or []
        if not isinstance(values, list):
            raise RecordError(f"must be a list of boxes, not {shown(values)}", field="bbox")
        if len(values) == 4 and not any(isinstance(value, list) for value in values):
            values = [values]  # one box, as stage 1 writes it
        for number, value in enumerate(values):
            try:
                yield AnnotatedObject(source_id=f"{name}-{number}", bbox=checked_box(value, xywh_to_xyxy))
            except RecordError as error:
                self._losses.drop(error.at(file=path, index=index, record=name, field=f"bbox[{number}]"))

    def _said(self, entry: Mapping[str, Any], regions: int) -> dict[str, Any]:
        """What an entry says, as fields of ``AnnotatedImage``."""
        turns = _turns(entry)
        written = sum(turn.value.count(DEFAULT_REGION_TOKEN) for turn in turns)
        if len(turns) == 2 and written in (0, regions):
            self._losses.change(_REPLACED)
            return {"descriptions": (turns[1].value,)}
        if written not in (0, regions):
            message = f"has {written} {DEFAULT_REGION_TOKEN} tokens and {regions} good boxes"
            raise RecordError(message, field="conversations")
        if regions and not written:
            turns[0] = Turn("human", f"{DEFAULT_REGION_TOKEN * regions}\n{turns[0].value}")
        return {"dialogues": (Dialogue(turns=tuple(turns), objects=tuple(range(regions))),)}

    def _image(self, name: str, entry: Mapping[str, Any], path: Path, index: int, **fields: Any) -> AnnotatedImage:
        file_name = self._names.named(entry.get("file_name"), field="file_name")
        width, height = size_told(entry, self._source, file_name)
        part = _PART.search(path.stem)
        split = part[1] if part else None
        return AnnotatedImage(
            source_id=name,
            file_name=file_name,
            width=width,
            height=height,
            split=split,
            file=path,
            index=index,
            **fields,
        )


def _turns(entry: Mapping[str, Any]) -> list[Turn]:
    """The turns of an entry, without ``<image>``; a question alone is one turn."""
    values = entry.get("conversations")
    if values is None:
        return [_turn("human", entry.get("text"), "text")]
    if not isinstance(values, list) or not values:
        raise RecordError("must be a list of turns", field="conversations")
    turns = []
    for number, value in enumerate(values):
        role, where = _ROLES[number % 2], f"conversations[{number}]"
        if not isinstance(value, dict) or value.get("from") != role:
            raise RecordError(f"must be a turn of {role}, not {shown(value)}", field=where)
        turns.append(_turn(role, value.get("value"), f"{where}.value"))
    return turns


def _turn(role: str, value: object, where: str) -> Turn:
    text = words(value, field=where)
    return Turn(role, words(text.replace(DEFAULT_IMAGE_TOKEN, ""), field=where) if role == "human" else text)


register_source_format(
    SourceFormat(
        name="mgimm",
        title="MGIMM: dior-vg.json (stage 1), dior-gpg-*.json (stage 2, DIOR-IDD), question files",
        read=read,
        citation="C. Yang, Z. Li, L. Zhang: MGIMM: Multi-Granularity Instruction Multimodal Model for Attribute-Guided "
        "Remote Sensing Image Detailed Description. IEEE TGRS 62, 2024. Images: DIOR (K. Li et al., ISPRS 159, 2020).",
    )
)
