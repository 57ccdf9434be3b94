"""Two nodes played on one machine, by the scripts and variables that are used on a cluster, follow a single process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.conftest import losses
from tests.train.launch import HANGS_AFTER

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "playground" / "examples"
TINY = {  # beside the scripts' settings for real models; what comes last wins
    **{"--bf16": False, "--tf32": False, "--gradient_checkpointing": False, "--dataloader_num_workers": 0},
    **{"--lr_scheduler_type": "linear", "--warmup_steps": 0, "--group_by_image": False, "--mm_projector_lr": 4e-3},
    **{"--group_by_modality_length": False, "--gradient_accumulation_steps": 1, "--per_device_train_batch_size": 2},
}


def on_two_nodes(script, *flags, outputs=("", ""), **variables):
    """Run a script once a node; returns exit codes and what was printed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    common = {
        **{**os.environ, "OMP_NUM_THREADS": "1", "NNODES": "2", "NPROC": "1", "VIRTUAL_ENV": sys.prefix},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}",
        **{name: str(value) for name, value in variables.items()},
    }
    nodes = [
        subprocess.Popen(
            ["bash", str(ROOT / "scripts" / script), *map(str, flags), *map(str, outputs[rank])],
            env={**common, "NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [node.communicate(timeout=HANGS_AFTER)[0] for node in nodes]
    return [node.returncode for node in nodes], "\n".join(printed)


@pytest.mark.slow
def test_both_stages_on_two_nodes_follow_one_process(bench, train, region_run, tmp_path):
    tiny = [part for pair in TINY.items() for part in pair]
    variables = {"DATA_PATH": bench.mixed_data, "IMAGE_FOLDER": bench.data}
    region = bench.region_flags(tmp_path / "region", data_path=bench.mixed_data)
    codes, printed = on_two_nodes("finetune_region.sh", *region, *tiny, **variables)
    assert codes == [0, 0], printed
    assert losses(tmp_path / "region") == pytest.approx(losses(region_run), rel=1e-3)

    expected = tmp_path / "expected"
    train(bench.image_flags(region_run, expected, data_path=bench.mixed_data, lora_dropout=0))
    image = bench.image_flags(region_run, tmp_path / "image", data_path=bench.mixed_data, lora_dropout=0)
    codes, printed = on_two_nodes("finetune_image.sh", *image, *tiny, **variables)
    assert codes == [0, 0], printed
    assert losses(tmp_path / "image") == pytest.approx(losses(expected), rel=1e-3)


@pytest.mark.slow
def test_nodes_without_a_common_output_folder_are_told_so_before_training(bench, tmp_path):
    tiny = [part for pair in TINY.items() for part in pair]
    outputs = [("--output_dir", tmp_path / str(rank)) for rank in range(2)]
    codes, printed = on_two_nodes(
        "finetune_region.sh", *bench.region_flags(tmp_path), *tiny, outputs=outputs, DATA_PATH=bench.region_data
    )
    assert 0 not in codes
    assert "has to be on a file system that all nodes share" in printed
    assert "train/trainer.py" not in printed  # no traceback of ours


@pytest.mark.slow
def test_evaluation_on_two_nodes_answers_every_record(tmp_path):
    data = tmp_path / "data.jsonl"
    lines = (IMAGES / "examples.jsonl").read_text().splitlines()[:6]
    data.write_text("\n".join(lines) + "\n")
    flags = ("--device", "cpu", "--batch-size", "2", "--max-new-tokens", "8")
    codes, printed = on_two_nodes("evaluate.sh", *flags, DATA=data, IMAGES=IMAGES, OUTPUT=tmp_path / "run")
    assert codes == [0, 0], printed
    for name in ("blank_image", "tuned"):
        rows = [json.loads(line) for line in (tmp_path / "run" / name / "predictions.jsonl").read_text().splitlines()]
        assert [row["index"] for row in rows] == list(range(6))
        assert list((tmp_path / "run" / name).glob("predictions.*")) == [tmp_path / "run" / name / "predictions.jsonl"]
    assert printed.count("6 of 6 records answered") == 2
