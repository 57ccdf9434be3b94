"""The list of records that ``on_error="skip"`` left out, and counters that worker processes share."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path

import torch
from torch.utils.data import get_worker_info

from mgimm_plugin.errors import RecordError

logger = logging.getLogger(__name__)

_WORKER_SLOTS = 256


class SharedCounter:
    """A count to which every data loader worker adds, in shared memory; one slot a worker, so that none is lost."""

    def __init__(self) -> None:
        self._slots = torch.zeros(_WORKER_SLOTS, dtype=torch.int64).share_memory_()

    def add(self, number: int) -> None:
        """Add to the slot of this process."""
        worker = get_worker_info()
        slot = 0 if worker is None else 1 + worker.id % (_WORKER_SLOTS - 1)
        self._slots[slot] += number

    @property
    def total(self) -> int:
        """The sum over all processes."""
        return int(self._slots.sum())


class SkipList:
    """A JSONL file that names each left-out record once, whichever processes, epochs and runs meet it.

    Args:
        path: The file, one ``{"file", "index", "id", "error"}`` a line; its folder is created.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._listed: set[tuple[str, int]] = set()
        self._read_to = 0

    def __len__(self) -> int:
        """Number of records listed, by whichever process."""
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as file:
            self._catch_up(file.fileno())
        return len(self._listed)

    def add(self, error: RecordError) -> None:
        """Append a record unless it is listed already."""
        entry = {"file": str(error.file), "index": error.index, "id": error.record, "error": str(error)}
        key = (str(error.file), -1 if error.index is None else error.index)
        if key in self._listed:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._catch_up(descriptor)
            if key in self._listed:
                return
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            # A file's name may be no UTF-8; the escape is read back as that name.
            os.write(descriptor, line.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)
        # Not every log takes such a name.
        logger.warning("left out: %s", str(error).encode("utf-8", "backslashreplace").decode("utf-8"))

    def _catch_up(self, descriptor: int) -> None:
        """Learn what other processes have listed since."""
        size = os.fstat(descriptor).st_size
        added = os.pread(descriptor, size - self._read_to, self._read_to)
        self._read_to = size
        for line in added.splitlines():
            entry = json.loads(line)
            self._listed.add((entry["file"], -1 if entry["index"] is None else entry["index"]))
