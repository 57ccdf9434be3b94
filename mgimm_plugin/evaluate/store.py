"""The files of one evaluation: which run they belong to, predictions as they come in, whole files at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mgimm_plugin.data.shared_folder import check_shared
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate.ranks import Ranks

PREDICTIONS_FILE = "predictions.jsonl"
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
RUN_FILE = "run.json"
_PART = "predictions.rank-{}.jsonl"

_HASH = re.compile("[0-9a-f]{64}")
_SHOWN_HASH = 12


class ResumeError(MgimmError):
    """Predictions that are there cannot be gone on with: they are of another run, or may be, or broken."""


def to_json(value: Any) -> str:
    """Readable JSON with a newline at the end; a number that is no number is an error, not ``NaN``.

    A byte of a file's name that is no UTF-8 becomes an escape, which JSON reads back.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def to_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class PredictionStore:
    """Predictions of one run in a folder, appended as they come in.

    Args:
        folder: Created if needed.
        settings: Everything that the predictions depend on; kept in ``run.json``.
        details: What else ``run.json`` shall say; may differ between the parts of a resumed run.
        resume: Go on with predictions that are there; False starts over.
        ranks: The processes that predict together; each appends to a file of its own.

    Raises:
        ResumeError: The folder holds predictions that were made with other settings or by nobody knows which model, or
            a broken line.
        MgimmError: It is not the same one for all ranks.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        details: Mapping[str, Any],
        *,
        resume: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        ranks = ranks or Ranks()
        self.folder = folder
        self._file = folder / (PREDICTIONS_FILE if ranks.count == 1 else _PART.format(ranks.rank))
        check_shared(folder, ranks.rank, ranks.count, ranks.wait)
        if ranks.is_first:
            self._start(settings, details, resume)
        ranks.wait()
        self.rows = _read_whole_lines(folder / PREDICTIONS_FILE)

    def _start(self, settings: Mapping[str, Any], details: Mapping[str, Any], resume: bool) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        paths = [path for path in (folder / PREDICTIONS_FILE, *_parts(folder)) if path.is_file()]
        rows: dict[int, dict[str, Any]] = {}
        if not resume:  # first of all: answers must never be there beside the settings of other answers
            for path in paths:
                path.unlink()
        else:
            for path in paths:
                rows |= _read_whole_lines(path)
            if rows:  # a run that ended before its first prediction has left nothing to mix in
                self._check_settings(settings)
                if settings.get("model") is None:
                    raise ResumeError(
                        f"{folder} holds predictions, and nothing says whether this model made them: pass model= with "
                        "its folder or Hub id, choose another output folder, or start over with resume=False"
                    )
        # What an earlier run concluded does not hold while new predictions come in.
        for name in (METRICS_FILE, REPORT_FILE):
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / RUN_FILE, to_json({"settings": settings, **details}))
        write_whole(folder / PREDICTIONS_FILE, to_lines(rows.values()))
        for path in _parts(folder):
            path.unlink()

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add predictions; they are in the file when this returns. Each has its record's position in ``index``."""
        rows = list(rows)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(to_lines(rows))
        self.rows.update((row["index"], row) for row in rows)

    def collect(self) -> None:
        """Take in what the other ranks have predicted, once all are done."""
        for path in _parts(self.folder):
            self.rows |= _read_whole_lines(path)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put all predictions into the one file, in the order given."""
        write_whole(self.folder / PREDICTIONS_FILE, to_lines(rows))
        for path in _parts(self.folder):
            path.unlink()

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{self.folder} holds {PREDICTIONS_FILE} but no {RUN_FILE} that says what made it: "
                "choose another output folder, or start over with --no-resume"
            ) from error
        different = [
            f"{key} (was {_shown(before.get(key))}, now {_shown(settings.get(key))})"
            for key in sorted({*before, *settings})
            if before.get(key) != settings.get(key)
        ]
        if different:
            raise ResumeError(
                f"{self.folder} holds predictions made with other settings: {', '.join(different)}; "
                "choose another output folder, or start over with --no-resume"
            )


def _shown(value: Any) -> str:
    """A setting in an error: of a hash no more than tells it from another."""
    text = "not set" if value is None else str(value)
    return f"{text[:_SHOWN_HASH]}..." if _HASH.fullmatch(text) else text


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PART.format("*")))


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """The predictions of a run, in the order of its records.

    Raises:
        MgimmError: There are none, or a line is broken.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        raise MgimmError(f"{folder} holds no {PREDICTIONS_FILE}: evaluate into it first")
    rows = _read_whole_lines(path)
    return [rows[index] for index in sorted(rows)]


def _read_whole_lines(path: Path) -> dict[int, dict[str, Any]]:
    """Rows by record position. A last line without its newline was being written when the run ended, and is dropped."""
    lines = path.read_bytes().split(b"\n")[:-1]
    rows = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rows[int(row["index"])] = row
        except (ValueError, KeyError, TypeError) as error:
            raise ResumeError(f"{path}, line {number}: not a prediction; start over with --no-resume") from error
    return rows
