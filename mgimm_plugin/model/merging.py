"""Merge a LoRA checkpoint into one full folder."""

from __future__ import annotations

from pathlib import Path

import torch

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.folders import CheckpointKind, checkpoint_kind
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.paths import local_folder
from mgimm_plugin.model.saving import save_checkpoint


def merge_lora(
    checkpoint: str | Path, output: str | Path, base: str | Path | None = None, *, dtype: torch.dtype = torch.float32
) -> Path:
    """Write ``checkpoint`` (LoRA or adapter) with its base as one full checkpoint, on the CPU.

    Raises:
        CheckpointError: The checkpoint is full already, or ``output`` has something in it.
    """
    output = Path(output)
    if checkpoint_kind(local_folder(str(checkpoint))) is CheckpointKind.FULL:
        raise CheckpointError(f"{checkpoint}: is a full checkpoint already, there is nothing to merge")
    if output.exists() and any(output.iterdir()):
        raise CheckpointError(f"{output}: is not empty; choose another output folder")
    loaded = load_model(checkpoint, base, device="cpu", dtype=dtype)
    if output.exists():
        output.rmdir()
    save_checkpoint(loaded.model, loaded.tokenizer, output, CheckpointKind.FULL)
    return output
