"""Trials on validation, and the learning rate that each row takes from them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from mgimm_plugin.errors import MgimmError

from .data import VALIDATION
from .jobs import Study, ask, commit, train_all, write_json
from .outcomes import ByImage
from .systems import MULTI_GRAINED, System

TRIAL_SEED = 1_000
"""Trials have a seed of their own: none of the reported runs was chosen for its luck."""


def trial(study: Study, system: System, factor: float) -> dict[str, Any]:
    """Train with one rate and score it on validation; kept in ``trials/``."""
    file = trial_file(study, system, factor)
    if file.is_file():
        return json.loads(file.read_text())
    stages = train_all(study, system, TRIAL_SEED, factor)
    values = {
        task: ask(study, system, TRIAL_SEED, factor, VALIDATION, task, modes[0])["outcomes"]
        for task, modes in system.modes.items()
    }
    result = {
        "system": system.name,
        "rate_factor": factor,
        "score": selection_score(values),
        "means": {task: _means(outcomes) for task, outcomes in values.items()},
        "seed": TRIAL_SEED,
        "commit": commit(),
        "stages": stages,
    }
    write_json(file, result)
    return result


def trial_file(study: Study, system: System, factor: float) -> Path:
    """Where a trial is kept."""
    return study.folder / "trials" / f"{system.name}-rate{factor:.3g}.json"


def selection_score(values: dict[str, ByImage]) -> float:
    """What trials are judged by: the mean of appearance accuracy, where regions are answered, and object F1."""
    means = {task: _means(outcomes) for task, outcomes in values.items()}
    precision, recall = means["image"]["object_precision"], means["image"]["object_recall"]
    scores = [2 * precision * recall / (precision + recall) if precision + recall else 0.0]
    if "region" in means:
        scores.append(means["region"]["appearance_accuracy"])
    return fmean(scores)


def chosen_factor(study: Study, system: System) -> float:
    """The rate factor with the best trial; the smaller of equals. Without a choice, the only one.

    Raises:
        MgimmError: A trial is missing.
    """
    factors = study.scale.rate_factors
    if len(factors) == 1:
        return factors[0]
    tried = system if system.own_trials else MULTI_GRAINED
    files = {factor: trial_file(study, tried, factor) for factor in factors}
    missing = [str(file) for file in files.values() if not file.is_file()]
    if missing:
        raise MgimmError(f"{missing[0]}: this trial has not been run; add {tried.name} to --only")
    return max(factors, key=lambda factor: json.loads(files[factor].read_text())["score"])


def _means(outcomes: ByImage) -> dict[str, float]:
    return {name: fmean(values.values()) for name, values in outcomes.items()}
