"""What a command brings along before it does its work, and how often it reads what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Runs a command in a process that notes the files of weights that are opened.
COMMAND = """
import json, sys
import safetensors
opened, real = [], safetensors.safe_open
safetensors.safe_open = lambda file, *args, **options: (opened.append(str(file)), real(file, *args, **options))[1]
from mgimm_plugin.cli import app
try:
    app(sys.argv[1:], prog_name="mgimm")
finally:
    print(json.dumps({"opened": opened, "modules": list(sys.modules)}))
"""


def run(*arguments):
    """Exit code, what the command printed, weight files it opened by folder and name, top-level and other modules."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    *printed, notes = result.stdout.splitlines()
    found = json.loads(notes)
    return printed, ["/".join(Path(file).parts[-2:]) for file in found["opened"]], set(found["modules"])


def test_describe_reads_tower_and_language_model_once_and_compiles_nothing():
    image = ROOT / "playground" / "examples" / "images" / "000000.jpg"
    printed, opened, modules = run("describe", str(image), "--box", "9,39,49,80", "--device", "cpu")
    assert printed[0].startswith("[9, 39, 49, 80] ")
    assert opened.count("mini-clip/model.safetensors") == 1
    assert opened.count("mini-llama/model.safetensors") == 1
    assert opened.count("mgimm-mini/mgimm_adapter.safetensors") == 1
    assert "torch" in modules
    assert not modules & {"torch._dynamo", "torch._inductor", "pandas", "sklearn", "scipy", "requests", "matplotlib"}
