"""Everything that changes LLaVA's or a library's behaviour, one small module per reason.

``apply_all()`` is cheap: it imports neither torch nor LLaVA. A patch does its work when its target is imported, and at
once where that has already happened.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module

from mgimm_patches._patch import Patch, PatchStatus

__all__ = ["PatchStatus", "apply_all", "import_targets", "put_off_compiler", "status"]

logger = logging.getLogger(__name__)

_SERVERS = ("llava.serve.model_worker", "llava.serve.gradio_web_server")

_MODULES = (
    "transformers_listing",
    "training_imports",
    "training_model_type",
    "trainer_arguments",
    "deepspeed_training",
    "loader",
    "vision_tower_path",
    "inputs",
    "programs",
    "model_worker",
    "web_server",
)


def _patches() -> Iterator[Patch]:
    for name in _MODULES:
        yield from import_module(f"{__name__}.{name}").PATCHES


def apply_all() -> None:
    """Apply every patch, now or when its target is imported. Any number of times is harmless."""
    for patch in _patches():
        patch.apply()


def put_off_compiler() -> None:
    """Keep torch's compiler from being imported until something is compiled; call it before torch is imported.

    It reaches far into torch, so it is for short-lived processes that are ours alone (``mgimm describe``), and no part
    of ``apply_all``.
    """
    for patch in import_module(f"{__name__}.compiler_when_used").PATCHES:
        patch.apply()


def status() -> list[PatchStatus]:
    """The patches of this process, in the order in which they are applied."""
    return [patch.status() for patch in _patches()]


def import_targets() -> None:
    """Import what the patches change, so that ``status()`` tells what becomes of them; ``mgimm doctor`` does so.

    LLaVA's servers stay out: importing one redirects the streams and opens log files. A target whose optional package
    is not installed stays pending.
    """
    for target in dict.fromkeys(patch.target for patch in _patches()):
        if target not in _SERVERS:
            try:
                import_module(target)
            except ImportError as error:
                logger.info("%s cannot be imported here: %s", target, error)
