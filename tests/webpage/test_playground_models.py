"""The page over checkpoints of one's own, over one that is still being loaded, and started as a program."""

import os
import re
import socket
import threading
import weakref
from html import escape
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import torch

pytest.importorskip("gradio_image_annotation")

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.folders import CheckpointKind
from mgimm_plugin.model.saving import save_checkpoint
from mgimm_plugin.region_settings import RegionSettings
from mgimm_plugin.webpage import models
from mgimm_plugin.webpage.models import ModelShelf, Options
from tests.model.checkpoint_tree import SETTINGS as REGIONS
from tests.model.checkpoint_tree import scramble
from tests.processes import started
from tests.tiny import build_loaded
from tests.webpage.conftest import client_of, drawing, serving, wait_for_loading

ROOT = Path(__file__).resolve().parents[2]
BOX = (9, 39, 49, 80)


@pytest.fixture(scope="module")
def checkpoints(tiny_llm, tiny_tower, tmp_path_factory):
    """Folders of two models with regions, which answer differently, and of one without."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"first": REGIONS, "second": REGIONS, "whole": RegionSettings(mm_region_encoder="none")}
    for name, regions in settings.items():
        tokenizer, model, *_ = build_loaded(tiny_llm("llama"), tiny_tower, regions)
        if name == "second":
            scramble(model, "model.layers", 0.2)
        save_checkpoint(model, tokenizer, root / name, CheckpointKind.FULL)
    return [root / name for name in settings]


@pytest.fixture(scope="module")
def client(checkpoints, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("kept"), *checkpoints) as (_, address):
        yield client_of(address)


def settings(model):
    return (model, "auto", "auto", 0, 1, 12)


def words(told):
    """The description without its markup."""
    return " ".join(re.sub(r"<sup.*?</sup>|<[^>]+>", "", told).split())


def described(client, model, boxes=(BOX,)):
    told = client.predict(drawing(boxes), True, *settings(model), api_name="/describe_image")
    assert 'class="mg-sentence' in told
    return told


def test_two_checkpoints_stand_side_by_side(client):
    left, right = client.predict(drawing([BOX]), "second", *settings("first"), api_name="/compare")
    assert left != right
    assert [words(described(client, name)) for name in ("first", "second")] == [
        " ".join(escape(text).split()) for text in (left, right)
    ]


def test_a_checkpoint_without_regions_describes_the_image(client):
    assert words(described(client, "whole", boxes=()))
    assert words(described(client, "whole")) == words(described(client, "whole", boxes=())), "boxes are left out"
    with pytest.raises(Exception, match="takes no regions"):
        client.predict(drawing([BOX]), *settings("whole"), api_name="/describe_regions")


@pytest.fixture
def held(monkeypatch):
    """Loading a model waits until this is set."""
    let_go, load = threading.Event(), models.load_predictor

    def wait_and_load(*arguments, **options):
        assert let_go.wait(60)
        return load(*arguments, **options)

    monkeypatch.setattr(models, "load_predictor", wait_and_load)
    yield let_go
    let_go.set()


def test_the_page_is_there_before_its_model(checkpoints, tmp_path, held):
    with serving(tmp_path, checkpoints[0]) as (_, address):
        page = httpx.get(address, timeout=60)
        assert page.status_code == 200
        for part in ("MGIMM playground", "Describe regions", "Describe image"):
            assert part in page.text
        job = client_of(address).submit(drawing([]), True, *settings("first"), api_name="/describe_image")
        asked = iter(job)
        assert "first is being loaded" in next(asked)
        held.set()
        assert 'class="mg-sentence' in list(asked)[-1]


@pytest.mark.parametrize(
    ("names", "device", "told"),
    [
        ((), "cuda:99", "there is no (CUDA device|device cuda:99) here"),
        ((), "bogus", "no device 'bogus'"),
        (("broken",), "cpu", "ZeroDivisionError"),
    ],
)
def test_a_first_model_that_cannot_be_loaded_is_one_line_of_the_log(tmp_path, caplog, capfd, names, device, told):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "mgimm_llama", "num_attention_heads": 0}')
        (tmp_path / name / "model.safetensors").touch()
    ModelShelf([str(tmp_path / name) for name in names], device=device).warm_up()
    wait_for_loading()
    (record,) = caplog.records
    assert re.search(told, record.getMessage())
    assert "\n" not in record.getMessage()
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def gpu(monkeypatch):
    """Memory for so many models as its ``room`` says; ``taken`` has those that are in it."""
    room, taken, load = SimpleNamespace(room=2), weakref.WeakSet(), models.load_predictor

    def move(*arguments, **options):
        loaded = load(*arguments, **options)
        taken.add(loaded[0].model)
        if len(taken) > room.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loaded

    monkeypatch.setattr(models, "load_predictor", move)
    room.taken = taken
    return room


def test_a_model_that_does_not_fit_beside_another_takes_its_place(checkpoints, gpu):
    shelf = ModelShelf([str(folder) for folder in checkpoints], device="cpu")
    shelf.get(Options("first"))
    gpu.room = 1
    for name in ("second", "first"):
        assert list(shelf.loading(Options(name)))
        assert set(gpu.taken) == {shelf.get(Options(name)).model}


def test_a_model_that_answers_somebody_is_found_again_where_another_could_not_take_its_place(checkpoints, gpu):
    shelf = ModelShelf([str(folder) for folder in checkpoints], device="cpu")
    gpu.room = 1
    in_use = shelf.get(Options("first"))
    with pytest.raises(MgimmError, match="too small for second now"):
        shelf.get(Options("second"))
    assert shelf.get(Options("first")) is in_use


def test_a_model_that_does_not_fit_at_all_is_said_and_leaves_nothing(checkpoints, gpu):
    shelf = ModelShelf([str(folder) for folder in checkpoints], device="cpu")
    gpu.room = 0
    with pytest.raises(MgimmError, match="the GPU's memory is too small for first now: take a smaller model"):
        shelf.get(Options("first"))
    assert not gpu.taken


def test_the_program_of_a_checkout_serves_the_page_at_the_port_that_is_asked_for(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = (ROOT / "playground" / "app.py", "--port", port, "--corrections", tmp_path / "corrections.jsonl")
    with started(*program, cwd=tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'patches'}") as address:
        assert address == f"http://127.0.0.1:{port}"
        page = httpx.get(address, timeout=60)
    assert page.status_code == 200
    assert "MGIMM playground" in page.text
