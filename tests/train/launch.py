"""Run training in processes of its own, several ranks or one, without importing torch anew in each.

A fork server imports everything once; every run is then a fresh process that can be killed, exactly as
``python -m mgimm_plugin.train`` and torchrun start them (torchrun hands the rank over in the same variables).
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.train.preload"])
HANGS_AFTER = 400.0
"""Seconds after which a run is taken to hang; on a quiet machine a run takes ten."""


@dataclass
class Run:
    """Processes that are training."""

    processes: list[Any]
    log: Path

    def wait(self, seconds: float = HANGS_AFTER) -> str:
        """Wait for success and return what was printed."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        codes = [process.exitcode for process in self.processes]
        if codes != [0] * len(codes):
            self.kill()
            raise AssertionError(f"exit codes {codes}\n{self.log.read_text()[-6000:]}")
        return self.log.read_text()

    def kill(self) -> None:
        """``kill -9`` on every rank."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def kill_when(self, happened: Callable[[], bool], seconds: float = HANGS_AFTER) -> None:
        """Wait for something to happen, then kill -9."""
        deadline = time.monotonic() + seconds
        while not happened():
            if not any(process.is_alive() for process in self.processes) or time.monotonic() > deadline:
                raise AssertionError(f"it ended before it could be killed\n{self.log.read_text()[-6000:]}")
            time.sleep(0.002)
        self.kill()


def stages(argv: list[str]) -> int:
    """What ``python -m mgimm_plugin.train`` runs."""
    from mgimm_plugin.train.stages import main

    return main(argv)


def llava(argv: list[str], program: str = "train.train") -> int:
    """What ``mgimm llava train.train`` runs, or another of LLaVA's programs."""
    from mgimm_patches.runner import run_module

    return run_module(program, argv)


def start(
    argv: Sequence[str],
    log: Path,
    *,
    ranks: int = 1,
    before: Callable[[], None] | None = None,
    main: Callable[[list[str]], int | None] = stages,
) -> Run:
    """Start a run.

    Args:
        argv: Flags of ``python -m mgimm_plugin.train``.
        log: Where its output goes.
        ranks: Number of processes.
        before: Called in each process first; a function of a module, so that it can be sent.
        main: What is run, likewise; returns the exit status.
    """
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    processes = [
        CONTEXT.Process(target=_train, args=(list(map(str, argv)), rank, ranks, port, str(log), before, main))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    return Run(processes, log)


def _train(
    argv: list[str],
    rank: int,
    ranks: int,
    port: int,
    log: str,
    before: Callable[[], None] | None,
    main: Callable[[list[str]], int | None],
) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    faulthandler.dump_traceback_later(HANGS_AFTER * 0.8)  # where ranks wait for each other, the log says where
    if ranks > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(ranks),
            LOCAL_WORLD_SIZE=str(ranks),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
        )
    if before is not None:
        before()
    sys.exit(main(argv))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
