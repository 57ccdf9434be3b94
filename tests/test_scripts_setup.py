"""What the setup script says when everything is installed; nothing is installed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = """#!/bin/sh
case "$*" in
  *"pip install"*|*"import llava"*) exit 0 ;;
  *unusable_gpus*) for code; do :; done; exec "$PYTHON" -c "$DRIVER
$code" ;;
esac
exec "$PYTHON" "$@"
"""
OLD_DRIVER = """import torch
def refuse(): raise RuntimeError("driver too old")
torch.cuda.is_available, torch.cuda.device_count, torch.cuda.init = lambda: False, lambda: 1, refuse
"""


@pytest.mark.parametrize(("driver", "is_told"), [("", False), (OLD_DRIVER, True)])
def test_gpus_that_torch_cannot_use_are_told_at_the_end(tmp_path, driver, is_told):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("python", PYTHON), ("uv", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(tmp_path),
        "PYTHON": sys.executable,
        "DRIVER": driver,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "patches")]),
    }
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/setup.sh")], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert ("setup: the GPUs here cannot be used by torch" in done.stdout) == is_told
    assert f"setup: done; {programs}/mgimm" in done.stdout
