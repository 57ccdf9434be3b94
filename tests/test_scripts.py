"""The shell scripts, run as a user runs them, on a sample small enough for a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run_script(name, *flags, **variables):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        **{key: str(value) for key, value in variables.items()},
    }
    command = ["bash", str(ROOT / "scripts" / name), *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    common = {"SAMPLE": folder / "sample", "SAMPLE_TRAIN": 6, "SAMPLE_TEST": 2}
    quick = ("--max_steps", "2", "--per_device_train_batch_size", "4", "--report_to", "none", "--save_strategy", "no")
    region = run_script("finetune_region.sh", *quick, OUTPUT_DIR=folder / "region", **common)
    image = run_script("finetune_image.sh", *quick, MODEL=folder / "region", OUTPUT_DIR=folder / "image", **common)
    (folder / "stderr.txt").write_text(region.stderr + image.stderr)
    return folder


def test_both_stages_run_on_the_bundled_sample_without_arguments_and_write_their_kinds_of_checkpoint(stages):
    assert (stages / "region" / "mgimm_adapter.safetensors").is_file()
    assert not (stages / "region" / "adapter_config.json").exists()
    assert (stages / "image" / "adapter_model.safetensors").is_file()
    assert (stages / "image" / "mgimm_adapter.safetensors").is_file()


def test_training_does_not_pass_on_what_libraries_will_rename(stages):
    printed = (stages / "stderr.txt").read_text()
    assert "INFO: region stage: " in printed
    assert "FutureWarning" not in printed


def test_evaluation_of_both_stages_writes_scores_of_tuned_and_blank_for_both_tasks(stages):
    folders = {"region": "region", "image": "image", "data": "sample/test", "output": "run"}
    flags = [part for name, place in folders.items() for part in (f"--{name}", stages / place)]
    command = [sys.executable, "-m", "mgimm_plugin.evaluate.two_stages", *flags]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((stages / "run" / "metrics.json").read_text())
    captions = {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"}
    for name in ("tuned", "blank_image", "image_checkpoint"):
        assert captions | {"appearance_accuracy", "geometry_accuracy"} <= set(metrics["region"][name])
    for name in ("tuned", "blank_image"):
        assert captions <= set(metrics["image"][name])
    assert "<html" in (stages / "run" / "report.html").read_text()
    regions = len((stages / "sample" / "test" / "region.jsonl").read_text().splitlines())
    assert len((stages / "run" / "predictions.jsonl").read_text().splitlines()) == regions + 2


@pytest.mark.parametrize("script", ["finetune_region.sh", "finetune_image.sh"])
def test_help_says_variables_and_flags_and_draws_no_sample(tmp_path, script):
    printed = run_script(script, "--help", SAMPLE=tmp_path / "sample").stdout
    assert "Environment: DATA_PATH" in printed
    assert "usage: python -m mgimm_plugin.train" in printed
    assert "--mm_region_mlp_dim" in printed
    assert not (tmp_path / "sample").exists()


def test_a_missing_file_ends_a_script_with_status_1_and_one_line_that_names_it(tmp_path):
    environment = {
        **os.environ,
        "DATA_PATH": str(tmp_path / "none.jsonl"),
        "MODEL": str(ROOT / "playground" / "mini-llama"),
    }
    environment |= {"VISION_TOWER": str(ROOT / "playground" / "mini-clip"), "OUTPUT_DIR": str(tmp_path / "run")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["VIRTUAL_ENV"] = sys.prefix
    command = ["bash", str(ROOT / "scripts" / "finetune_region.sh"), "--report_to", "none"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "none.jsonl" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
