"""Run a function right before or after a module is executed, without importing the module.

This is how the patches stay cheap: registering them imports neither torch nor LLaVA, and a process that never imports
a module never pays for its patch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Callback = Callable[[ModuleType], None]

_callbacks: dict[str, list[Callback]] = {}
_early_callbacks: dict[str, list[Callback]] = {}


class _PostImportFinder(MetaPathFinder):
    """Finds what the other finders find, and lets the loader call the callbacks around the run of the module's body."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _callbacks and fullname not in _early_callbacks:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                _notify_around_execution(spec)
                return spec
        return None


def _notify_around_execution(spec: ModuleSpec) -> None:
    """Shadow ``exec_module`` on this spec's own loader: everything else of the loader (sources, resources) stays."""
    loader = spec.loader
    if loader is None:  # a namespace package: it has no body
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        for callback in tuple(_early_callbacks.get(spec.name, ())):
            callback(module)
        execute(module)
        for callback in tuple(_callbacks.get(spec.name, ())):
            callback(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


_FINDER = _PostImportFinder()


def when_imported(module_name: str, callback: Callback) -> None:
    """Call ``callback(module)`` after each execution of ``module_name``; at once where it is already imported."""
    _callbacks.setdefault(module_name, []).append(callback)
    _install()
    module = sys.modules.get(module_name)
    if module is not None:
        callback(module)


def before_import(module_name: str, callback: Callback) -> None:
    """Call ``callback(module)`` with the empty module before each execution; not for one that is imported already."""
    _early_callbacks.setdefault(module_name, []).append(callback)
    _install()


def _install() -> None:
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def rebind(old: object, new: object, *, package: str = "llava") -> None:
    """Replace ``old`` by ``new`` wherever an imported module of ``package`` has bound it by name."""
    for name, module in tuple(sys.modules.items()):
        if module is None or not (name == package or name.startswith(f"{package}.")):
            continue
        for attribute, value in tuple(vars(module).items()):
            if value is old:
                setattr(module, attribute, new)
