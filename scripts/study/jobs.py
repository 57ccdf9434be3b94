"""Trainings and evaluations as processes of their own; each leaves a file when it is done, and is then left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate.store import METRICS_FILE

from .data import TRAIN, SceneSet, question_flags
from .gpus import one_gpu
from .outcomes import Truth, by_group, by_image, read_rows
from .recipes import IMAGE_FILE, Bases, image_arguments, region_arguments, stage_names
from .systems import Scale, System

TRAINED_FILE = "trained.json"
LONGEST_ANSWER = {"region": 96, "image": 320}
"""Tokens; more than the longest reference has."""
ROOT = Path(__file__).resolve().parents[2]
_SOURCES = os.pathsep.join([str(ROOT), str(ROOT / "patches")])


@dataclass(frozen=True)
class Study:
    """Where everything is, and what everything starts from.

    Attributes:
        scale: Its size.
        bases: Tower and language model.
        folder: Everything that the study writes.
        eval_batch: Questions answered together.
    """

    scale: Scale
    bases: Bases
    folder: Path
    eval_batch: int = 32

    @property
    def data(self) -> Path:
        """The sets of scenes."""
        return self.folder / "data"

    def stage_folder(self, system: System, stage: str, seed: int, factor: float) -> Path:
        """Checkpoint of a stage. Systems that differ in the image stage alone share the region stage's."""
        name = f"region-{system.region_stage}" if stage == "region" else system.name
        return self.folder / "checkpoints" / f"{name}-rate{factor:.3g}-seed{seed}"

    def answers(self, checkpoint: Path) -> Path:
        """What a checkpoint said, a folder for each evaluation."""
        return self.folder / "answers" / checkpoint.name

    def stage_flags(self, system: System, stage: str, seed: int, factor: float) -> list[str]:
        """Flags of a stage's training."""
        train, output = self.data / TRAIN.name, self.stage_folder(system, stage, seed, factor)
        if stage == "region":
            return region_arguments(system, self.scale, self.bases, train, output, seed=seed, factor=factor)
        region = self.stage_folder(system, "region", seed, factor)
        return image_arguments(system, self.scale, self.bases, train, region, output, seed=seed, factor=factor)


def train(study: Study, system: System, stage: str, seed: int, factor: float) -> dict[str, Any]:
    """Train a stage that is not there yet; a killed one goes on from its last checkpoint.

    Returns:
        ``seconds`` (of the process that ended it; ``is_resumed`` tells whether another began it), ``steps``,
        ``examples``, ``flops``, ``trained_parameters``, ``parameters``, ``commit``, ``flags``.

    Raises:
        MgimmError: The training failed; its log is named.
    """
    folder = study.stage_folder(system, stage, seed, factor)
    result = folder / TRAINED_FILE
    if result.is_file():
        return json.loads(result.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    flags = study.stage_flags(system, stage, seed, factor)
    is_resumed = any(folder.glob("checkpoint-*"))
    if not is_resumed and study.answers(folder).is_dir():
        shutil.rmtree(study.answers(folder))  # of an earlier training, whose checkpoint is gone
    started = time.perf_counter()
    # The tower is frozen and the same for all; its work is counted in the FLOPs as if there were no such folder.
    cache = ["--vision_feature_cache", str(study.folder / "features")]
    _run(["mgimm_plugin.train", *flags, *cache], folder / "train.log")
    seconds = time.perf_counter() - started
    measured = _measured(study, system, stage, flags)
    steps = json.loads((folder / "trainer_state.json").read_text())["global_step"]
    examples = steps * study.scale.batch
    values = {
        "seconds": round(seconds, 1),
        "is_resumed": is_resumed,
        "steps": steps,
        "examples": examples,
        "flops": measured["flops_per_example"] * examples,
        **measured,
        "commit": commit(),
        "flags": flags,
    }
    for checkpoint in folder.glob("checkpoint-*"):  # the run folder holds the result
        shutil.rmtree(checkpoint)
    write_json(result, values)
    return values


def evaluate(study: Study, checkpoint: Path, scenes: str, task: str, mode: str, output: Path) -> Path:
    """Ask a checkpoint about a set of scenes, unless that is done; a killed evaluation goes on.

    Returns:
        ``output``.

    Raises:
        MgimmError: The evaluation failed; its log is named.
    """
    if not (output / METRICS_FILE).is_file():
        output.mkdir(parents=True, exist_ok=True)
        flags = ["--model", str(checkpoint), "--output", str(output), "--batch-size", str(study.eval_batch)]
        # As it was trained, on every device: answers of several scales are compared.
        flags += ["--max-new-tokens", str(LONGEST_ANSWER[task]), "--dtype", "float32"]
        flags += question_flags(study.data / scenes, task, mode)
        _run(["mgimm_plugin", "evaluate", *flags], output / "evaluate.log")
    return output


def ask(
    study: Study, system: System, seed: int, factor: float, scenes: SceneSet, task: str, mode: str
) -> dict[str, Any]:
    """Ask a trained system about a set of scenes; returns ``outcomes`` (``by_image``) and ``groups`` (``by_group``)."""
    checkpoint = study.stage_folder(system, "image", seed, factor)
    folder = study.answers(checkpoint) / f"{scenes.name}-{task}-{mode}"
    rows = read_rows(evaluate(study, checkpoint, scenes.name, task, mode, folder))
    truth = Truth.read(study.data / scenes.name / IMAGE_FILE)
    return {"outcomes": by_image(task, rows, truth), "groups": by_group(task, rows, truth)}


def train_all(study: Study, system: System, seed: int, factor: float) -> dict[str, dict[str, Any]]:
    """Train the stages of a system in order."""
    return {stage: train(study, system, stage, seed, factor) for stage in stage_names(system)}


def _measured(study: Study, system: System, stage: str, flags: list[str]) -> dict[str, Any]:
    """FLOPs and parameters do not depend on the seed: they are counted once."""
    name = f"region-{system.region_stage}" if stage == "region" else system.name
    file = study.folder / "measured" / f"{name}.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        _run(["scripts.study.measuring", str(file), *flags], file.with_suffix(".log"))
    return json.loads(file.read_text())


def _run(module_and_flags: list[str], log: Path) -> None:
    """Run a module in a process that sees one GPU, its output appended to a log."""
    with one_gpu() as gpu, log.open("ab") as file:
        done = subprocess.run(
            [sys.executable, "-m", *module_and_flags],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **gpu, "PYTHONPATH": _SOURCES, "TQDM_MININTERVAL": "30"},
        )
    if done.returncode:
        raise MgimmError(f"{module_and_flags[0]} ended with status {done.returncode}; its last words are in {log}")


def commit() -> str:
    """The commit that runs, marked where code differs from it; ``unknown`` outside a repository.

    The page that the study itself writes into does not count.
    """

    def git(*command: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    head = git("rev-parse", "--short=12", "HEAD")
    return f"{head}{'-dirty' if changed else ''}" or "unknown"


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file that is there completely or not at all; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(value, indent=1) + "\n")
