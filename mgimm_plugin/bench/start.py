"""How long a command takes before it does anything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch

from mgimm_plugin.bench.measuring import Measurement, in_turns

_LLAVA = "import llava.model.builder, transformers; transformers.CLIPImageProcessor, transformers.CLIPVisionModel"
_OURS = "import mgimm_plugin; mgimm_plugin.register(); import mgimm_plugin.predictor"
_PATCHES = "import mgimm_patches; mgimm_patches.apply_all(); "


def start(device: torch.device) -> Iterator[Measurement]:
    """Fresh processes: ``mgimm --help``, and what ``describe`` imports, against importing LLaVA's loader alone."""
    llava, ours = _run("-c", _PATCHES + _LLAVA), _run("-c", _OURS)
    times = in_turns(llava, _run("-m", "mgimm_plugin", "--help"), repeats=3)
    yield Measurement(name="start", case="mgimm --help; LLaVA's imports", usual_s=times[0], ours_s=times[1])
    times = in_turns(llava, ours, repeats=3)
    yield Measurement(name="start", case="imports of describe; LLaVA's imports", usual_s=times[0], ours_s=times[1])
    loading = (
        f"{_OURS}; import time; t = time.perf_counter(); "
        "mgimm_plugin.predictor.Predictor.from_pretrained(device='cpu'); print(time.perf_counter() - t)"
    )
    seconds = float(_output(loading).splitlines()[-1])
    began = time.perf_counter()
    _run("-m", "mgimm_plugin", "describe", _example(), "--device", "cpu")()
    whole = time.perf_counter() - began
    yield Measurement(
        name="start", case="mgimm describe, whole; its model loaded", usual_s=whole, ours_s=seconds,
    )  # fmt: skip


def _run(*arguments: str) -> Callable[[], None]:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    return run


def _output(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def _example() -> str:
    from mgimm_plugin.resources import playground_folder

    return str(playground_folder() / "examples" / "images" / "000000.jpg")
