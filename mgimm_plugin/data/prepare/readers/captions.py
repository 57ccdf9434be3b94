"""Formats of images and sentences: Karpathy's caption JSON (RSICD, UCM, Sydney, NWPU-Captions), RSICap, RSIEval."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, Dialogue
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain, size_told
from mgimm_plugin.data.prepare.readers.json_files import entries_of, first_of, objects_of
from mgimm_plugin.data.prepare.source import Losses, Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import number, sentence, shown, words
from mgimm_plugin.data.records import Turn
from mgimm_plugin.errors import RecordError

_KARPATHY_FIELDS: Final = ("filename", "filepath", "split", "imgid", "sentences", "sentids", "width", "height")
# NWPU-Captions has its sentences beside one another, without a list: raw, raw_1, ... raw_4.
_RAW: Final = re.compile(r"raw(?:_\d+)?")
_DETAILED_FIELDS: Final = ("filename", "text_output", "caption", "qa_pairs", "width", "height")
_FILE_NAMES: Final = ("filename", "file_name", "image")


def read_karpathy(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of caption JSON in Karpathy's form: ``images`` with ``filename``, ``split``, ``sentences``.

    NWPU-Captions has a list of images under each class, whose name is the images' folder, and ``raw``, ``raw_1``, ...

    Raises:
        RecordError: The inputs have no JSON file.
    """
    names, ids = ImageNames(source), Ids(source.losses)
    for path, index, place, entry in _karpathy_entries(source):
        try:
            written = words(first_of(entry, _FILE_NAMES), field="filename")
            name = written if entry.get("imgid") is None else identity(entry["imgid"], field="imgid")
            said = dict(_said(entry))
            captions = tuple(_sentences(said.items(), source.losses, file=path, index=index, record=name))
            folder = entry.get("filepath")
            file_name = names.named(f"{folder}/{written}" if isinstance(folder, str) else written, field="filename")
            width, height = size_told(entry, source, file_name)
            split = entry.get("split")
            yield AnnotatedImage(
                source_id=ids.unique(name),
                file_name=file_name,
                width=width,
                height=height,
                captions=captions,
                split=None if split is None else words(split, field="split"),
                extra=plain(entry, (*_KARPATHY_FIELDS, *said), source.losses),
                file=path,
                index=index,
            )
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index, record=place))


def _karpathy_entries(source: Source) -> Iterator[tuple[Path, int | None, str | None, dict[str, Any]]]:
    """File, position in its list of images or else place under a class (``airport[3]``), and what is there."""
    for path, index, entry in entries_of(source, ("images",)):
        if not _is_by_class(entry):
            yield path, index, None, entry
            continue
        for name, values in entry.items():
            for position, value in objects_of(values, source.losses, name, file=path):
                yield path, None, f"{name}[{position}]", {"filepath": name, "class": name, **value}


def _is_by_class(entry: Mapping[str, Any]) -> bool:
    """Whether this is no image, but a file of NWPU-Captions: lists, under names that no image's fields have."""
    fields = {*_KARPATHY_FIELDS, *_FILE_NAMES}
    return bool(entry) and not entry.keys() & fields and all(isinstance(value, list) for value in entry.values())


def read_detailed(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the images of RSICap (``text_output``) and RSIEval (``caption``, ``qa_pairs``); told apart by their names.

    Raises:
        RecordError: The inputs have no JSON file.
    """
    names, ids = ImageNames(source), Ids(source.losses)
    for path, index, entry in entries_of(source, ("annotations", "images", "data")):
        try:
            written = words(first_of(entry, _FILE_NAMES), field="filename")
            text = first_of(entry, ("text_output", "caption"))
            pairs = objects_of(entry.get("qa_pairs"), source.losses, "qa_pairs", file=path, index=index, record=written)
            file_name = names.named(written, field="filename")
            width, height = size_told(entry, source, file_name)
            yield AnnotatedImage(
                source_id=ids.unique(written),
                file_name=file_name,
                width=width,
                height=height,
                descriptions=() if text is None else (sentence(text, field="text_output"),),
                dialogues=tuple(question_dialogues(pairs, source.losses, file=path, index=index, record=written)),
                extra=plain(entry, _DETAILED_FIELDS, source.losses),
                file=path,
                index=index,
            )
        except RecordError as error:
            source.losses.drop(error.at(file=path, index=index))


def question_dialogues(pairs: Iterator[tuple[int, dict[str, Any]]], losses: Losses, **where: Any) -> Iterator[Dialogue]:
    """Yield a dialogue for each question and answer: they do not refer to one another.

    Args:
        pairs: Objects with ``question`` and ``answer``, and their positions.
        losses: Where bad ones are accounted for.
        **where: ``file`` and the like for errors.
    """
    for position, pair in pairs:
        field = f"qa_pairs[{position}]"
        try:
            question = sentence(pair.get("question"), field=f"{field}.question")
            answer = sentence(_said_answer(pair.get("answer"), f"{field}.answer"), field=f"{field}.answer")
        except RecordError as error:
            losses.drop(error.at(**where))
            continue
        turns = (Turn("human", question), Turn("gpt", answer))
        yield Dialogue(turns=turns, extra=plain(pair, ("question", "answer"), losses))


def _said_answer(answer: object, field: str) -> object:
    """An answer as one says it: a count in digits, and yes or no for a truth value."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, float):
        number(answer, field=field)  # finite
        return str(int(answer)) if answer.is_integer() else repr(answer)
    return str(answer) if isinstance(answer, int) else answer


def _said(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The sentences of an image as the file has them, by field."""
    beside = [name for name in entry if _RAW.fullmatch(name)]
    values = entry.get("sentences")
    if values is None and beside:
        yield from ((name, entry[name]) for name in beside)
    elif isinstance(values, list):
        yield from ((f"sentences[{position}]", value) for position, value in enumerate(values))
    else:
        raise RecordError(f"must be a list of sentences, not {shown(values)}", field="sentences")


def _sentences(values: Iterable[tuple[str, Any]], losses: Losses, **where: Any) -> Iterator[str]:
    for field, value in values:
        try:
            if isinstance(value, Mapping):
                value = value.get("raw") or _joined(value.get("tokens"))
            yield sentence(value, field=field)
        except RecordError as error:
            losses.drop(error.at(**where))


def _joined(tokens: object) -> str | None:
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        return None
    return " ".join(tokens)


register_source_format(
    SourceFormat(
        name="karpathy",
        title="Caption JSON in Karpathy's form: RSICD, UCM, Sydney, NWPU-Captions",
        read=read_karpathy,
    )
)
_RSGPT: Final = (
    "Y. Hu et al.: RSGPT: A Remote Sensing Vision Language Model and Benchmark. 2023. Given out by its authors."
)
register_source_format(
    SourceFormat(name="rsicap", title="RSICap: detailed descriptions", read=read_detailed, citation=_RSGPT)
)
register_source_format(
    SourceFormat(
        name="rsieval", title="RSIEval: detailed descriptions and questions", read=read_detailed, citation=_RSGPT
    )
)
