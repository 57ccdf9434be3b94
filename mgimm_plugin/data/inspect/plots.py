"""One page of small plots about a dataset."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mgimm_plugin.data.inspect.panels import (
    INK,
    LINE,
    MAIN,
    SOFT,
    cut,
    draw_aspects,
    draw_attributes,
    draw_classes,
    draw_lengths,
    draw_objects_per_image,
    draw_positions,
    draw_sizes,
    draw_words,
)
from mgimm_plugin.data.whole_files import written_whole
from mgimm_plugin.errors import MissingExtraError

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 7.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
    "axes.grid": False,
    "text.parse_math": False,
}
_PAGE_INCHES = (11.7, 8.3)
_DPI = 150


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
    # The name of a file may be no Unicode, which has no picture.
    statistics = json.loads(json.dumps(statistics, ensure_ascii=False).encode("utf-8", "replace"))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_PAGE_INCHES, dpi=_DPI, facecolor="white")
        _head(figure, statistics)
        grid = figure.add_gridspec(
            3, 4, left=0.105, right=0.975, top=0.80, bottom=0.06, wspace=0.24, hspace=0.52, width_ratios=(1.05, 1, 1, 1)
        )
        for place, draw in _panels():
            draw(figure.add_subplot(grid[place]), statistics)
        with written_whole(path) as partial, warnings.catch_warnings():
            # Letters that the typeface lacks are boxes on the page; stats.json has them.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            FigureCanvasAgg(figure).print_png(str(partial), pil_kwargs={"optimize": True}, metadata={"Software": None})


def _panels() -> Sequence[tuple[Any, Callable[[Any, Mapping[str, Any]], None]]]:
    """Where each plot stands: classes down the left side, then boxes, texts, and words and values."""
    return (
        ((slice(None), 0), draw_classes),
        ((0, 1), draw_sizes),
        ((0, 2), draw_aspects),
        ((0, 3), draw_positions),
        ((1, 1), draw_objects_per_image),
        ((1, 2), lambda axes, statistics: draw_lengths(axes, statistics, "questions")),
        ((1, 3), lambda axes, statistics: draw_lengths(axes, statistics, "answers")),
        ((2, slice(1, 3)), draw_attributes),
        ((2, 3), draw_words),
    )


def _head(figure: Any, statistics: Mapping[str, Any]) -> None:
    names = [Path(name).name for name in statistics["files"]]
    title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    figure.text(0.02, 0.945, cut(title, 70), fontsize=17, fontweight="bold")
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
        figure.text(x, 0.886, f"{number:,}", fontsize=13, color=MAIN, fontweight="bold")
        figure.text(x, 0.866, name, fontsize=7.5, color=SOFT)
        x += max(0.085, 0.0105 * len(f"{number:,}") + 0.02, 0.0048 * len(name) + 0.02)
    formats = ", ".join(f"{count:,} {name}" for name, count in records["by_format"].items())
    bad = f"; {records['bad']:,} bad records are not counted" if records["bad"] else ""
    figure.text(0.975, 0.945, formats + bad, fontsize=7.5, color=SOFT, ha="right")
