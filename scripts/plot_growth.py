#!/usr/bin/env python
"""Measure how cost grows with boxes, patches, batch and length, and draw it beside the usual way.

python scripts/plot_growth.py docs/images/growth.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import mgimm_plugin
from mgimm_plugin.bench.measuring import wait_for

Curve = dict[int, float]
REPEATS = 3
LARGEST_COPY = 64
"""The usual way takes 2.4 MB for each box and tensor; with more boxes it is left out."""


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the picture; the figures go beside it as JSON")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    mgimm_plugin.register()
    device = torch.device(options.device)
    panels = {
        "boxes of one image": region_module(device, "boxes", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
        "patches of the image (16 boxes)": region_module(device, "patches", (64, 144, 256, 576, 1024)),
        "questions answered together": answers(device, (1, 2, 4, 8, 16, 32, 64)),
        "words of the answer (16 regions)": lengths(device, (5, 10, 20, 40, 80)),
    }
    options.output.with_suffix(".json").write_text(json.dumps(panels, indent=2) + "\n")
    draw(panels, options.output)


def timed(function: Callable[[], Any], device: torch.device) -> float:
    """Median seconds, after one call to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        wait_for(device)
        start = time.perf_counter()
        function()
        wait_for(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


@torch.no_grad()
def region_module(device: torch.device, what: str, sizes: Sequence[int]) -> dict[str, Curve]:
    """The region interactive module at the paper's width."""
    from mgimm_plugin.bench.rim import CHANNELS, PATCHES
    from mgimm_plugin.bench.usual import loop_over_boxes
    from mgimm_plugin.model.region_interactive import RegionInteractiveModule

    torch.manual_seed(0)
    module = RegionInteractiveModule(CHANNELS, depth=2, heads=8, mlp_dim=2048).to(device)
    curves: dict[str, Curve] = {"a loop over boxes": {}, "ours": {}}
    for size in sizes:
        boxes, patches = (size, PATCHES) if what == "boxes" else (16, size)
        corners = torch.randn(boxes, 2, CHANNELS, device=device)
        features = torch.randn(1, patches, CHANNELS, device=device)
        index = torch.zeros(boxes, dtype=torch.int64, device=device)
        positions = torch.randn(patches, CHANNELS, device=device)
        inputs = (corners, features, index, positions)
        curves["ours"][size] = timed(lambda inputs=inputs: module(*inputs), device)  # type: ignore[misc]
        if boxes <= LARGEST_COPY:
            curves["a loop over boxes"][size] = timed(
                lambda inputs=inputs: loop_over_boxes(module, *inputs),  # type: ignore[misc]
                device,
            )
        print(what, size, {name: round(curve[size], 4) for name, curve in curves.items() if size in curve}, flush=True)
    return curves


def answers(device: torch.device, sizes: Sequence[int]) -> dict[str, Curve]:
    """Questions about regions of one image, one after another and together, with the bundled model."""
    ask = _asker(device)
    curves: dict[str, Curve] = {"one after another": {}, "ours": {}}
    for size in sizes:
        curves["ours"][size] = timed(lambda size=size: ask(size, size, 40), device)  # type: ignore[misc]
        curves["one after another"][size] = timed(lambda size=size: ask(size, 1, 40), device)  # type: ignore[misc]
        print("batch", size, {name: round(curve[size], 4) for name, curve in curves.items()}, flush=True)
    return curves


def lengths(device: torch.device, sizes: Sequence[int]) -> dict[str, Curve]:
    """The same with answers of a given number of tokens at most."""
    ask = _asker(device)
    curves: dict[str, Curve] = {"one after another": {}, "ours": {}}
    for size in sizes:
        curves["ours"][size] = timed(lambda size=size: ask(16, 16, size), device)  # type: ignore[misc]
        curves["one after another"][size] = timed(lambda size=size: ask(16, 1, size), device)  # type: ignore[misc]
        print("length", size, {name: round(curve[size], 4) for name, curve in curves.items()}, flush=True)
    return curves


def _asker(device: torch.device) -> Callable[[int, int, int], object]:
    from mgimm_plugin.predictor import Predictor
    from mgimm_plugin.resources import playground_folder

    predictor = Predictor.from_pretrained(device=device, dtype=torch.float32)
    predictor.set_image(playground_folder() / "examples" / "images" / "000000.jpg")
    boxes = [(4.0 * (i % 8), 20.0 * (i // 8 % 8), 4.0 * (i % 8) + 60, 20.0 * (i // 8 % 8) + 50) for i in range(64)]

    def ask(count: int, batch: int, words: int) -> object:
        return predictor.describe_regions(boxes[:count], batch_size=batch, max_new_tokens=words)

    return ask


def draw(panels: dict[str, dict[str, Curve]], output: Path) -> None:
    """One panel each, both axes logarithmic, every line named where it ends."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.3), layout="constrained")
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for (name, curve), color in zip(curves.items(), ("#8a8f98", "#c2410c"), strict=True):
            axis.loglog(list(curve), list(curve.values()), color=color, marker="o", markersize=3, linewidth=1.8)
            last = max(curve)
            axis.annotate(
                name,
                (last, curve[last]),
                xytext=(0, 6),
                textcoords="offset points",
                ha="right",
                color=color,
                fontsize=9,
            )
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_ylabel("seconds" if axis is axes[0] else "")
        axis.grid(True, which="major", linewidth=0.4, color="#d8dade")
        axis.spines[["top", "right"]].set_visible(False)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
