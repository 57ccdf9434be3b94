"""``mgimm bench``: ours against the usual way."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

from mgimm_plugin.bench import BENCHMARKS, get_benchmark


def run(only: Sequence[str], *, device: str | None = None, as_json: bool = False) -> None:
    """Measure, and print a table as the figures come, or JSON at the end.

    Args:
        only: Names of benchmarks; all where there are none.
        device: Such as ``cpu`` or ``cuda``; CUDA where there is some by default.
        as_json: Print a list of objects: ``name``, ``case``, ``usual_s``, ``ours_s``, ``ratio``, ``max_difference``
            and further figures.

    Raises:
        MgimmError: A name is unknown.
    """
    import torch
    import transformers

    chosen = {name: get_benchmark(name) for name in only or BENCHMARKS}
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    measured = []
    for name, benchmark in chosen.items():
        typer.echo(f"{name} ...", err=True)
        for measurement in benchmark(where):
            measured.append(measurement.as_dict())
            if not as_json:
                typer.echo(
                    f"{name:13} {measurement.ratio:7.2f} x  {measurement.usual_s:9.4f} s  {measurement.ours_s:9.4f} s  "
                    f"{measurement.case}"
                )
    if as_json:
        typer.echo(json.dumps(measured, indent=2))
