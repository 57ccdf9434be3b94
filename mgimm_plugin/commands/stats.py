"""``mgimm stats``: what files of records hold, as a table, JSON and a page of plots.

The command line calls :func:`run` with what the user gave.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from mgimm_plugin.data.inspect.statistics import collect_statistics
from mgimm_plugin.data.inspect.tables import statistics_table
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import MgimmError

STATISTICS_FILE = "stats.json"
PLOTS_FILE = "stats.png"


def run(
    files: Sequence[Path],
    *,
    tokenizer: str | None = None,
    output: Path | None = None,
    as_json: bool = False,
    progress: bool = True,
) -> None:
    """Print the statistics of files, taken as one dataset.

    Args:
        files: Records, JSON or JSONL (``FILE...``).
        tokenizer: Folder or Hub id of a tokenizer: lengths in its tokens too (``--tokenizer DIR``).
        output: Folder for ``stats.json`` and ``stats.png`` (``--output DIR``).
        as_json: Print JSON instead of a table (``--json``).
        progress: Whether to show a bar on standard error, where that is a terminal.

    Raises:
        RecordError: A file as a whole cannot be read.
        MgimmError: No file has a good record, or the tokenizer cannot be loaded.
        MissingExtraError: matplotlib is not installed, and ``output`` is given.
    """
    statistics = collect_statistics(files, tokenizer=tokenizer, progress=progress)
    if not statistics["records"]["good"]:
        raise MgimmError(f"no good record in {', '.join(map(str, files))}; mgimm validate says why")
    # The name of a file may be no UTF-8: ASCII it is.
    text = json.dumps(statistics, indent=2, allow_nan=False)
    typer.echo(text if as_json else statistics_table(statistics).encode("utf-8", "backslashreplace").decode())
    if output is None:
        return
    from mgimm_plugin.data.inspect.plots import draw_statistics

    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / STATISTICS_FILE, text + "\n")
    draw_statistics(statistics, output / PLOTS_FILE)
    typer.echo(f"{output / STATISTICS_FILE}, {output / PLOTS_FILE}", err=True)
