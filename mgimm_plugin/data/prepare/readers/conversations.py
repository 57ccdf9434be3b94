"""LLaVA records, with or without regions, as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.prepare.annotations import FROM_SOURCE, MADE, AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain
from mgimm_plugin.data.prepare.readers.json_files import entries_of
from mgimm_plugin.data.prepare.source import Losses, Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points
from mgimm_plugin.data.records import Record, Turn, parse_record
from mgimm_plugin.errors import RecordError

_AS_TOKENS: Final = "regions without a token of their own: tokens were put at the head of the first question"
_PROVENANCE: Final = ("source", "source_id", "text")

LISTS: Final = ("data", "records")
"""Names that a list of records may be under."""


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield LLaVA records, each as an image with one dialogue.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    names, ids = ImageNames(source), Ids(source.losses)
    for path, index, entry in entries_of(source, LISTS):
        try:
            image = _image(parse_record(entry, file=path, index=index), source, names, ids)
            yield replace(image, file=path, index=index)
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index))


def _image(record: Record, source: Source, names: ImageNames, ids: Ids) -> AnnotatedImage:
    losses = source.losses
    file_name = None if record.image is None else names.named(record.image, record=record.id, field="image")
    size = None
    if record.width and record.height:
        size = record.width, record.height
    elif file_name is not None:
        size = source.size_of(file_name)
    width, height = size or (None, None)
    name = ids.unique(identity(record.id, field="id"))
    first, *others = record.conversations
    question = first.value.replace(DEFAULT_IMAGE_TOKEN, "").strip()
    if record.regions and not record.region_token_count:
        losses.change(_AS_TOKENS)
        question = DEFAULT_REGION_TOKEN * len(record.regions) + "\n" + question
    turns = [Turn("human", question), *others]
    return AnnotatedImage(
        source_id=name,
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(_objects(record, name, losses)),
        dialogues=(
            Dialogue(
                turns=tuple(turns), objects=tuple(range(len(record.regions))), shows_image=record.has_image_token,
                references=record.references, provenance=_provenance(record.extra, losses),
                extra=plain(record.extra, _PROVENANCE, losses),
            ),
        ),
    )  # fmt: skip


def _provenance(extra: Mapping[str, Any], losses: Losses) -> dict[str, str]:
    """What a record of a prepared set says of where it is from."""
    kept = {}
    for name in _PROVENANCE:
        value = extra.get(name)
        if isinstance(value, str) and value.strip() and (name != "text" or value in (FROM_SOURCE, MADE)):
            kept[name] = value
        elif value not in (None, ""):
            losses.change(f"{name} of a record that says something else there: left out")
    return kept


def _objects(record: Record, name: str, losses: Losses) -> Iterator[AnnotatedObject]:
    for position, region in enumerate(record.regions):
        where: Mapping[str, Any] = {"record": record.id, "field": f"regions[{position}]"}
        yield AnnotatedObject(
            source_id=f"{name}-{position}",
            bbox=checked_box(region.bbox, **where),
            category=region.category,
            phrase=region.phrase,
            attributes=region.attributes,
            polygon=None if region.polygon is None else checked_points(region.polygon, **where),
            extra=plain(region.extra, (), losses),
        )


register_source_format(
    SourceFormat(name="llava", title="LLaVA records, with or without regions, as they are", read=read)
)
