"""Where the bundled files are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from mgimm_plugin.errors import MgimmError

_PACKAGE = Path(__file__).resolve().parent


def playground_folder() -> Path:
    """Return the folder with the bundled models and examples.

    Raises:
        MgimmError: Neither place has it, so the installation is incomplete.
    """
    for folder in (_PACKAGE.parent / "playground", _PACKAGE / "playground"):
        if (folder / "mini-llama" / "config.json").is_file():
            return folder
    raise MgimmError("the bundled models are not in this installation; reinstall mgimm-plugin, or pass --model")


def bundled_model() -> Path:
    """Return the bundled MGIMM checkpoint, which answers region and image questions."""
    return playground_folder() / "mgimm-mini"
