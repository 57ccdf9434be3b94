"""Questions by task, kept as data: ``templates/questions.json``, or a file of the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.drawing import drawn
from mgimm_plugin.errors import RecordError

TASKS = ("region", "referring", "category", "image", "caption")
"""``region``: all attributes of a region; ``referring``: a short expression for it; ``category``: its class;
``image``: a detailed description of an image; ``caption``: one sentence."""


@dataclass(frozen=True, slots=True)
class QuestionTemplates:
    """Several questions per task.

    Attributes:
        by_task: The questions of each task of ``TASKS``; without ``<image>`` and ``<region>``, which the caller adds.
    """

    by_task: Mapping[str, tuple[str, ...]]

    def choose(self, task: str, key: str, *, seed: int = 0) -> str:
        """Choose a question for one record.

        Args:
            task: One of ``TASKS``.
            key: The record's id. The choice depends on task, key and seed alone, not on what was chosen before.
            seed: Another seed gives another choice.
        """
        questions = self.by_task[task]
        return questions[drawn(seed, task, key) % len(questions)]


def load_questions(path: Path | None = None) -> QuestionTemplates:
    """Read question templates.

    Args:
        path: A JSON object of tasks and lists of questions; a task that it leaves out keeps the bundled questions.

    Raises:
        RecordError: The file is no such object; the task is named.
    """
    bundled = _bundled()
    if path is None:
        return bundled
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror or error}", file=path) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"is not JSON: {error}", file=path) from error
    return QuestionTemplates({**bundled.by_task, **_checked(value, path)})


@lru_cache(maxsize=1)
def _bundled() -> QuestionTemplates:
    file = files("mgimm_plugin.data") / "templates" / "questions.json"
    return QuestionTemplates(_checked(json.loads(file.read_bytes()), file))


def _checked(value: object, file: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise RecordError("question templates are a JSON object: task to list of questions", file=file)
    for task, questions in value.items():
        if task not in TASKS:
            raise RecordError(f"is no task; the tasks are {', '.join(TASKS)}", file=file, field=task)
        if not isinstance(questions, list) or not questions:
            raise RecordError("must be a list of questions, not empty", file=file, field=task)
        for number, question in enumerate(questions):
            where = f"{task}[{number}]"
            if not isinstance(question, str) or not question.strip():
                raise RecordError("must be a text", file=file, field=where)
            if DEFAULT_IMAGE_TOKEN in question or DEFAULT_REGION_TOKEN in question:
                raise RecordError("the tokens <image> and <region> are added; leave them out", file=file, field=where)
    return {task: tuple(questions) for task, questions in value.items()}
