"""Result files, read back and put in order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from mgimm_plugin.errors import MgimmError

from .comparisons import COMPARISONS, Comparison
from .outcomes import OUTCOMES
from .statistics import Difference, difference, holm, paired_differences
from .systems import MULTI_GRAINED, SYSTEMS

Result = dict[str, Any]
Key = tuple[str, str, str]
"""System, style of the scenes, mode."""


@dataclass(frozen=True)
class Results:
    """All result files of a folder.

    Attributes:
        files: Decoded, by system in the order of ``SYSTEMS``, then by seed.
        is_exploratory: Whether they are of fresh scenes, for what was tried after the test.
    """

    files: Sequence[Result]
    is_exploratory: bool = False

    @classmethod
    def read(cls, folder: Path, *, is_exploratory: bool = False) -> Results:
        """Read a folder.

        Raises:
            MgimmError: There are none.
        """
        files = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        if not files:
            raise MgimmError(f"{folder} holds no result files: run the study first")
        order = list(SYSTEMS)
        return cls(sorted(files, key=lambda result: (order.index(result["system"]), result["seed"])), is_exploratory)

    def systems(self, *groups: str) -> dict[str, list[Result]]:
        """Result files by system, of all groups or of some."""
        found: dict[str, list[Result]] = defaultdict(list)
        for result in self.files:
            if not groups or SYSTEMS[result["system"]].group in groups:
                found[result["system"]].append(result)
        return found

    def matched(self, *groups: str) -> Results:
        """MGIMM and the systems of some groups, with the seeds that all of them have."""
        found = [self.systems()[MULTI_GRAINED.name], *self.systems(*groups).values()]
        seeds = set.intersection(*({file["seed"] for file in files} for files in found))
        files = [file for files in found for file in files if file["seed"] in seeds]
        return Results(files, self.is_exploratory)

    def values(self, system: str, style: str, mode: str, outcome: str) -> dict[int, dict[str, float]]:
        """For each seed, image to value; seeds without the outcome are not there."""
        found = {}
        for result in self.files:
            for asked in result["evaluations"]:
                is_it = (result["system"], asked["style"], asked["mode"]) == (system, style, mode)
                if is_it and asked["task"] == OUTCOMES[outcome][0] and outcome in asked["outcomes"]:
                    found[result["seed"]] = asked["outcomes"][outcome]
        return found

    def seed_means(self, system: str, style: str, mode: str, outcome: str) -> list[float]:
        """The mean over images of each seed."""
        return [fmean(values.values()) for values in self.values(system, style, mode, outcome).values()]

    def group_means(self, system: str, mode: str, outcome: str) -> dict[str, float]:
        """On standard scenes, the mean over seeds by group (size of a region, number of objects)."""
        found: dict[str, list[float]] = defaultdict(list)
        for result in self.systems().get(system, ()):
            for asked in result["evaluations"]:
                if (asked["style"], asked["mode"], asked["task"]) == ("standard", mode, OUTCOMES[outcome][0]):
                    for group, value in asked["groups"].get(outcome, {}).items():
                        found[group].append(value)
        return {group: fmean(values) for group, values in found.items()}


LEAST_SEEDS: Final = 3
"""With fewer nothing is shown: that one or two agree is no wonder."""


@dataclass(frozen=True)
class Judged:
    """One test.

    Attributes:
        comparison: What was compared.
        outcome: On what.
        difference: What was found; None where a side has no values.
        adjusted: Holm's p-value, of primary tests.
        is_exploratory: Whether it was made after the test.
    """

    comparison: Comparison
    outcome: str
    difference: Difference | None
    adjusted: float | None = None
    is_exploratory: bool = False

    @property
    def verdict(self) -> str:
        """The rule of the plan: Holm's p below 0.05, and one sign in all of three seeds or more."""
        if self.difference is None:
            return "not computed"
        if self.is_exploratory:
            return "exploratory"
        if not self.comparison.primary:
            return "secondary"
        if len(self.difference.by_seed) < LEAST_SEEDS:
            return "too few seeds"
        is_small = self.adjusted is not None and self.adjusted < 0.05
        return "shown" if is_small and self.difference.has_one_sign else "not shown"


def judge(results: Results) -> list[Judged]:
    """All comparisons on the standard test scenes.

    Holm's procedure counts every primary test of the plan, also one that is missing (as if its p were 1): leaving tests
    out must not make the others pass. What is exploratory has no tests, and no comparisons of what was not asked.
    """
    ran = results.systems()
    comparisons = [each for each in COMPARISONS if not results.is_exploratory or {each.first, each.second} <= set(ran)]
    tests = [(comparison, outcome) for comparison in comparisons for outcome in comparison.outcomes]
    found = [(comparison, outcome, _difference(results, comparison, outcome)) for comparison, outcome in tests]
    primary = [at for at, (comparison, _, _) in enumerate(found) if comparison.primary and not results.is_exploratory]
    p_values = [known.p if (known := found[at][2]) is not None else 1.0 for at in primary]
    adjusted = dict(zip(primary, holm(p_values), strict=True))
    return [
        Judged(comparison, outcome, known, adjusted.get(at) if known is not None else None, results.is_exploratory)
        for at, (comparison, outcome, known) in enumerate(found)
        if known is not None or not results.is_exploratory
    ]


def _difference(results: Results, comparison: Comparison, outcome: str) -> Difference | None:
    first = results.values(comparison.first, "standard", comparison.first_mode, outcome)
    second = results.values(comparison.second, "standard", comparison.second_mode, outcome)
    if not set(first) & set(second):
        return None
    return difference(paired_differences(first, second))


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds as text; a dash where there are none."""
    if not values:
        return "–"
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{deviation}"
