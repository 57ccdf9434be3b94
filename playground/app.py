"""Starts the playground: ``python playground/app.py`` takes the options of ``mgimm playground``."""

import sys

from mgimm_plugin.cli import app

if __name__ == "__main__":
    app(["playground", *sys.argv[1:]], prog_name="mgimm")
