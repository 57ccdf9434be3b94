"""One process and two with the same work: how much of the second one is gained, and how much could be."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from mgimm_plugin.bench.measuring import Measurement
from mgimm_plugin.bench.workload import scenes
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.resources import playground_folder

STEPS = {"region": 32, "image": 8}
BATCH = 16
"""Records of a step on each rank: two ranks take half as many steps for the same records."""


class _Seconds(NamedTuple):
    """What the same work takes."""

    one: float
    two: float
    at_once: float
    """Each of two processes that know nothing of each other and do all the work: what the machine itself allows."""


def scale_out(device: torch.device) -> Iterator[Measurement]:
    """Two ranks beside one, a thread each on a CPU; on the CPU as well where there is only one GPU.

    Efficiency is t1 / (2 t2). The ceiling is what two processes reach that have nothing to do with each other: the
    time of one alone over their time at once, since two cores may share what they compute with. Training is its loop
    alone. Evaluation is given from the loaded model on, and from the start of the process. It is without caption
    scores, which are Java's work.
    """
    use_cpu = device.type == "cpu" or torch.cuda.device_count() < 2
    for stage in STEPS:
        yield _measurement(f"{stage} stage, {STEPS[stage] * BATCH} records, {BATCH} a rank", _train(stage, use_cpu))
    asking, whole = _evaluate(use_cpu)
    yield _measurement("evaluation, model loaded", asking)
    yield _measurement("evaluation, from start to end", whole)


def _measurement(case: str, seconds: _Seconds) -> Measurement:
    return Measurement(
        name="scale-out",
        case=f"{case}: 1 rank, 2 ranks",
        usual_s=seconds.one,
        ours_s=seconds.two,
        more={"efficiency": seconds.one / seconds.two / 2, "ceiling": seconds.one / seconds.at_once},
    )


def _train(stage: str, use_cpu: bool) -> _Seconds:
    """Seconds of the training loop."""
    folder, playground, steps = scenes(), playground_folder(), STEPS[stage]

    def arguments(name: str, steps: int) -> list[str]:
        flags = {
            "stage": stage, "model_name_or_path": playground / "mini-llama", "vision_tower": playground / "mini-clip",
            "data_path": folder / f"{stage}.jsonl", "image_folder": folder, "output_dir": folder / "runs" / name,
            "max_steps": steps, "per_device_train_batch_size": BATCH, "mm_region_mlp_dim": 256,
            "group_by_image": stage == "region", "group_by_modality_length": stage == "image",
            "save_strategy": "no", "learning_rate": 1e-3, "model_max_length": 1024, "report_to": "none",
            "use_cpu": use_cpu, "disable_tqdm": True,
        }  # fmt: skip
        return ["mgimm_plugin.train", *(text for name, value in flags.items() for text in (f"--{name}", str(value)))]

    def seconds(*printed: str) -> float:
        return statistics.mean(float(re.findall(r"train_runtime'?: '?([0-9.]+)", text)[-1]) for text in printed)

    try:
        return _Seconds(
            one=seconds(*_run([arguments("one", steps)])),
            two=seconds(*_run([arguments("two", steps // 2)], ranks=2)),
            at_once=seconds(*_run([arguments(name, steps) for name in ("left", "right")])),
        )
    finally:
        shutil.rmtree(folder / "runs", ignore_errors=True)


def _evaluate(use_cpu: bool) -> tuple[_Seconds, _Seconds]:
    """Seconds with the model loaded, and from start to end."""
    folder = scenes()
    lines = [line for kind in ("region", "image") for line in (folder / f"{kind}.jsonl").read_text().splitlines()]
    data = folder / "both.jsonl"
    data.write_text("".join(f"{line}\n" for line in lines))

    def arguments(name: str) -> list[str]:
        device = "cpu" if use_cpu else "cuda"
        return ["mgimm_plugin.bench.timed_evaluation", str(data), str(folder), str(folder / "runs" / name), device]

    def seconds(jobs: Sequence[list[str]], ranks: int = 1) -> tuple[float, float]:
        began = time.perf_counter()
        printed = _run(jobs, ranks=ranks)
        whole = time.perf_counter() - began
        asking = [max(map(float, re.findall(r"asked in ([0-9.]+)", text))) for text in printed]
        return statistics.mean(asking), whole

    try:
        one = seconds([arguments("one")])
        two = seconds([arguments("two")], ranks=2)
        at_once = seconds([arguments("left"), arguments("right")])
    finally:
        shutil.rmtree(folder / "runs", ignore_errors=True)
    return _Seconds(one[0], two[0], at_once[0]), _Seconds(one[1], two[1], at_once[1])


def _gpu(number: int) -> str:
    """The name of one of the GPUs that the user lets us see, counted from 0; empty where there are fewer."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(number) if visible is None else "".join(visible.split(",")[number : number + 1])


def _run(jobs: Sequence[list[str]], ranks: int = 1) -> list[str]:
    """Run modules with their arguments at the same time, each in so many ranks; returns what each printed.

    Raises:
        MgimmError: One has failed.
    """
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    running = []
    for number, job in enumerate(jobs):
        # Where no Java is found, there are no caption scores.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": str(Path(sys.executable).parent)}
        if ranks == 1:
            environment["CUDA_VISIBLE_DEVICES"] = _gpu(number)  # a process has one GPU, as a rank has
        command = [sys.executable, *launcher, "-m", *job]
        running.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    printed = [process.communicate()[0] for process in running]
    for job, process, text in zip(jobs, running, printed, strict=True):
        if process.returncode:
            raise MgimmError(f"{' '.join(job[:2])} ended with status {process.returncode}:\n{text[-2000:]}")
    return printed
