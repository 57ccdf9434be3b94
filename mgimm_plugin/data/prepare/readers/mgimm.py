"""MGIMM's own files: ``dior-vg.json`` (stage 1), ``dior-gpg-{train,val,test}.json`` (stage 2, DIOR-IDD), questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.reading import checked_box, checked_size, files_in, parse_json, read_text, shown, words
from mgimm_plugin.data.prepare.source import Losses, Source, SourceFormat, register_source_format
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
    ids: Counter[str] = Counter()
    for path in files_in(source.inputs, (".json", ".jsonl")):
        part = _PART.search(path.stem)
        split = part[1] if part else None
        try:
            value = _load(path)
            if isinstance(value, dict) and "annotations" in value:
                images = _first_stage(value, path, source, split)
            else:
                images = _second_stage(value if isinstance(value, list) else [value], path, source, split, ids)
            yield from images
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def _load(path: Path) -> Any:
    """JSON, or one value a line."""
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("{") and lines[0].rstrip().endswith("}"):
        return [parse_json(line) for line in lines]
    return parse_json(text)


def _first_stage(value: Mapping[str, Any], path: Path, source: Source, split: str | None) -> Iterator[AnnotatedImage]:
    images, annotations = value.get("images"), value["annotations"]
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise RecordError("images and annotations must be lists", file=path)
    objects: dict[str, list[AnnotatedObject]] = {}
    for index, entry in enumerate(annotations):
        try:
            _check_object(entry)
            name = _identity(entry, "image_id")
            objects.setdefault(name, []).append(
                AnnotatedObject(
                    source_id=f"{name}-{len(objects.get(name, ()))}",
                    bbox=checked_box(entry.get("bbox"), xywh_to_xyxy, field="bbox"),
                    phrase=words(entry.get("caption"), field="caption"),
                )
            )
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index, field=f"annotations[{index}]"))
    for index, entry in enumerate(images):
        try:
            _check_object(entry)
            name = _identity(entry, "id")
            yield _image(name, entry, source, objects=tuple(objects.pop(name, ())), split=split)
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index, field=f"images[{index}]"))
    for name, orphans in objects.items():
        for orphan in orphans:
            problem = f"is on image {name}, which images does not have"
            source.losses.drop(RecordError(problem, file=path, record=orphan.source_id))


def _second_stage(
    entries: Sequence[Any], path: Path, source: Source, split: str | None, ids: Counter[str]
) -> Iterator[AnnotatedImage]:
    for index, entry in enumerate(entries):
        try:
            _check_object(entry)
            if "question_id" in entry:
                raise RecordError("is an answer of a model, which nothing is to be learned from")
            name = _identity(entry, "image_id")
            ids[name] += 1
            # Several entries about one image are several records.
            name = name if ids[name] == 1 else f"{name}-{ids[name]}"
            objects = tuple(_boxes(entry, name, path, index, source.losses))
            texts = _dialogue(entry, len(objects), source.losses)
            yield _image(name, entry, source, objects=objects, split=split, **texts)
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index))


def _boxes(entry: Mapping[str, Any], name: str, path: Path, index: int, losses: Losses) -> Iterator[AnnotatedObject]:
    values = entry.get("bbox") or []
    if not isinstance(values, list):
        raise RecordError(f"must be a list of boxes, not {shown(values)}", field="bbox")
    if len(values) == 4 and not any(isinstance(value, list) for value in values):
        values = [values]  # one box, as stage 1 writes it
    for number, value in enumerate(values):
        try:
            box = checked_box(value, xywh_to_xyxy, file=path, index=index, record=name, field=f"bbox[{number}]")
            yield AnnotatedObject(source_id=f"{name}-{number}", bbox=box)
        except RecordError as error:
            losses.drop(error)


def _dialogue(entry: Mapping[str, Any], regions: int, losses: Losses) -> dict[str, Any]:
    """What the entry says, as fields of ``AnnotatedImage``."""
    turns = _turns(entry)
    plain = [Turn(turn.role, turn.value.replace(DEFAULT_IMAGE_TOKEN, "").strip()) for turn in turns]
    written = sum(turn.value.count(DEFAULT_REGION_TOKEN) for turn in plain)
    if len(plain) == 2 and written in (0, regions):
        losses.change(_REPLACED)
        return {"descriptions": (plain[1].value,)}
    if written not in (0, regions):
        raise RecordError(
            f"has {written} {DEFAULT_REGION_TOKEN} tokens and {regions} good boxes", field="conversations"
        )
    if regions and not written:
        plain[0] = Turn("human", f"{DEFAULT_REGION_TOKEN * regions}\n{plain[0].value}")
    return {"dialogues": (Dialogue(turns=tuple(plain), objects=tuple(range(regions))),)}


def _turns(entry: Mapping[str, Any]) -> list[Turn]:
    values = entry.get("conversations")
    if values is None:
        return [Turn("human", words(entry.get("text"), field="text"))]
    if not isinstance(values, list) or not values:
        raise RecordError("must be a list of turns", field="conversations")
    turns = []
    for number, value in enumerate(values):
        role, where = _ROLES[number % 2], f"conversations[{number}]"
        if not isinstance(value, dict) or value.get("from") != role:
            raise RecordError(f"must be a turn of {role}, not {shown(value)}", field=where)
        turns.append(Turn(role, words(value.get("value"), field=f"{where}.value")))
    return turns


def _image(name: str, entry: Mapping[str, Any], source: Source, **fields: Any) -> AnnotatedImage:
    file_name = words(entry.get("file_name"), field="file_name")
    if entry.get("width") is None or entry.get("height") is None:
        width, height = source.size_of(file_name) or (None, None)
    else:
        width, height = checked_size(entry["width"], entry["height"])
    return AnnotatedImage(source_id=name, file_name=file_name, width=width, height=height, **fields)


def _check_object(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise RecordError(f"must be an object, not {shown(entry)}")


def _identity(entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return words(value, field=field)


register_source_format(
    SourceFormat(
        name="mgimm",
        title="MGIMM: dior-vg.json (stage 1), dior-gpg-*.json (stage 2, DIOR-IDD), question files",
        read=read,
        citation="C. Yang, Z. Li, L. Zhang: MGIMM: Multi-Granularity Instruction Multimodal Model for Attribute-Guided "
        "Remote Sensing Image Detailed Description. IEEE TGRS 62, 2024. Images: DIOR (K. Li et al., ISPRS 159, 2020).",
    )
)
