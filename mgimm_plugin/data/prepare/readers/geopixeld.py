"""GeoPixelD: detailed descriptions whose phrases are linked to outlines, ``<p> tennis court-1 </p> [SEG]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain, size_told
from mgimm_plugin.data.prepare.readers.json_files import first_of, json_entries
from mgimm_plugin.data.prepare.reading import files_in, load_json
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points, sentence, shown, words
from mgimm_plugin.errors import RecordError
from mgimm_plugin.geometry import points_to_xyxy

_FIELDS: Final = ("id", "img", "image", "gcg_description", "polygons", "conversations", "width", "height")
_LINK: Final = re.compile(r"<p>([^<]*)</p>\s*\[SEG\]")
_REMAINS: Final = re.compile(r"</?p>|\[SEG\]")
_QUESTION: Final = "question that asks for masks: one of the templates took its place"
_PARTS: Final = "outline of several parts: kept as parts beside the box around them all"


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of GeoPixelD: its list of conversations, or its files of one image each, or both.

    A file that the list refers to is read for the list, and not once more by itself.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    names, ids = ImageNames(source), Ids(source.losses)
    files = files_in(source.inputs, {".json"})
    referred: set[Path] = set()
    # Lists first: they say which of the other files are theirs.
    for path in sorted(files, key=lambda path: not _is_list(path)):
        if path.absolute() in referred:
            continue
        try:
            for index, entry in json_entries(path, source.losses):
                try:
                    polygons = _polygons(entry, path, referred)
                    yield _image(entry, polygons, path, index, source, names, ids)
                except RecordError as error:
                    source.losses.drop(error.at(file=path, index=index))
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    except OSError:
        return False


def _polygons(entry: Mapping[str, Any], path: Path, referred: set[Path]) -> list[Any]:
    """The outlines, ``[object][part][point]``; the list has a path in their place, with folders above its own."""
    value = entry.get("polygons")
    if isinstance(value, str):
        parts = words(value, field="polygons").replace("\\", "/").split("/")
        for start in range(len(parts)):
            candidate = path.absolute().parent.joinpath(*parts[start:])
            if ".." not in parts and _is_file(candidate):
                referred.add(candidate)
                other = load_json(candidate)
                value = other.get("polygons") if isinstance(other, dict) else other
                break
        else:
            raise RecordError(f"there is no file {shown(value)}", field="polygons")
    if not isinstance(value, list):
        raise RecordError(f"must be a list of objects, not {shown(value)}", field="polygons")
    return value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _image(
    entry: Mapping[str, Any],
    polygons: Sequence[Any],
    path: Path,
    index: int,
    source: Source,
    names: ImageNames,
    ids: Ids,
) -> AnnotatedImage:
    name = identity(entry.get("id", f"{path.stem}-{index}"), field="id")
    where: dict[str, Any] = {"file": path, "index": index, "record": name}
    file_name = names.named(first_of(entry, ("img", "image")), **where, field="img")
    text = first_of(entry, ("gcg_description",))
    if text is None:
        text = _said(entry.get("conversations"), where)
        source.losses.change(_QUESTION)
    description, mentions = _links(text, where)
    if len(mentions) != len(polygons):
        raise RecordError(
            f"the description refers to {len(mentions)} outlines, and there are {len(polygons)}: it is not known which "
            "is which",
            **where,
            field="polygons",
        )
    objects = []
    before = len(source.losses.dropped)
    for position, (mention, parts) in enumerate(zip(mentions, polygons, strict=True)):
        try:
            objects.append(_object(parts, mention, f"{name}-{position}", source))
        except RecordError as error:
            source.losses.drop(error.at(**where, field=f"polygons[{position}]"))
    width, height = size_told(entry, source, file_name, **where)
    return AnnotatedImage(
        source_id=ids.unique(name),
        file_name=file_name,
        width=width,
        height=height,
        objects=tuple(objects),
        is_complete=len(source.losses.dropped) == before,
        descriptions=(description,),
        extra=plain(entry, _FIELDS, source.losses),
        file=path,
        index=index,
    )


def _said(turns: object, where: Mapping[str, Any]) -> str:
    """The one answer of a conversation; its role is ``bot``, or ``gpt``."""
    turns = turns if isinstance(turns, list) else []
    answers = [turn.get("value") for turn in turns if isinstance(turn, dict) and turn.get("from") in ("bot", "gpt")]
    if len(answers) != 1:
        raise RecordError(f"has {len(answers)} answers where one description is due", **where, field="conversations")
    return words(answers[0], **where, field="conversations")


def _links(text: object, where: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A description without its markers, and the phrases that have an outline."""
    written = words(text, **where, field="gcg_description")
    mentions = [re.sub(r"\s+", " ", phrase).strip() for phrase in _LINK.findall(written)]
    plain_text = _LINK.sub(lambda match: match[1].strip(), written)
    remains = _REMAINS.search(plain_text)
    if remains is not None:
        raise RecordError(
            f"has a {remains[0]} that belongs to no phrase with an outline", **where, field="gcg_description"
        )
    tidy = re.sub(r"\s+([.,;:])", r"\1", re.sub(r"[ \t]{2,}", " ", plain_text)).strip()
    return sentence(tidy, **where, field="gcg_description"), mentions


def _object(parts: object, mention: str, name: str, source: Source) -> AnnotatedObject:
    if not isinstance(parts, list) or not parts:
        raise RecordError(f"must be a list of parts, not {shown(parts)}")
    outlines = [checked_points(part) for part in parts]
    bbox = checked_box(points_to_xyxy([point for outline in outlines for point in outline])[0].tolist())
    # The phrases are class names with a number: "tennis court-1".
    category = re.sub(r"\s*-\s*\d+$", "", mention)
    extra: dict[str, Any] = {"mention": mention} if mention and mention != category else {}
    if len(outlines) > 1:
        extra["parts"] = [[list(point) for point in outline] for outline in outlines]
        source.losses.change(_PARTS)
    return AnnotatedObject(
        source_id=name,
        bbox=bbox,
        category=category or None,
        polygon=outlines[0] if len(outlines) == 1 else None,
        extra=extra,
    )


register_source_format(
    SourceFormat(
        name="geopixeld",
        title="GeoPixelD: descriptions whose phrases have outlines",
        read=read,
        citation="A. Shabbir et al.: GeoPixel: Pixel Grounding Large Multimodal Model in Remote Sensing. ICML 2025. "
        "Images: iSAID and DOTA, for academic use.",
    )
)
