"""A predictor from the options that several commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import mgimm_plugin
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from mgimm_plugin.predictor import Predictor


def load_predictor(
    model: str | None,
    base: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[Predictor, str]:
    """Load a model quietly.

    Args:
        model: Folder or Hub id; None takes the bundled one.
        base: Base model of an adapter or LoRA checkpoint.
        device: Such as ``cpu`` or ``cuda``; None takes CUDA where there is some. Without a number, each process that
            torchrun has started takes a GPU of its own.
        dtype: Name of a torch dtype; None takes the device's own.
        max_pixels: Larger images are refused.

    Returns:
        The predictor, and the folder or Hub id that was loaded.

    Raises:
        MgimmError: The model cannot be loaded.
    """
    mgimm_plugin.register()  # before transformers is imported: a patch makes that faster

    import torch
    import transformers

    from mgimm_plugin.predictor import Predictor
    from mgimm_plugin.resources import bundled_model

    name = model or str(bundled_model())

    # Loading bars and notes about generation settings say nothing to somebody who asked for a description.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    weights = None if dtype is None else getattr(torch, dtype)
    on = device_of_process(device)
    predictor = Predictor.from_pretrained(name, base, device=on, dtype=weights, max_pixels=max_pixels)
    return predictor, name


def device_of_process(device: str | None) -> str | None:
    """The device, with its number where a launcher has started several processes on this node: a GPU for each.

    Where one GPU is visible it is the process's own, whatever its rank: some launchers let each see no other. Not
    torchrun, whose processes all see the same.
    """
    import torch

    if device in (None, "cuda") and torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        sees_its_own = torch.cuda.device_count() == 1 and "TORCHELASTIC_RUN_ID" not in os.environ
        return f"cuda:{0 if sees_its_own else os.environ['LOCAL_RANK']}"
    return device
