"""Ask a model every question of a file, keep the answers as they come, score them, and write the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.whole_files import sha256_of
from mgimm_plugin.errors import MgimmError, RecordError
from mgimm_plugin.evaluate.asking import REGION_MODES, Asked, image_opener, read_questions
from mgimm_plugin.evaluate.ranks import Ranks, joined_ranks
from mgimm_plugin.evaluate.report import Run, write_report
from mgimm_plugin.evaluate.scoring import conclude
from mgimm_plugin.evaluate.store import REPORT_FILE, PredictionStore
from mgimm_plugin.geometry import clip_boxes
from mgimm_plugin.model.fingerprint import model_identity
from mgimm_plugin.model.paths import resolve_folder

if TYPE_CHECKING:
    from mgimm_plugin.data.records import Record
    from mgimm_plugin.predictor import Question

logger = logging.getLogger(__name__)


class Answerer(Protocol):
    """What is evaluated: ``Predictor``, or anything that answers questions as it does.

    Of the predictor's other members, ``prepare_image``, ``name_or_path`` and ``base`` are used where they are there.
    """

    def answer(
        self, questions: Sequence[Question], *, max_new_tokens: int, batch_size: int, num_beams: int
    ) -> list[str]:
        """One text per question."""
        ...


def evaluate(
    predictor: Answerer,
    data: str | Path,
    images: str | Path | None,
    output: str | Path,
    *,
    batch_size: int = 16,
    max_new_tokens: int = 200,
    num_beams: int = 1,
    blank_image: bool = False,
    regions: str = "record",
    resume: bool = True,
    on_error: str = "raise",
    model: str | Path | None = None,
    base: str | Path | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: bool = True,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Evaluate a model on the first question of every record, greedily or by beam search, never by sampling.

    Writes ``predictions.jsonl`` (appended batch by batch, in record order at the end), ``metrics.json``,
    ``report.html`` and ``run.json`` (what the predictions depend on). An interrupted evaluation goes on where
    it stopped. Started by torchrun, the processes share the records; the results are the same.

    Args:
        predictor: The model.
        data: JSON array or JSONL file of records.
        images: Where the records' image names start; None takes the folder of ``data``.
        output: Folder for the results.
        batch_size: Questions answered together.
        max_new_tokens: Longest answer.
        num_beams: 1 is greedy.
        blank_image: Show a uniform image of the same size in place of each image: what boxes and words alone achieve.
        regions: ``record`` asks as the record does; ``none`` leaves the regions out of questions about whole images.
        resume: Go on with the predictions in ``output``; False starts over.
        on_error: ``raise`` stops at a record that cannot be asked; ``skip`` leaves it out and lists it in the metrics.
        model: Folder or Hub id of the model, to tell whether earlier predictions are of the same one; by default what
            the predictor was loaded from.
        base: Folder or Hub id of the base model, where it is not the one that the model names; by default the
            predictor's.
        max_pixels: Larger images are refused.
        progress: Show a progress bar on standard error.
        ranks: The processes that evaluate together, where they have joined already; by default they do so here.

    Returns:
        The metrics, flat, as in ``metrics.json``. Scores that cannot be computed are None, with the reason.

    Raises:
        MgimmError: No records, or none that can be asked; predictions in ``output`` that are of another run, or may be.
        RecordError: A record or image that cannot be used (``on_error="raise"``).
    """
    if regions not in REGION_MODES or on_error not in ("raise", "skip"):
        raise ValueError(f"regions={regions!r}, on_error={on_error!r}")
    data, output = Path(data), Path(output)
    with joined_ranks() if ranks is None else nullcontext(ranks) as together:
        images = data.parent if images is None else Path(images)
        records, asked = read_questions(data, regions=regions)
        model = _resolved(model or getattr(predictor, "name_or_path", None))
        base = _resolved(base or getattr(predictor, "base", None))
        settings = {
            "model": model_identity(model),
            "base": model_identity(base),
            "template": getattr(predictor, "template", None),
            "dtype": _dtype_of(predictor),
            "data": sha256_of(data),
            "images": str(images.resolve()),
            "blank_image": blank_image,
            "regions": regions,
            "max_new_tokens": max_new_tokens,
            "num_beams": num_beams,
        }
        formats = sorted({str(dtype) for dtype in together.gather(settings["dtype"])})
        if len(formats) > 1:
            raise MgimmError(f"the GPUs of the processes answer in {' and '.join(formats)}; name one by --dtype")
        details = {
            "model": model or "",
            "data": str(data.resolve()),
            "images": str(images.resolve()),
            "batch_size": batch_size,  # rounding depends on it, and below float32 so do answers
        }
        # Of an original, what the tower takes is kept, where the predictor makes that: it may be a hundredth.
        prepare = getattr(predictor, "prepare_image", None)
        session = _Session(
            predictor,
            image_opener(images, blank=blank_image, max_pixels=max_pixels, prepare=prepare),
            data,
            on_error == "skip",
            {"batch_size": batch_size, "max_new_tokens": max_new_tokens, "num_beams": num_beams},
        )
        store = PredictionStore(output, settings, details, resume=resume, ranks=together)
        todo = _by_image([index for index in range(len(records)) if index not in store.rows], records)
        # The first rank's list: others may see an earlier state of the file, on a network file system.
        todo = together.gather(todo if together.is_first else None)[0]
        with tqdm(total=len(todo), unit="record", disable=not (progress and together.is_first)) as bar:
            for start, some in together.batches(todo, batch_size):
                answers = session.ask([(index, records[index], asked[index]) for index in some])
                store.append(
                    _row(index, records[index], asked[index], answers[index], session.clipped.get(index, 0))
                    for index in some
                    if index in answers
                )
                bar.update(start + len(some) - bar.n)  # what other ranks have taken counts as well
        skipped = {index: text for part in together.gather([*session.skipped.items()]) for index, text in part}
        if not together.is_first:
            return _results_of_first(together)
        if len(skipped) == len(records):
            raise MgimmError(f"{data}: not one of its records can be asked: {skipped[min(skipped)]}")
        store.collect()
        _check_complete(store, skipped, len(records))
        metrics = conclude(store, records, asked, skipped)
        name = "blank image" if blank_image else "prediction"
        write_report(output / REPORT_FILE, [Run(name, output)], max_pixels=max_pixels)
        together.gather(metrics)
    return metrics


def _by_image(todo: Sequence[int], records: Sequence[Record]) -> list[int]:
    """Put records of one image next to each other, so that it is opened and encoded once."""
    first: dict[str | None, int] = {}
    return sorted(todo, key=lambda index: first.setdefault(records[index].image, index))


def _check_complete(store: PredictionStore, skipped: Mapping[int, str], count: int) -> None:
    """A network file system may not show yet what other ranks have written."""
    missing = count - len({*store.rows, *skipped})
    if missing:
        raise MgimmError(
            f"{store.folder}: {missing} of {count} records have no prediction; run the same command again to add them"
        )


def _results_of_first(ranks: Ranks) -> dict[str, Any]:
    return ranks.gather(None)[0]


class _Session:
    """Asks batches of records; in skip mode, finds the record that is to blame and lists it."""

    def __init__(
        self, predictor: Answerer, open_image: Any, data: Path, skip: bool, generation: Mapping[str, int]
    ) -> None:
        self._predictor, self._open_image, self._data = predictor, open_image, data
        self._skip, self._generation = skip, generation
        self.skipped: dict[int, str] = {}
        self.clipped: dict[int, int] = {}

    def ask(self, batch: Sequence[tuple[int, Record, Asked]]) -> dict[int, str]:
        """Answers by record position; skipped records have none."""
        from mgimm_plugin.data.records import check_image_size
        from mgimm_plugin.predictor import Question

        questions = {}
        # One object for all questions about an image: it then goes through the vision tower once.
        images: dict[str | None, Any] = {}
        for index, record, asked in batch:
            try:
                if record.image not in images:
                    images[record.image] = self._open_image(record)
                image = images[record.image]
                if image is not None:
                    check_image_size(record, *image.size)
                boxes = self._clip(index, asked, image)
            except RecordError as error:
                self._give_up(index, record, error)
                continue
            questions[index] = Question(image=image, text=asked.text, boxes=boxes, id=record.id)
        try:
            return self._answers(questions)
        except RecordError as error:
            if not self._skip:
                blamed = next((index for index, question in questions.items() if question.id == error.record), None)
                raise error.at(file=self._data, index=blamed) from error
        # One record of the batch cannot be asked (a text too long, say): the others can.
        answers: dict[int, str] = {}
        for index, record, _ in batch:
            if index in questions:
                try:
                    answers |= self._answers({index: questions[index]})
                except RecordError as error:
                    self._give_up(index, record, error)
        return answers

    def _answers(self, questions: dict[int, Question]) -> dict[int, str]:
        if not questions:
            return {}
        texts = self._predictor.answer(list(questions.values()), **self._generation)
        return dict(zip(questions, texts, strict=True))

    def _clip(self, index: int, asked: Asked, image: Any) -> tuple[tuple[float, ...], ...]:
        """The boxes of a question inside its image; how many stuck out is kept."""
        if image is None or not asked.regions:
            return ()
        boxes, clipped = clip_boxes([region.bbox for region in asked.regions], *image.size)
        if clipped:
            self.clipped[index] = clipped
        return tuple(map(tuple, boxes.tolist()))

    def _give_up(self, index: int, record: Record, error: RecordError) -> None:
        if not self._skip:
            raise error.at(file=self._data, index=index, record=record.id) from error
        self.skipped[index] = f"index {index}, record {record.id}: {error.message}"


def _resolved(model: str | Path | None) -> str | None:
    return None if model is None else resolve_folder(str(model))


def _dtype_of(predictor: Answerer) -> str | None:
    """What the weights are computed in; None for an answerer that has no model."""
    dtype = getattr(getattr(predictor, "model", None), "dtype", None)
    return None if dtype is None else str(dtype).removeprefix("torch.")


def _row(index: int, record: Record, asked: Asked, prediction: str, clipped: int) -> dict[str, Any]:
    """One line of ``predictions.jsonl``: all that the report and other programs need."""
    row = {
        "index": index,
        "id": record.id,
        "image": record.image,
        "question": asked.text,
        "regions": [_region_row(region) for region in asked.regions],
        "references": list(asked.references),
        "prediction": prediction.strip(),
    }
    return {**row, "clipped_boxes": clipped} if clipped else row


def _region_row(region: Any) -> dict[str, Any]:
    named = {"category": region.category, "phrase": region.phrase, "attributes": dict(region.attributes)}
    return {"bbox": list(region.bbox), **{name: value for name, value in named.items() if value}}
