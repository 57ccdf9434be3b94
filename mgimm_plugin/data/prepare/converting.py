"""The way from a source to a set: reader, checks, records, files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

import mgimm_plugin
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.attributes import NAMES, NEEDS_PIXELS, NEEDS_SIZE
from mgimm_plugin.data.prepare.building import Builder
from mgimm_plugin.data.prepare.card import Places, Tally, contents, described, report_of
from mgimm_plugin.data.prepare.checking import Checker
from mgimm_plugin.data.prepare.drafting import Sourced
from mgimm_plugin.data.prepare.joins import Joined
from mgimm_plugin.data.prepare.source import Source, SourceFormat, get_source_format
from mgimm_plugin.data.prepare.splits import MEANINGS, OFFICIAL, UNASSIGNED, schemes_of
from mgimm_plugin.data.prepare.writing import MADE_BY, SetWriter, files_of_set
from mgimm_plugin.data.question_templates import load_questions
from mgimm_plugin.errors import MgimmError


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A conversion, as it is asked for.

    Attributes:
        source_format: Name of the source's format.
        source: The source.
        output: Folder of the set.
        joins: Sources whose texts are joined, by the name of their format; they share ``source.losses``.
        questions: File of questions; the bundled ones by default.
        seed: Seed of splits, questions and patterns.
        split_by_image: Whether to split by image, beside the source's own split, whatever the format offers.
        max_pixels: A larger image is dropped.
        progress: Whether to show a line of progress on standard error.
    """

    source_format: str
    source: Source
    output: Path
    joins: Mapping[str, Source] = field(default_factory=dict)
    questions: Path | None = None
    seed: int = 0
    split_by_image: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of a conversion.

    Attributes:
        card: What ``dataset.json`` holds.
        tally: The counts.
    """

    card: dict[str, Any]
    tally: Tally


def convert(conversion: Conversion) -> Prepared:
    """Convert a source into a set of records.

    The same arguments give the same bytes. The set is written beside an old one and takes its place when it is
    complete.

    Raises:
        MgimmError: A format is unknown, a source cannot be read at all, nothing came out, or the folder is taken.
    """
    source_format = get_source_format(conversion.source_format)
    losses = conversion.source.losses
    _check_outside(conversion)
    places = Places([conversion.source, *conversion.joins.values()])
    tally = Tally()
    schemes = schemes_of(conversion.source_format, by_image=conversion.split_by_image)
    with SetWriter(conversion.output, schemes=schemes, seed=conversion.seed, losses=losses) as writer:
        for _ in tqdm(
            _converted(conversion, source_format, writer, tally),
            unit="image", desc=conversion.source_format, disable=not conversion.progress,
        ):  # fmt: skip
            _account(conversion.source, places, writer, tally)
        _account(conversion.source, places, writer, tally)
        if not writer.counts:
            first = next(iter(tally.examples.values()), "the inputs have no image")
            raise MgimmError(f"no record came out; dropped: {tally.dropped.total()}. The first: {first}")
        losses.note_turned()
        card = _card(conversion, source_format, writer, tally)
        paths = {path: writer.counts[place] for path, place in writer.layout().items()}
        writer.finish(card, report_of(card, tally, paths))
    return Prepared(card, tally)


def _check_outside(conversion: Conversion) -> None:
    """A set inside its source would be part of the source the next time; one that replaces its source, its end."""
    output = Path(os.path.abspath(conversion.output))
    own = {str(output / path) for path in files_of_set(output)}
    for source in (conversion.source, *conversion.joins.values()):
        for path in source.inputs:
            if path.is_dir() and output.is_relative_to(os.path.abspath(path)):
                raise MgimmError(f"{conversion.output} lies in the input {path}; choose a folder outside")
            if os.path.abspath(path) in own:
                raise MgimmError(f"{path} is of the set in {conversion.output}, which it would replace; choose another")


def _account(source: Source, places: Places, writer: SetWriter, tally: Tally) -> None:
    """Write down what was dropped since the last time, so that it need not be kept in memory."""
    entries = [places.entry(error) for error in source.losses.dropped]
    source.losses.dropped.clear()
    for entry in entries:
        tally.drop(entry)
    writer.drop(entries)


def _converted(
    conversion: Conversion, source_format: SourceFormat, writer: SetWriter, tally: Tally
) -> Iterator[AnnotatedImage]:
    """Convert image after image, first those of the source, then those that only a joined source has."""
    losses = conversion.source.losses
    checker = Checker(conversion.source.images, losses, conversion.max_pixels)
    builder = Builder(load_questions(conversion.questions), conversion.seed, losses)
    joined = Joined(conversion.joins)

    def images() -> Iterator[tuple[Sourced, Sequence[Sourced], str]]:
        for image in source_format.read(conversion.source):
            yield Sourced(source_format.name, image), joined.take(image), ""
        if conversion.joins:
            losses.note(
                f"Of {joined.read} images of joined sources, {joined.matched} are images of the first source too."
            )
            if joined.confused:
                losses.note(
                    f"Images with the file name of another in another folder: {joined.confused}. Texts are joined by "
                    "file name alone: one of the two has the texts of both."
                )
        for sourced in joined.rest():
            yield sourced, (), f"joined {sourced.source_format}"

    for sourced, texts, origin in images():
        everything = contents(sourced.image)
        for other in texts:
            everything.update(contents(other.image) | {"images": 0})
        tally.read.update(everything)
        before = len(losses.dropped)
        checked = checker.check(sourced.image, has_texts=bool(texts), source=origin)
        built = []
        if checked is not None:
            image, pixels = checked
            built = builder.build(replace(sourced, image=image), pixels, texts)
        written = [record for record in built if writer.add(record)]
        file, index = sourced.image.file, sourced.image.index
        losses.dropped[before:] = [error.at(file=file, index=index) for error in losses.dropped[before:]]
        for record in written:
            tally.add(record)
        tally.images += bool(written)
        if not built:
            tally.lost_with_image.update(everything)
        yield sourced.image


def _card(conversion: Conversion, source_format: SourceFormat, writer: SetWriter, tally: Tally) -> dict[str, Any]:
    at_hand = conversion.source.images is not None
    return {
        "made_by": MADE_BY,
        "version": mgimm_plugin.__version__,
        "source": source_format.name,
        "title": source_format.title,
        "citation": source_format.citation or None,
        "inputs": [described(path) for path in conversion.source.inputs],
        "joined": {name: [described(path) for path in source.inputs] for name, source in conversion.joins.items()},
        "seed": conversion.seed,
        "questions": "bundled" if conversion.questions is None else described(conversion.questions),
        "classes": list(conversion.source.classes),
        "images_at_hand": at_hand,
        "read": dict(tally.read),
        "images": tally.images,
        "splits": _splits(writer),
        "text": {name: dict(sorted(counts.items())) for name, counts in sorted(tally.written.items())},
        "attributes": _attributes(tally, at_hand),
        "regions_with_polygon": tally.polygons,
        "dropped": dict(sorted(tally.dropped.items())),
        "lost_with_image": dict(tally.lost_with_image),
        "changed": dict(sorted(conversion.source.losses.changed.items())),
        "notes": list(conversion.source.losses.notes),
    }


def _splits(writer: SetWriter) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for scheme, part, name in writer.layout().values():
        entry = splits.setdefault(scheme, {"meaning": MEANINGS[scheme], "records": {}})
        entry["records"].setdefault(part, {})[name] = writer.counts[scheme, part, name]
    left = splits.get(OFFICIAL, {"records": {}})["records"]
    if set(left) == {UNASSIGNED}:
        return {}
    return splits


def _attributes(tally: Tally, at_hand: bool) -> dict[str, Any]:
    """Which attributes were measured, and why others were not."""
    if not tally.measured:
        return {"measured_regions": 0}
    left_out = {}
    for name in NAMES:
        if tally.attributes[name]:
            continue
        if name in NEEDS_PIXELS and not at_hand:
            left_out[name] = "needs the images, which were not at hand"
        elif name in NEEDS_SIZE and not tally.attributes["position"]:
            left_out[name] = "needs the images' sizes, which are not known"
        elif name == "size":
            left_out[name] = "the names of the classes have a word of size already"
        else:
            left_out[name] = "no region has a clear one"
    return {
        "measured_regions": tally.measured,
        "measured": {name: tally.attributes[name] for name in NAMES if tally.attributes[name]},
        "left_out": left_out,
    }
