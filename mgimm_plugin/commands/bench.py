"""``mgimm bench``: ours against the usual way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from mgimm_plugin.bench import BENCHMARKS, get_benchmark

if TYPE_CHECKING:
    from mgimm_plugin.bench.measuring import Measurement

_DID_NOT_FIT = "did not fit the GPU's memory"


def run(only: Sequence[str], *, device: str | None = None, as_json: bool = False) -> None:
    """Measure, and print a table as the figures come, or JSON at the end, also where that is an error.

    A benchmark that does not fit the GPU's memory ends with a line that says so, and the next one begins.

    Args:
        only: Names of benchmarks; all where there are none.
        device: Such as ``cpu`` or ``cuda``; CUDA where there is some by default.
        as_json: Print a list of objects: ``name``, ``case``, ``usual_s``, ``ours_s``, ``ratio``, ``max_difference``
            and further figures; ``name`` and ``error`` for a benchmark that ended because it did not fit.

    Raises:
        MgimmError: A name is unknown, or there is no such device here.
    """
    import torch
    import transformers

    from mgimm_plugin.model.devices import free_memory, usable_device

    chosen = {name: get_benchmark(name) for name in only or BENCHMARKS}
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where = usable_device(device)
    measured = []
    if not as_json:
        typer.echo(_line("benchmark", "ratio", "usual", "ours", "largest difference", "case"))
    try:
        for name, benchmark in chosen.items():
            typer.echo(f"{name} ...", err=True)
            try:
                for measurement in benchmark(where):
                    measured.append(measurement.as_dict())
                    if not as_json:
                        typer.echo(_row(measurement))
            except torch.OutOfMemoryError as error:
                typer.echo(f"{name} {_DID_NOT_FIT}: {' '.join(str(error).split())}", err=True)
                measured.append({"name": name, "error": _DID_NOT_FIT})
                if not as_json:
                    typer.echo(_line(name, "-", "-", "-", "-", _DID_NOT_FIT))
            free_memory()  # out of the handler: its error holds what was computed
    finally:  # what took minutes to measure is not lost to what fails after it
        if as_json:
            typer.echo(json.dumps(measured, indent=2))
    if any("error" in each for each in measured):
        raise typer.Exit(1)


def _row(measurement: Measurement) -> str:
    difference = "-"
    if measurement.max_difference is not None:
        difference = f"{measurement.max_difference:.3g} {measurement.more.get('max_difference_is', '')}".rstrip()
    return _line(
        measurement.name,
        f"{measurement.ratio:.2f} x",
        f"{measurement.usual_s:.4f} s",
        f"{measurement.ours_s:.4f} s",
        difference,
        measurement.case,
    )


def _line(name: str, ratio: str, usual: str, ours: str, difference: str, case: str) -> str:
    return f"{name:13} {ratio:>9}  {usual:>11}  {ours:>11}  {difference:>21}  {case}"
