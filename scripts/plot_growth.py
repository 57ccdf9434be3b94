#!/usr/bin/env python
"""Measure how time and memory grow with boxes, patches, batch and length, and draw them beside the usual way.

python scripts/plot_growth.py docs/images/growth.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

import mgimm_plugin
from mgimm_plugin.bench.measuring import peak_mib, wait_for

Way = Callable[[], Any]
Case = tuple[int, Way | None, Way]
"""A size, the usual way (None where it would take too long), and ours."""
REPEATS = 3
BOXES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PATCHES = (64, 144, 256, 576, 1024, 2304)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
VOCABULARY = 32_000
LARGEST_USUAL = 64
"""With more boxes the usual way takes minutes and many GB."""


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the picture; the figures go beside it as JSON")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    mgimm_plugin.register()
    device = torch.device(options.device)
    panels = {
        "boxes of one image\nregion module, 576 patches": region_module(device, [(size, 576) for size in BOXES], 0),
        "patches\nregion module, 16 boxes": region_module(device, [(16, size) for size in PATCHES], 1),
        "records of a region-stage step\nbundled bases": batches(device),
        f"positions of a row\n{VOCABULARY:,} words, 2 rows": lengths(device),
    }
    curves = {title: measured(title, cases, device) for title, cases in panels.items()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(curves, indent=1) + "\n")
    draw(curves, options.output)


def region_module(device: torch.device, shapes: list[tuple[int, int]], varied: int) -> Iterator[Case]:
    """Forward and backward of the region interactive module at the paper's width, (boxes, patches)."""
    from mgimm_plugin.bench.rim import CHANNELS
    from mgimm_plugin.bench.usual import loop_over_boxes
    from mgimm_plugin.model.regions.interactive import RegionInteractiveModule

    torch.manual_seed(0)
    module = RegionInteractiveModule(CHANNELS, depth=2, heads=8, mlp_dim=2048).to(device)
    for shape in shapes:
        boxes, patches = shape
        inputs = (
            torch.randn(boxes, 2, CHANNELS, device=device),
            torch.randn(1, patches, CHANNELS, device=device),
            torch.zeros(boxes, dtype=torch.int64, device=device),
            torch.randn(patches, CHANNELS, device=device),
        )

        def backward(way: Callable[..., torch.Tensor], inputs: tuple[torch.Tensor, ...] = inputs) -> None:
            way(*inputs).sum().backward()
            module.zero_grad()

        usual = partial(backward, partial(loop_over_boxes, module)) if boxes <= LARGEST_USUAL else None
        yield shape[varied], usual, partial(backward, module)


def batches(device: torch.device) -> Iterator[Case]:
    """Steps of the region stage, loading included."""
    from mgimm_plugin.bench.training import our_step, usual_step
    from mgimm_plugin.bench.workload import stage
    from mgimm_plugin.train.sampling import ImageGroupedSampler

    ready = stage("region", device)
    order = list(ImageGroupedSampler(ready.data.image_numbers, 0))
    for size in BATCHES:
        steps = (partial(step, order[:size], ready, device=device) for step in (usual_step, our_step))
        yield size, *steps


def lengths(device: torch.device) -> Iterator[Case]:
    """Steps of a language model with a fifth of the positions labelled."""
    from mgimm_plugin.bench.memory import step_ways

    for length in LENGTHS:
        yield length, *step_ways(VOCABULARY, length, device)


def measured(title: str, cases: Iterator[Case], device: torch.device) -> dict[str, dict[str, dict[int, float]]]:
    """Seconds and MiB of both ways, by size."""
    curves: dict[str, dict[str, dict[int, float]]] = {
        what: {"usual": {}, "ours": {}} for what in ("seconds", "MiB of tensors")
    }
    for size, *ways in cases:
        for name, way in zip(("usual", "ours"), ways, strict=True):
            if way is not None:
                curves["seconds"][name][size] = timed(way, device)
                curves["MiB of tensors"][name][size] = peak_mib(way, device)
        print(title.splitlines()[0], size, {what: [ways[n].get(size) for n in ways] for what, ways in curves.items()})
    return curves


def timed(way: Way, device: torch.device) -> float:
    """Median seconds, after one call to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        wait_for(device)
        start = time.perf_counter()
        way()
        wait_for(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def draw(panels: dict[str, dict[str, dict[str, dict[int, float]]]], output: Path) -> None:
    """Time above memory, a column for each panel, all axes logarithmic, every line named where it ends."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, grid = pyplot.subplots(2, len(panels), figsize=(3.3 * len(panels), 5.4), layout="constrained", sharex="col")
    for column, (title, rows) in zip(grid.T, panels.items(), strict=True):
        column[0].set_title(title, fontsize=10, loc="left")
        for axis, curves in zip(column, rows.values(), strict=True):
            for (name, curve), color in zip(curves.items(), ("#8a8f98", "#c2410c"), strict=True):
                axis.loglog(list(curve), list(curve.values()), color=color, marker="o", markersize=3, linewidth=1.8)
                last = max(curve)
                axis.annotate(
                    name, (last, curve[last]), xytext=(0, 6), textcoords="offset points", ha="right", color=color,
                    fontsize=9,
                )  # fmt: skip
            axis.margins(y=0.14)
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(True, which="major", linewidth=0.4, color="#d8dade")
            axis.spines[["top", "right"]].set_visible(False)
        column[1].set_xticks(list(curves["ours"]), [f"{size:,}" for size in curves["ours"]], fontsize=8)
        column[1].minorticks_off()
    for axis, what in zip(grid[:, 0], rows, strict=True):
        axis.set_ylabel(what)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
