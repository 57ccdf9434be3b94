"""Whether processes that work together see one folder, or each node has its own under the same name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mgimm_plugin.errors import MgimmError

_MARK = ".rank-{}"


def check_shared(folder: Path, rank: int, count: int, wait: Callable[[], object]) -> None:
    """Find out, before the work, whether all processes see one folder. All of them call it.

    Args:
        folder: Made where it is not there.
        rank: Number of this process, from 0.
        count: How many there are.
        wait: Returns when all processes have called it.

    Raises:
        MgimmError: They do not.
    """
    if count == 1:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(_MARK.format("*")):  # by a run that was killed here
        left.unlink(missing_ok=True)
    wait()
    own = folder / _MARK.format(rank)
    own.touch()
    wait()
    seen = len(list(folder.glob(_MARK.format("*"))))
    wait()
    own.unlink()
    if seen < count:
        raise MgimmError(
            f"{folder}: {seen} of {count} processes write here: the output folder has to be on a file system that all "
            "nodes share"
        )
