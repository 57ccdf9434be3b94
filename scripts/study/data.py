"""The sets of scenes, drawn once, and the perturbed files beside them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mgimm_plugin.errors import MgimmError

from .perturbing import PERTURBATIONS, plain, rewrite, write_perturbed
from .recipes import IMAGE_FILE, PLAIN_FILE, REGION_FILE
from .systems import BLANK, NONE, TRUE, Scale

PERTURBING_SEED = 507
FRESH_SEEDS = 1_000
"""Fresh test set N has the seed of the test set and N times this more."""


@dataclass(frozen=True)
class SceneSet:
    """One set.

    Attributes:
        name: Its folder.
        split: Split of ``mgimm scenes``.
        seed: Its seed in the split.
        style: Style of the scenes.
    """

    name: str
    split: str
    seed: int
    style: str = "standard"


TRAIN: Final = SceneSet("train", "train", 501)
VALIDATION: Final = SceneSet("val", "val", 502)
TEST: Final = SceneSet("test", "test", 503)
SHIFTED: Final = (
    SceneSet("shifted-winter", "test", 504, "winter"),
    SceneSet("shifted-small", "test", 505, "small"),
    SceneSet("shifted-dense", "test", 506, "dense"),
)


def asked_sets(scale: Scale, fresh: int = 0) -> list[SceneSet]:
    """The sets that rows are asked about in the end.

    Args:
        scale: Whether there are shifted ones.
        fresh: 0 for the sets of the plan; N for the N-th fresh test set, of another seed.
    """
    if fresh:
        return [SceneSet(f"fresh-{fresh}-{TEST.name}", TEST.split, TEST.seed + FRESH_SEEDS * fresh, TEST.style)]
    return [TEST, *(SHIFTED if scale.is_shifted_tested else ())]


def draw(sets: list[SceneSet], scale: Scale, folder: Path) -> None:
    """Draw the sets that are not there yet, with the files of perturbed and of no regions.

    Raises:
        MgimmError: A set could not be drawn; standard error says why.
    """
    train, validation, test = scale.scenes
    for each in sets:
        target = folder / each.name
        if not (target / "dataset.json").is_file():
            count = {TRAIN.name: train, VALIDATION.name: validation}.get(each.name, test)
            command = [sys.executable, "-m", "mgimm_plugin", "scenes", "--count", str(count), "--style", each.style]
            command += ["--split", each.split, "--seed", str(each.seed), "--output", str(target)]
            status = subprocess.run(command).returncode
            if status:
                raise MgimmError(f"{target}: mgimm scenes ended with status {status}; what it said is above")
        if not (target / PLAIN_FILE).is_file():
            rewrite(target / IMAGE_FILE, target / PLAIN_FILE, lambda record, _: plain(record))
        for name in PERTURBATIONS:
            for task in ("region", "image"):
                file = target / f"{task}.{name}.jsonl"
                if not file.is_file() and (task == "image" or name == "jittered"):
                    write_perturbed(target / f"{task}.jsonl", file, name, PERTURBING_SEED)


def question_flags(folder: Path, task: str, mode: str) -> list[str]:
    """Flags of ``mgimm evaluate`` that ask about a set in a mode."""
    file = {"region": REGION_FILE, "image": IMAGE_FILE}[task] if mode in (TRUE, NONE, BLANK) else f"{task}.{mode}.jsonl"
    flags = ["--data", str(folder / file), "--images", str(folder)]
    if mode == NONE:
        flags += ["--regions", "none"]
    return [*flags, "--blank-image"] if mode == BLANK else flags
