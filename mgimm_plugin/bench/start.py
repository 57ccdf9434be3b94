"""How long a command takes before it does anything.

Each row runs fresh processes in turns. Seconds are those of a processor (user and system), which other work on the
machine changes less than it changes the clock's.

* ``mgimm --help``: usual is to import torch first, as a program does whose options sit beside its model.
* ``mgimm describe``: until the bundled model is loaded. Usual are the same imports and loading where the libraries were
  imported before our patches, which spare nothing then. ``import_torch_s`` is torch alone, and ``beyond_torch_s`` what
  ours takes beyond it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

import torch

from mgimm_plugin.bench.measuring import REPEATS, Measurement

_TORCH = ("-c", "import torch")
_HELP = ("-m", "mgimm_plugin", "--help")
_LOADING = (
    "import mgimm_patches, mgimm_plugin; mgimm_patches.put_off_compiler(); mgimm_plugin.register(); "
    "import mgimm_plugin.predictor as predictor; "
    "predictor.Predictor.from_pretrained(device='cpu')"
)


def start(device: torch.device) -> Iterator[Measurement]:
    """Fresh processes: ``mgimm --help``, and ``mgimm describe`` until its model is loaded."""
    usual, ours = _in_turns(_TORCH, _HELP)
    yield Measurement(name="start", case="mgimm --help; import torch", usual_s=usual, ours_s=ours)
    usual, ours, alone = _in_turns(
        ("-c", f"from transformers import LlamaForCausalLM; {_LOADING}"), ("-c", _LOADING), _TORCH
    )
    yield Measurement(
        name="start",
        case="mgimm describe, until its model is loaded",
        usual_s=usual,
        ours_s=ours,
        more={"import_torch_s": alone, "beyond_torch_s": ours - alone},
    )


def _in_turns(*commands: tuple[str, ...]) -> list[float]:
    """Median processor seconds of each command, after one run of each to warm the disk's cache."""
    taken: list[list[float]] = [[_seconds(command) for command in commands] for _ in range(REPEATS + 1)]
    return [median(column) for column in zip(*taken[1:], strict=True)]


def _seconds(arguments: tuple[str, ...]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
