"""Plots of the study, from the result files."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from .results import Results, judge
from .systems import MODES, MULTI_GRAINED, ROW_GROUPS, SYSTEMS, TRUE


def draw_plots(results: Results, folder: Path, *, prefix: str) -> list[tuple[str, str]]:
    """Draw what there are results for.

    Args:
        results: The result files.
        folder: Where the pictures go; created.
        prefix: Their names begin with it.

    Returns:
        Title and file name of each picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    drawn = []
    for name, title, draw in (
        ("differences", "Differences of the comparisons with 95 % intervals", _differences),
        ("modes", "What models make of the boxes they are shown", _modes),
        ("lora", "LoRA: CIDEr against trained parameters", _lora),
    ):
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        if draw(results, axes):
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{prefix}-{name}.png", dpi=110)
            drawn.append((title, f"{prefix}-{name}.png"))
        plt.close(figure)
    return drawn


def _differences(results: Results, axes: Any) -> bool:
    known = [(each, each.difference) for each in judge(results) if each.difference is not None]
    for at, (each, found) in enumerate(known):
        color = "tab:gray" if each.adjusted is None else "tab:blue"
        axes.plot([found.low, found.high], [at, at], color=color)
        axes.plot(found.mean, at, "o", color=color)
        axes.plot(found.by_seed, [at] * len(found.by_seed), "|", color=color)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(known)), [f"{each.comparison.claim}: {each.outcome}" for each, _ in known], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("first minus second" + ("" if results.is_exploratory else "; blue: primary"))
    return bool(known)


def _modes(results: Results, axes: Any) -> bool:
    asked = {asked["mode"] for result in results.files for asked in result["evaluations"] if asked["task"] == "image"}
    modes = [mode for mode in MODES["image"] if mode in asked]
    rows = 0
    for name in results.systems(*ROW_GROUPS):
        points = [
            (at, fmean(means))
            for at, mode in enumerate(modes)
            if (means := results.seed_means(name, "standard", mode, "hallucination_rate"))
        ]
        if len(points) > 1:
            rows += 1
            # The line only leads the eye: nothing lies between two ways of asking.
            (line,) = axes.plot(*zip(*points, strict=True), ":", linewidth=1)
            axes.plot(*zip(*points, strict=True), "o", color=line.get_color(), label=SYSTEMS[name].title)
    axes.set_xticks(range(len(modes)), modes)
    axes.set_ylabel("hallucination rate")
    if rows:
        axes.legend(fontsize=7)
    return rows > 1


def _lora(results: Results, axes: Any) -> bool:
    if not results.systems("lora"):
        return False
    matched, points = results.matched("lora"), []
    for name, files in matched.systems().items():
        means = matched.seed_means(name, "standard", TRUE, "CIDEr")
        if means:
            trained = files[0]["stages"]["image"]["trained_parameters"]
            label = "r = 16, alpha = 256" if name == MULTI_GRAINED.name else SYSTEMS[name].title.removeprefix("LoRA ")
            points.append((trained, fmean(means), label))
    for at, (trained, cider, label) in enumerate(sorted(points)):
        axes.plot(trained, cider, "o", color="tab:blue")
        above_or_below = (5, 4 if at % 2 else -10)  # neighbours would hide one another
        axes.annotate(label, (trained, cider), fontsize=7, xytext=above_or_below, textcoords="offset points")
    axes.margins(0.25)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("trained parameters")
    axes.set_ylabel("CIDEr")
    return len(points) > 1
