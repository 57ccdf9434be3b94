"""The small plots of a page about a dataset, each on axes of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mgimm_plugin.data.measures import POSITIONS, SIZE_LIMITS

INK, SOFT, LINE = "#1b2420", "#5c6863", "#d9ded9"
MAIN, _SECOND = "#0b6e5f", "#c4741a"
_SHADES = ("#0b6e5f", "#3f8f80", "#74b0a3", "#a8d0c6", "#cfe5df", "#e4ece9")
_SHOWN_CLASSES = 24
_SHOWN_WORDS = 10
_SHOWN_ATTRIBUTES = 6
_SHOWN_VALUES = 16
_FEW = 2000
"""Below as many boxes the map of their middles has coarser cells."""


def _title(axes: Any, title: str, note: str = "") -> None:
    axes.text(0, 1.15, title, transform=axes.transAxes, fontsize=9, fontweight="bold", va="bottom")
    axes.text(0, 1.05, note, transform=axes.transAxes, color=SOFT, va="bottom")


def _nothing(axes: Any, title: str, reason: str) -> None:
    _title(axes, title, reason)
    axes.set_axis_off()


def _bars_across(axes: Any, counts: Sequence[tuple[str, int]], color: str, labels: Sequence[str]) -> None:
    """Horizontal bars from the top, each with its name at the left and its number at its end."""
    places = np.arange(len(counts))
    axes.barh(places, [count for _, count in counts], color=color, height=0.72)
    axes.set_yticks(places, [cut(name, 20) for name, _ in counts], color=INK)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    most = max(count for _, count in counts)
    axes.set_xlim(0, most * 1.22)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for place, (_, count), label in zip(places, counts, labels, strict=True):
        axes.text(count + most * 0.02, place, label, va="center", color=SOFT)


def draw_classes(axes: Any, statistics: Mapping[str, Any]) -> None:
    """How many objects of each class."""
    counts = list(statistics["categories"].items())
    if not counts:
        return _nothing(axes, "Classes", "no region has a class")
    total = sum(count for _, count in counts)
    ratio = counts[0][1] / counts[-1][1]
    # The panel is three rows high, so that its titles stand lower in its own units.
    axes.text(0, 1.038, "Classes", transform=axes.transAxes, fontsize=9, fontweight="bold", va="bottom")
    note = f"objects; most : least = {ratio:,.1f}" if len(counts) > 1 else "objects"
    axes.text(0, 1.012, note, transform=axes.transAxes, color=SOFT, va="bottom")
    shown = counts if len(counts) <= _SHOWN_CLASSES else counts[: _SHOWN_CLASSES - 1]
    if len(shown) < len(counts):
        shown = [*shown, (f"{len(counts) - len(shown)} more", sum(count for _, count in counts[len(shown) :]))]
    labels = [f"{count:,}  {100 * count / total:.0f}%" for _, count in shown]
    _bars_across(axes, shown, MAIN, labels)
    axes.set_xlim(0, max(count for _, count in shown) * 1.35)
    # Few classes get bars of the same height as many, at the top of the panel.
    axes.set_ylim(max(len(shown), 16) - 0.4, -0.6)


def _histogram(axes: Any, histogram: Mapping[str, Any], color: str, **options: Any) -> float:
    edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"])
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color, edgecolor="white", linewidth=0.6, **options)
    axes.set_yticks([])
    most = float(counts.max()) or 1.0
    axes.set_ylim(0, most * 1.18)
    highest = int(counts.argmax())
    if counts.any():
        middle = (edges[highest] + edges[highest + 1]) / 2
        axes.text(middle, most * 1.02, f"{most:,.0f}", ha="center", va="bottom", color=color, fontsize=6.5)
    return most


def draw_sizes(axes: Any, statistics: Mapping[str, Any]) -> None:
    """Side of boxes over side of their image."""
    side = statistics["boxes"]["relative_side"]
    if not side["summary"]["count"]:
        return _nothing(axes, "Size", "no record has objects and the size of its image")
    _title(axes, "Size", f"side of box over side of image; median {100 * side['summary']['p50']:.2g}%")
    most = _histogram(axes, side["histogram"], MAIN)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / 256, 1)
    ticks = (0.005, 0.02, 0.1, 0.25, 1)
    axes.set_xticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    total = sum(statistics["boxes"]["sizes"].values())
    limits = (1 / 256, *SIZE_LIMITS, 1)
    for limit in SIZE_LIMITS:
        axes.axvline(limit, color=SOFT, linewidth=0.6, linestyle=(0, (2, 2)))
    for (word, count), low, high in zip(statistics["boxes"]["sizes"].items(), limits, limits[1:], strict=False):
        place = math.sqrt(low * high)
        share = f"{word}\n{100 * count / total:.0f}%"
        axes.text(place, most * 1.55, share, ha="center", va="top", color=SOFT, fontsize=6.5)
    axes.set_ylim(0, most * 1.57)


def draw_aspects(axes: Any, statistics: Mapping[str, Any]) -> None:
    """Width over height of boxes."""
    aspect = statistics["boxes"]["aspect_ratio"]
    if not aspect["summary"]["count"]:
        return _nothing(axes, "Aspect ratio", "no objects")
    _title(axes, "Aspect ratio", f"width over height; median {aspect['summary']['p50']:.2g}")
    _histogram(axes, aspect["histogram"], MAIN)
    axes.set_xscale("log", base=2)
    ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    axes.set_xticks(ticks, ["1:8", "1:4", "1:2", "1:1", "2:1", "4:1", "8:1"])
    axes.minorticks_off()


def draw_positions(axes: Any, statistics: Mapping[str, Any]) -> None:
    """Where the middles of boxes are."""
    boxes = statistics["boxes"]
    total = sum(boxes["positions"].values())
    if not total:
        return _nothing(axes, "Position", "no record has objects and the size of its image")
    from matplotlib.colors import LinearSegmentedColormap

    _title(axes, "Position", "middles of the boxes; share of each ninth")
    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#a8d0c6", MAIN])
    cells = np.array(boxes["middles"])
    if total < _FEW:
        cells = cells.reshape(len(cells) // 2, 2, len(cells) // 2, 2).sum(axis=(1, 3))
    axes.imshow(cells, cmap=shades, extent=(0, 3, 3, 0), interpolation="nearest", vmin=0, aspect="auto")
    for row, words in enumerate(POSITIONS):
        for column, word in enumerate(words):
            share = f"{100 * boxes['positions'][word] / total:.0f}%"
            axes.text(
                column + 0.05, row + 0.06, share, ha="left", va="top", fontsize=6.5,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
            )  # fmt: skip
    for line in (1, 2):
        axes.axhline(line, color=SOFT, linewidth=0.5, linestyle=(0, (2, 2)))
        axes.axvline(line, color=SOFT, linewidth=0.5, linestyle=(0, (2, 2)))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE)


def draw_objects_per_image(axes: Any, statistics: Mapping[str, Any]) -> None:
    """How many objects an image has."""
    counted = statistics["images"]["objects_per_image"]
    if not statistics["objects"]["distinct"]:
        return _nothing(axes, "Objects in an image", "no objects")
    summary = counted["summary"]
    _title(axes, "Objects in an image", f"images; mean {summary['mean']:,}, at most {summary['max']:,}")
    _histogram(axes, counted["histogram"], MAIN)
    _whole_ticks(axes, counted["histogram"]["edges"])


def _whole_ticks(axes: Any, edges: Sequence[float]) -> None:
    """Ticks for bins of whole numbers: in the middle of bins of width one, else at the edges."""
    step = edges[1] - edges[0]
    shift = 0.5 if step == 1 else 0.0
    every = max(1, math.ceil((len(edges) - 1) / 6))
    axes.set_xticks([edge + shift for edge in edges[:-1:every]], [f"{edge:g}" for edge in edges[:-1:every]])
    axes.set_xlim(edges[0], edges[-1])


def _tokens(axes: Any, tokens: Mapping[str, Any], height: float) -> None:
    """The outline of a histogram in tokens over that in words; each as high as the page allows."""
    edges, counts = np.array(tokens["histogram"]["edges"]), np.array(tokens["histogram"]["counts"])
    axes.stairs(counts * height / (counts.max() or 1.0), edges, color=INK, linewidth=0.9)
    axes.set_xlim(0, max(edges[-1], axes.get_xlim()[1]))


def draw_lengths(axes: Any, statistics: Mapping[str, Any], kind: str) -> None:
    """Lengths of ``questions`` or ``answers`` in words, and in tokens where they were counted."""
    texts = statistics["texts"][kind]
    title = f"Length of {kind}"
    if not texts["count"]:
        return _nothing(axes, title, f"no {kind}")
    words = texts["words"]["summary"]
    note = f"words; median {words['p50']:,}, at most {words['max']:,}"
    most = _histogram(axes, texts["words"]["histogram"], _SECOND)
    _whole_ticks(axes, texts["words"]["histogram"]["edges"])
    if "tokens" in texts:
        tokens = texts["tokens"]["summary"]
        note = f"words, at most {words['max']:,}; as a line tokens, at most {tokens['max']:,}"
        _tokens(axes, texts["tokens"], most)
    _title(axes, title, note)


def draw_attributes(axes: Any, statistics: Mapping[str, Any]) -> None:
    """Share of each value of the attributes."""
    # Classes have a panel of their own.
    classes = statistics["categories"]
    attributes = [item for item in statistics["attributes"].items() if item[1] != classes][:_SHOWN_ATTRIBUTES]
    if not attributes:
        return _nothing(axes, "Attributes", "no region has attributes")
    _title(axes, "Attributes", "share of each value")
    place_of = axes.get_position()
    # Room for the names of the words at the right.
    axes.set_position((place_of.x0, place_of.y0, place_of.width - 0.025, place_of.height))
    for place, (_, values) in enumerate(attributes):
        total = sum(values.values())
        left = 0.0
        # The others are so narrow that they have no label: what remains is left blank.
        for number, (value, count) in enumerate(list(values.items())[:_SHOWN_VALUES]):
            share = count / total
            shade = min(number, len(_SHADES) - 1)
            axes.barh(place, share, left=left, color=_SHADES[shade], edgecolor="white", linewidth=0.8, height=0.78)
            labels = (f"{value} {100 * share:.0f}%", value.replace(" ", "\n"), "")
            label = next(text for text in labels if share > _width(text))
            if label:
                axes.text(
                    left + share / 2, place, label, ha="center", va="center", fontsize=6.5,
                    color="white" if shade < 2 else INK,
                )  # fmt: skip
            left += share
    axes.set_yticks(range(len(attributes)), [cut(name, 14) for name, _ in attributes], color=INK)
    axes.set_ylim(max(len(attributes), 4) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _width(text: str) -> float:
    """Roughly what part of the panel's width a small text needs."""
    return 0.0112 * max(map(len, text.split("\n"))) + 0.008 if text else -1.0


def draw_words(axes: Any, statistics: Mapping[str, Any]) -> None:
    """The most frequent words of answers."""
    words = list(statistics["texts"]["answers"]["frequent_words"].items())[:_SHOWN_WORDS]
    if not words:
        return _nothing(axes, "Words of answers", "no answers")
    _title(axes, "Words of answers", "most frequent, without a, the, is, ...")
    _bars_across(axes, words, _SECOND, [f"{count:,}" for _, count in words])
    axes.tick_params(axis="y", labelsize=7)


def cut(text: str, width: int) -> str:
    """One line of a text, no longer than ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
