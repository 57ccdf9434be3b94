"""The ``mgimm`` command line: options, and calls into the package. Imports nothing heavy: ``--help`` is quick."""

from __future__ import annotations

from mgimm_plugin.cli import models  # isort: skip  (the order of the commands in --help)
from mgimm_plugin.cli import data
from mgimm_plugin.cli.app import app

__all__ = ["app", "data", "main", "models"]


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="mgimm")
