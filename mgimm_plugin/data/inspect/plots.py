"""One page of small plots about a dataset."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mgimm_plugin.data.measures import POSITIONS, SIZE_LIMITS
from mgimm_plugin.data.whole_files import written_whole
from mgimm_plugin.errors import MissingExtraError

_INK, _SOFT, _LINE = "#1b2420", "#5c6863", "#d9ded9"
_MAIN, _SECOND = "#0b6e5f", "#c4741a"
_SHADES = ("#0b6e5f", "#3f8f80", "#74b0a3", "#a8d0c6", "#cfe5df", "#e4ece9")
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 7.5,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
    "axes.grid": False,
    "text.parse_math": False,
}
_PAGE_INCHES = (11.7, 8.3)
_DPI = 150
_SHOWN_CLASSES = 24
_SHOWN_WORDS = 10
_SHOWN_ATTRIBUTES = 6
_SHOWN_VALUES = 16
_FEW = 2000
"""Below as many boxes the map of their middles has coarser cells."""


def draw_statistics(statistics: Mapping[str, Any], path: str | Path) -> None:
    """Draw a page of plots, A4 across.

    Args:
        statistics: From ``collect_statistics``.
        path: The PNG file; it is there completely or not at all.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "data", "the page of plots") from error
    # JSON may hold half a surrogate pair, which has no picture.
    statistics = json.loads(json.dumps(statistics, ensure_ascii=False).encode("utf-8", "replace"))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_PAGE_INCHES, dpi=_DPI, facecolor="white")
        _head(figure, statistics)
        grid = figure.add_gridspec(
            3, 4, left=0.105, right=0.975, top=0.80, bottom=0.06, wspace=0.24, hspace=0.52, width_ratios=(1.05, 1, 1, 1)
        )
        for place, draw in _panels():
            draw(figure.add_subplot(grid[place]), statistics)
        with written_whole(path) as partial:
            FigureCanvasAgg(figure).print_png(str(partial), pil_kwargs={"optimize": True}, metadata={"Software": None})


def _panels() -> Sequence[tuple[Any, Callable[[Any, Mapping[str, Any]], None]]]:
    """Where each plot stands: classes down the left side, then boxes, texts, and words and values."""
    return (
        ((slice(None), 0), _classes),
        ((0, 1), _sizes),
        ((0, 2), _aspects),
        ((0, 3), _positions),
        ((1, 1), _objects_per_image),
        ((1, 2), lambda axes, statistics: _lengths(axes, statistics, "questions")),
        ((1, 3), lambda axes, statistics: _lengths(axes, statistics, "answers")),
        ((2, slice(1, 3)), _attributes),
        ((2, 3), _words),
    )


def _head(figure: Any, statistics: Mapping[str, Any]) -> None:
    names = [Path(name).name for name in statistics["files"]]
    title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    figure.text(0.02, 0.945, _cut(title, 70), fontsize=17, fontweight="bold")
    records = statistics["records"]
    numbers = [
        (records["good"], "records"),
        (statistics["images"]["distinct"], "images"),
        (statistics["objects"]["distinct"], "objects"),
        (len(statistics["categories"]), "classes"),
        (statistics["texts"]["answers"]["count"], "answers"),
        (statistics["texts"]["answers"]["vocabulary"], "different words in answers"),
    ]
    x = 0.02
    for number, name in numbers:
        figure.text(x, 0.886, f"{number:,}", fontsize=13, color=_MAIN, fontweight="bold")
        figure.text(x, 0.866, name, fontsize=7.5, color=_SOFT)
        x += max(0.085, 0.0105 * len(f"{number:,}") + 0.02, 0.0048 * len(name) + 0.02)
    formats = ", ".join(f"{count:,} {name}" for name, count in records["by_format"].items())
    bad = f"; {records['bad']:,} bad records are not counted" if records["bad"] else ""
    figure.text(0.975, 0.945, formats + bad, fontsize=7.5, color=_SOFT, ha="right")


def _title(axes: Any, title: str, note: str = "") -> None:
    axes.text(0, 1.15, title, transform=axes.transAxes, fontsize=9, fontweight="bold", va="bottom")
    axes.text(0, 1.05, note, transform=axes.transAxes, color=_SOFT, va="bottom")


def _nothing(axes: Any, title: str, reason: str) -> None:
    _title(axes, title, reason)
    axes.set_axis_off()


def _bars_across(axes: Any, counts: Sequence[tuple[str, int]], color: str, labels: Sequence[str]) -> None:
    """Horizontal bars from the top, each with its name at the left and its number at its end."""
    places = np.arange(len(counts))
    axes.barh(places, [count for _, count in counts], color=color, height=0.72)
    axes.set_yticks(places, [_cut(name, 20) for name, _ in counts], color=_INK)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    most = max(count for _, count in counts)
    axes.set_xlim(0, most * 1.22)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for place, (_, count), label in zip(places, counts, labels, strict=True):
        axes.text(count + most * 0.02, place, label, va="center", color=_SOFT)


def _classes(axes: Any, statistics: Mapping[str, Any]) -> None:
    counts = list(statistics["categories"].items())
    if not counts:
        return _nothing(axes, "Classes", "no region has a class")
    total = sum(count for _, count in counts)
    ratio = counts[0][1] / counts[-1][1]
    # The panel is three rows high, so that its titles stand lower in its own units.
    axes.text(0, 1.038, "Classes", transform=axes.transAxes, fontsize=9, fontweight="bold", va="bottom")
    note = f"objects; most : least = {ratio:,.1f}" if len(counts) > 1 else "objects"
    axes.text(0, 1.012, note, transform=axes.transAxes, color=_SOFT, va="bottom")
    shown = counts if len(counts) <= _SHOWN_CLASSES else counts[: _SHOWN_CLASSES - 1]
    if len(shown) < len(counts):
        shown = [*shown, (f"{len(counts) - len(shown)} more", sum(count for _, count in counts[len(shown) :]))]
    labels = [f"{count:,}  {100 * count / total:.0f}%" for _, count in shown]
    _bars_across(axes, shown, _MAIN, labels)
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


def _sizes(axes: Any, statistics: Mapping[str, Any]) -> None:
    side = statistics["boxes"]["relative_side"]
    if not side["summary"]["count"]:
        return _nothing(axes, "Size", "no record has objects and the size of its image")
    _title(axes, "Size", f"side of box over side of image; median {100 * side['summary']['p50']:.2g}%")
    most = _histogram(axes, side["histogram"], _MAIN)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / 256, 1)
    ticks = (0.005, 0.02, 0.1, 0.25, 1)
    axes.set_xticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    total = sum(statistics["boxes"]["sizes"].values())
    limits = (1 / 256, *SIZE_LIMITS, 1)
    for limit in SIZE_LIMITS:
        axes.axvline(limit, color=_SOFT, linewidth=0.6, linestyle=(0, (2, 2)))
    for (word, count), low, high in zip(statistics["boxes"]["sizes"].items(), limits, limits[1:], strict=False):
        place = math.sqrt(low * high)
        share = f"{word}\n{100 * count / total:.0f}%"
        axes.text(place, most * 1.55, share, ha="center", va="top", color=_SOFT, fontsize=6.5)
    axes.set_ylim(0, most * 1.57)


def _aspects(axes: Any, statistics: Mapping[str, Any]) -> None:
    aspect = statistics["boxes"]["aspect_ratio"]
    if not aspect["summary"]["count"]:
        return _nothing(axes, "Aspect ratio", "no objects")
    _title(axes, "Aspect ratio", f"width over height; median {aspect['summary']['p50']:.2g}")
    _histogram(axes, aspect["histogram"], _MAIN)
    axes.set_xscale("log", base=2)
    ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    axes.set_xticks(ticks, ["1:8", "1:4", "1:2", "1:1", "2:1", "4:1", "8:1"])
    axes.minorticks_off()


def _positions(axes: Any, statistics: Mapping[str, Any]) -> None:
    boxes = statistics["boxes"]
    total = sum(boxes["positions"].values())
    if not total:
        return _nothing(axes, "Position", "no record has objects and the size of its image")
    from matplotlib.colors import LinearSegmentedColormap

    _title(axes, "Position", "middles of the boxes; share of each ninth")
    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#a8d0c6", _MAIN])
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
        axes.axhline(line, color=_SOFT, linewidth=0.5, linestyle=(0, (2, 2)))
        axes.axvline(line, color=_SOFT, linewidth=0.5, linestyle=(0, (2, 2)))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=_LINE)


def _objects_per_image(axes: Any, statistics: Mapping[str, Any]) -> None:
    counted = statistics["images"]["objects_per_image"]
    if not statistics["objects"]["distinct"]:
        return _nothing(axes, "Objects in an image", "no objects")
    summary = counted["summary"]
    _title(axes, "Objects in an image", f"images; mean {summary['mean']:,}, at most {summary['max']:,}")
    _histogram(axes, counted["histogram"], _MAIN)
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
    axes.stairs(counts * height / (counts.max() or 1.0), edges, color=_INK, linewidth=0.9)
    axes.set_xlim(0, max(edges[-1], axes.get_xlim()[1]))


def _lengths(axes: Any, statistics: Mapping[str, Any], kind: str) -> None:
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


def _attributes(axes: Any, statistics: Mapping[str, Any]) -> None:
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
                    color="white" if shade < 2 else _INK,
                )  # fmt: skip
            left += share
    axes.set_yticks(range(len(attributes)), [_cut(name, 14) for name, _ in attributes], color=_INK)
    axes.set_ylim(max(len(attributes), 4) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _width(text: str) -> float:
    """Roughly what part of the panel's width a small text needs."""
    return 0.0112 * max(map(len, text.split("\n"))) + 0.008 if text else -1.0


def _words(axes: Any, statistics: Mapping[str, Any]) -> None:
    words = list(statistics["texts"]["answers"]["frequent_words"].items())[:_SHOWN_WORDS]
    if not words:
        return _nothing(axes, "Words of answers", "no answers")
    _title(axes, "Words of answers", "most frequent, without a, the, is, ...")
    _bars_across(axes, words, _SECOND, [f"{count:,}" for _, count in words])
    axes.tick_params(axis="y", labelsize=7)


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
