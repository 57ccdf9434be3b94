"""What a run is to read is looked at before anything is loaded."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def said(fail, flags) -> str:
    """The one line of a run that fails."""
    status, printed = fail(flags)
    assert status == 1
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


def without_model(bench, tmp_path, **more):
    """Flags that name a model which is not there: what is said first was looked at before."""
    return bench.region_flags(tmp_path / "run", **{"model_name_or_path": "no/such-model", **more})


def test_data_are_looked_at_before_the_model(bench, fail, tmp_path):
    images = tmp_path / "images"
    (tmp_path / "empty.jsonl").touch()
    for changes, words in (
        ({"data_path": "missing.jsonl", "image_folder": images}, "missing.jsonl: cannot be read"),
        ({"data_path": [bench.region_data, "missing.jsonl@0.5"]}, "missing.jsonl: cannot be read"),
        ({"data_path": tmp_path / "empty.jsonl"}, "empty.jsonl: holds no records"),
        ({"eval_data_path": "missing.jsonl"}, "missing.jsonl: cannot be read"),
        ({"stage": "image", "region_data_path": "missing.jsonl"}, "missing.jsonl: cannot be read"),
        ({"image_folder": images}, f"the image folder {images} does not exist"),
        ({"image_folder": bench.region_data}, f"the image folder {bench.region_data} is a file"),
    ):
        assert words in said(fail, without_model(bench, tmp_path, **changes))


def test_image_of_the_first_record_is_looked_for_before_the_model(bench, fail, tmp_path):
    record = json.loads(bench.region_data.read_text().splitlines()[0])
    printed = said(fail, without_model(bench, tmp_path, image_folder=tmp_path))
    assert f"file {bench.region_data}, index 0, record {record['id']}, field image" in printed
    assert f"image {tmp_path / record['image']} does not exist; --image_folder is {tmp_path}" in printed
    # Where bad records are left out, the first one may be among them.
    assert "no/such-model" in said(fail, without_model(bench, tmp_path, image_folder=tmp_path, on_error="skip"))


def test_image_stage_without_a_region_checkpoint_says_how_to_make_one(bench, fail, tmp_path):
    printed = said(fail, bench.image_flags("runs/no-such-region", tmp_path / "run"))
    assert "runs/no-such-region: no such folder, and not to be had from the Hub" in printed
    assert "run scripts/finetune_region.sh first, or set MODEL=" in printed


def test_a_tower_of_another_kind_is_said_to_be_one(bench, fail, region_run, tmp_path):
    fresh = bench.region_flags(tmp_path / "run", vision_tower=bench.llm)
    from_checkpoint = bench.image_flags(region_run, tmp_path / "run", vision_tower=bench.llm)
    for flags in (fresh, from_checkpoint):
        assert f"vision tower {bench.llm}: is a llama, not a CLIP vision tower" in said(fail, flags)


@pytest.fixture
def unanswering_hub():
    """Address of a Hub that hangs up, and how often it was asked."""
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed in the end
                    return
                asked.append(1)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)


def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(bench, tmp_path, unanswering_hub):
    address, asked = unanswering_hub
    flags = bench.region_flags(tmp_path / "run", model_name_or_path="nothere")
    environment = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}",
    }
    command = [sys.executable, "-m", "mgimm_plugin.train", *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nothere: no such folder, and not to be had from the Hub")
    assert done.stderr.count("\n") == 1
    assert len(asked) <= 2  # transformers alone asks six times for a file
