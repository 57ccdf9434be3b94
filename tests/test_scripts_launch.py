"""What the training scripts start on machines of several kinds: the command itself is caught, and not run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CATCH = """#!/bin/sh
[ "$1" = -c ] && exec "$PYTHON" "$@"
printf '%s\\0' "GPUs ${CUDA_VISIBLE_DEVICES-all}" "$@"
"""


@pytest.fixture
def launched(tmp_path):
    """Run a script; returns the GPUs that training sees, and its flags."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("python", "torchrun"):
        (programs / name).write_text(CATCH)
        (programs / name).chmod(0o755)
    done = tmp_path / "sample" / "test" / "image.jsonl"
    done.parent.mkdir(parents=True)
    done.touch()

    def run(script, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"} | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": sys.prefix,
            "PYTHON": sys.executable,
            "SAMPLE": str(tmp_path / "sample"),
            **{name: str(value) for name, value in variables.items()},
        }
        command = ["bash", str(ROOT / "scripts" / script)]
        result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        gpus, *arguments = result.stdout.rstrip("\0").split("\0")
        return gpus, arguments

    return run


@pytest.mark.parametrize("script", ["finetune_region.sh", "finetune_image.sh"])
@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({}, "GPUs 0"),
        ({"CUDA_VISIBLE_DEVICES": "3"}, "GPUs 3"),
        ({"CUDA_VISIBLE_DEVICES": "3,5"}, "GPUs 3"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "GPUs "),
        ({"CUDA_VISIBLE_DEVICES": "3,5", "NPROC": "2"}, "GPUs 3,5"),
        ({"NPROC": "2"}, "GPUs all"),
        ({"DATA_PATH": "own.jsonl"}, "GPUs all"),  # refused there, with the ways to choose
    ],
)
def test_the_sample_is_trained_on_one_gpu_of_several_unless_the_user_says_otherwise(launched, script, variables, seen):
    assert launched(script, **variables)[0] == seen


def value_of(flag, arguments):
    return arguments[arguments.index(flag) + 1] if flag in arguments else None


@pytest.mark.parametrize("data", [{}, {"DATA_PATH": "own.jsonl"}])
def test_a_checkpoint_brings_its_own_tower_unless_the_user_names_one(launched, tmp_path, data):
    checkpoint = ROOT / "playground" / "mgimm-mini"
    assert value_of("--vision_tower", launched("finetune_region.sh", **data)[1])
    for script in ("finetune_region.sh", "finetune_image.sh"):
        assert value_of("--vision_tower", launched(script, MODEL=checkpoint, **data)[1]) is None
        moved = launched(script, MODEL=checkpoint, VISION_TOWER="moved/tower", **data)[1]
        assert value_of("--vision_tower", moved) == "moved/tower"


def values_of(flag, arguments):
    rest = arguments[arguments.index(flag) + 1 :]
    return rest[: next(place for place, word in enumerate(rest) if word.startswith("--"))]


@pytest.mark.parametrize("weight", ["", "@0.5"])
def test_data_paths_are_a_file_with_spaces_in_its_name_or_several_files(launched, tmp_path, weight):
    file = tmp_path / "my data" / "own records.jsonl"
    file.parent.mkdir()
    file.touch()
    _, arguments = launched("finetune_region.sh", DATA_PATH=f"{file}{weight}")
    assert values_of("--data_path", arguments) == [f"{file}{weight}"]
    _, arguments = launched(
        "finetune_image.sh", DATA_PATH=f"a.jsonl b.jsonl{weight}", REGION_DATA_PATH=f"{file}{weight}"
    )
    assert values_of("--data_path", arguments) == ["a.jsonl", f"b.jsonl{weight}"]
    assert values_of("--region_data_path", arguments) == [f"{file}{weight}"]


@pytest.mark.parametrize("script", ["finetune_region.sh", "finetune_image.sh"])
@pytest.mark.parametrize(
    ("capability", "expected"), [(None, "False"), ((7, 5), "False"), ((8, 0), "True"), ((9, 0), "True")]
)
def test_own_data_is_trained_in_bfloat16_where_the_gpu_has_it(launched, tmp_path, script, capability, expected):
    gpu = {"is_available": capability is not None, "get_device_capability": capability}
    lines = ["class cuda:", *(f"    {name} = lambda: {value}" for name, value in gpu.items())]
    (tmp_path / "torch.py").write_text("\n".join(lines))
    _, arguments = launched(script, DATA_PATH="own.jsonl", PYTHONPATH=tmp_path)
    assert (value_of("--bf16", arguments), value_of("--tf32", arguments)) == (expected, expected)
