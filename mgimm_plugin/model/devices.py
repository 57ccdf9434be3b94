"""Where a model can go on this machine."""

from __future__ import annotations

import gc
import logging
from functools import cache

import torch

from mgimm_plugin.errors import MgimmError, SettingError

logger = logging.getLogger(__name__)


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device as torch knows it: CUDA where there is some and none was named, else CPU.

    GPUs that are there and cannot be used are warned of once, where none was named.

    Raises:
        SettingError: There is no device of that name anywhere.
        MgimmError: There is none of its kind, or none of its number, on this machine, or torch cannot use it.
    """
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        count = torch.get_device_module(found).device_count()
    except RuntimeError as error:  # its words are torch's list of backends
        raise SettingError(f"no device {str(device)!r}; write cpu, cuda, or cuda:1 for the second GPU") from error
    problem = unusable_gpus()
    if problem and found.type == "cuda":
        raise MgimmError(f"{problem}; until then use cpu")
    if problem and not device:
        _warn_once(f"{problem}; until then the CPU is used")
    if not count:
        raise MgimmError(f"there is no {found.type.upper()} device here; use cpu")
    if (found.index or 0) >= count:
        raise MgimmError(f"there is no device {found} here; the last one is {found.type}:{count - 1}")
    return found


def default_dtype(device: torch.device) -> torch.dtype:
    """The number format of weights on a device: float32 on a CPU, else bfloat16.

    GPUs before Ampere (compute capability 8.0) have no bfloat16 of their own: they take float16, as LLaVA does.
    """
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return torch.float16
    return torch.bfloat16


def unusable_gpus() -> str | None:
    """Why the GPUs of this machine cannot be used, and what to do; None where they can be, and where there are none.

    The driver lists GPUs also to a torch that was built for a newer CUDA than it has, and GPUs that do not start.
    """
    if torch.cuda.is_available() or not torch.cuda.device_count():
        return None
    try:
        torch.cuda.init()
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rstrip(".")
    else:
        return None  # they have come back since the first look
    advice = "see what nvidia-smi and the system's log say of them"
    if "too old" in reason:
        advice = "install a newer driver, or a torch that was built for this driver's CUDA (nvidia-smi shows which)"
    return f"the GPUs here cannot be used by torch {torch.__version__}: {reason}; {advice}"


def free_memory() -> None:
    """Models have references in circles: memory comes back only when somebody looks for them."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@cache
def _warn_once(text: str) -> None:
    logger.warning(text)
