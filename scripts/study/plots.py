"""Plots of the study, from the result files."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from .comparisons import PRIMARY_OUTCOMES
from .outcomes import OUTCOMES
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
        figure = plt.figure(figsize=(8, 4.5), layout="constrained")
        if draw(results, figure):
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{prefix}-{name}.png", dpi=110)
            drawn.append((title, f"{prefix}-{name}.png"))
        plt.close(figure)
    return drawn


def _differences(results: Results, figure: Any) -> bool:
    known = [(each, each.difference) for each in judge(results) if each.difference is not None]
    claims = list(dict.fromkeys(each.comparison.claim for each, _ in known))
    outcomes = [name for name in PRIMARY_OUTCOMES if any(each.outcome == name for each, _ in known)]
    if not known:
        return False
    figure.set_size_inches(10, 1.2 + 0.26 * len(claims))
    panels = dict(zip(outcomes, figure.subplots(1, len(outcomes), sharey=True, squeeze=False)[0], strict=True))
    for each, found in known:
        axes, at = panels[each.outcome], claims.index(each.comparison.claim)
        color = "tab:gray" if each.adjusted is None else "tab:blue"
        axes.plot([found.low, found.high], [at, at], color=color)
        axes.plot(found.mean, at, "o", color=color)
        axes.plot(found.by_seed, [at] * len(found.by_seed), "|", color=color)
    for outcome, axes in panels.items():
        _, heading, is_more_better = OUTCOMES[outcome]
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(heading, fontsize=9)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="y", linewidth=0.3)
        if not is_more_better:
            axes.invert_xaxis()  # so that right is better everywhere
    first = panels[outcomes[0]]
    first.set_yticks(range(len(claims)), claims, fontsize=7)
    first.invert_yaxis()
    colors = "" if results.is_exploratory else "; blue: primary; gray: secondary"
    figure.supxlabel(f"first minus second; further right, the first is better{colors}", fontsize=8)
    return True


def _modes(results: Results, figure: Any) -> bool:
    axes = figure.subplots()
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


def _lora(results: Results, figure: Any) -> bool:
    if not results.systems("lora"):
        return False
    axes = figure.subplots()
    matched, points = results.matched("lora"), []
    for name, files in matched.systems().items():
        means = matched.seed_means(name, "standard", TRUE, "CIDEr")
        if means:
            trained = files[0]["stages"]["image"]["trained_parameters"]
            label = "r = 16, alpha = 256" if name == MULTI_GRAINED.name else SYSTEMS[name].title.removeprefix("LoRA ")
            points.append((trained, fmean(means), label))
    for trained, cider, label in points:
        axes.plot(trained, cider, "o", color="tab:blue")
        column = [other for at, other, _ in points if at == trained]
        place, side = (-6, -3), "right"  # left of the point, but for the ends of a column of several
        if len(column) > 1 and cider in (min(column), max(column)):
            place, side = (5, 4 if cider == max(column) else -10), "left"
        axes.annotate(label, (trained, cider), fontsize=7, xytext=place, textcoords="offset points", ha=side)
    axes.margins(0.25)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("trained parameters")
    axes.set_ylabel("CIDEr")
    return len(points) > 1
