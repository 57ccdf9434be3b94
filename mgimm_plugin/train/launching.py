"""How the processes of a training are started, and what is refused of it."""

from __future__ import annotations

import os
import socket

import torch

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.devices import unusable_gpus


def refuse_fsdp(fsdp: object) -> None:
    """Refuse what no checkpoint could be written from."""
    if fsdp:
        raise MgimmError(
            "--fsdp cannot write our checkpoints; use --deepspeed scripts/zero2.json, or scripts/zero3.json for a "
            "model that one GPU does not hold"
        )


def refuse_unusable_gpus(use_cpu: bool) -> None:
    """Refuse to train on the CPU beside GPUs that torch cannot use, unless the user asks for it: it may take weeks."""
    problem = None if use_cpu else unusable_gpus()
    if problem:
        raise MgimmError(f"{problem}; to train on the CPU all the same, add --use_cpu or set CUDA_VISIBLE_DEVICES=")


def be_the_only_rank() -> None:
    """Say what a launcher would say of one process: DeepSpeed asks MPI otherwise."""
    if torch.cuda.device_count() > 1:
        raise MgimmError(several_gpus(torch.cuda.device_count()))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


def several_gpus(count: int) -> str:
    """What is said to one process that sees several GPUs."""
    return (
        f"{count} GPUs are visible to one process: start one process each, with NPROC={count} before the script or "
        f"torchrun --nproc_per_node {count} -m mgimm_plugin.train, or choose one GPU with CUDA_VISIBLE_DEVICES=0"
    )
