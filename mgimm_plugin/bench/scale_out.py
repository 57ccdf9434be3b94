"""One process and two: how much of the second one's work is gained."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from mgimm_plugin.bench.measuring import Measurement
from mgimm_plugin.bench.workload import scenes
from mgimm_plugin.resources import playground_folder

STEPS, BATCH = 12, 16


def scale_out(device: torch.device) -> Iterator[Measurement]:
    """Samples a second of each stage, and records a second of an evaluation; one thread a process on a CPU."""
    folder = scenes()
    for stage in ("region", "image"):
        one, two = (_train(stage, ranks, folder, device) for ranks in (1, 2))
        yield _measurement(f"{stage} stage, seconds of training for the same samples", one, two)
    one, two = (_evaluate(ranks, folder, device) for ranks in (1, 2))
    yield _measurement("mgimm evaluate, from start to end", one, two)


def _measurement(case: str, one: float, two: float) -> Measurement:
    return Measurement(
        name="scale-out", case=f"{case}: 1 rank, 2 ranks", usual_s=one, ours_s=two, more={"efficiency": one / two / 2}
    )


def _train(stage: str, ranks: int, folder: Path, device: torch.device) -> float:
    playground, output = playground_folder(), folder / f"run-{stage}-{ranks}"
    flags = {
        "stage": stage, "model_name_or_path": playground / "mini-llama", "vision_tower": playground / "mini-clip",
        "data_path": folder / f"{stage}.jsonl", "image_folder": folder, "output_dir": output, "report_to": "none",
        "max_steps": STEPS, "per_device_train_batch_size": BATCH // ranks, "mm_region_mlp_dim": 256,
        "save_strategy": "no", "learning_rate": 1e-3, "model_max_length": 1024,
    }  # fmt: skip
    if device.type == "cpu":
        flags["use_cpu"] = True
    arguments = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    printed = _launch(ranks, "mgimm_plugin.train", *arguments)
    shutil.rmtree(output)
    return float(re.findall(r"train_runtime'?: '?([0-9.]+)", printed)[-1])


def _evaluate(ranks: int, folder: Path, device: torch.device) -> float:
    output = folder / f"evaluation-{ranks}"
    began = time.perf_counter()
    _launch(
        ranks, "mgimm_plugin", "evaluate", "--data", str(folder / "region.jsonl"), "--output", str(output),
        "--device", str(device), "--max-new-tokens", "40",
    )  # fmt: skip
    shutil.rmtree(output)
    return time.perf_counter() - began


def _launch(ranks: int, module: str, *arguments: str) -> str:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, "-m", module, *arguments], check=True, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.stdout + done.stderr
