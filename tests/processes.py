"""Programs that serve until they are stopped."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

_PATIENCE = 300


@contextmanager
def started(*arguments, cwd, **environment):
    """Run ``python ARGUMENTS`` until the block ends; yields the address that the program says it serves at."""
    process = subprocess.Popen(
        [sys.executable, "-u", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ended = threading.Timer(_PATIENCE, process.kill)  # a program that never says it would be waited for without end
    ended.start()
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "running on" in line.lower() and (address := re.search(r"https?://[\w.:]+", line)):
                yield address[0]
                return
        raise AssertionError("it ended without an address: " + "".join(said))
    finally:
        ended.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
