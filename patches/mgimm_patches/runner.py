"""Run one of LLaVA's modules with the plugin active: ``mgimm llava serve.cli --model-path ...``."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mgimm_plugin.errors import MgimmError, MissingExtraError

_EXTRAS = {
    "shortuuid": "demo",
    "fastapi": "demo",
    "uvicorn": "demo",
    "gradio": "demo",
    "deepspeed": "train",
}


def available_modules() -> list[str]:
    """The modules of LLaVA that have a main block, without the ``llava.`` in front."""
    spec = find_spec("llava")
    if spec is None or not spec.submodule_search_locations:
        raise MgimmError("llava is not installed: pip install --no-deps llava-torch==1.2.2.post1")
    root = Path(next(iter(spec.submodule_search_locations)))
    names = []
    for file in root.rglob("*.py"):
        if "__main__" in file.read_text(encoding="utf-8"):
            names.append(".".join(file.relative_to(root).with_suffix("").parts))
    return sorted(names)


def run_module(name: str, argv: Sequence[str]) -> int:
    """Import ``llava.<name>`` with the plugin active, then execute the body of its main block.

    The block runs in the imported module's own namespace, so that it uses the patched functions, and sets the globals
    (``args``, ``worker``) that they read.

    Args:
        name: ``serve.cli``, ``eval.run_llava``, ``train.train``, ...; ``llava.serve.cli`` is accepted too.
        argv: The program's own arguments.

    Returns:
        The program's exit code.

    Raises:
        MgimmError: There is no such module; the message lists those that exist.
        MissingExtraError: The module needs a package of an extra that is not installed.
    """
    import mgimm_plugin

    name = name.removeprefix("llava.")
    if name not in available_modules():
        raise MgimmError(f"llava has no program {name!r}; there are: {', '.join(available_modules())}")
    mgimm_plugin.register()
    if name.startswith("train."):
        _prepare_training()
    module = _import(f"llava.{name}")
    from mgimm_patches._rewrite import main_block
    from mgimm_patches.programs import without_default_template

    block, default_template = without_default_template(main_block(module))
    if "_mgimm_default_template" in vars(module):
        module._mgimm_default_template = default_template  # type: ignore[attr-defined]
    code = compile(ast.Module(body=block, type_ignores=[]), str(module.__file__), "exec")
    previous = sys.argv
    sys.argv = [str(module.__file__), *argv]
    try:
        exec(code, vars(module))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        sys.argv = previous
    return 0


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _EXTRAS:
            raise MissingExtraError(package, _EXTRAS[package], name) from error
        if package and package != "llava":
            raise MgimmError(f"{name} needs {package}, which is not installed: pip install {package}") from error
        raise


def _prepare_training() -> None:
    """Give ``llava.train.train`` our model classes, data module and trainer, before other programs import from it."""
    module = _import("llava.train.train")
    importlib.import_module("mgimm_plugin.train.llava_entry").rebind(module)
