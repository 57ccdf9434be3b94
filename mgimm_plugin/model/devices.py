"""Where a model can go on this machine."""

from __future__ import annotations

import torch

from mgimm_plugin.errors import MgimmError, SettingError


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device as torch knows it: CUDA where there is some and none was named, else CPU.

    Raises:
        SettingError: There is no device of that name anywhere.
        MgimmError: There is none of its kind, or none of its number, on this machine.
    """
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        count = torch.get_device_module(found).device_count()
    except RuntimeError as error:  # its words are torch's list of backends
        raise SettingError(f"no device {str(device)!r}; write cpu, cuda, or cuda:1 for the second GPU") from error
    if not count:
        raise MgimmError(f"there is no {found.type.upper()} device here; use cpu")
    if (found.index or 0) >= count:
        raise MgimmError(f"there is no device {found} here; the last one is {found.type}:{count - 1}")
    return found
