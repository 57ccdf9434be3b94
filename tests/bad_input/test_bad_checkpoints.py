"""Checkpoints that are not whole: refused whoever opens them, with what is wrong, and nothing is half done."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import mgimm_plugin
from mgimm_plugin.errors import CheckpointError
from tests.bad_input.cases import failure, last_line, mgimm, record

FULL, ADAPTER, LORA = "model.safetensors", "mgimm_adapter.safetensors", "adapter_model.safetensors"
MARK = "mgimm_complete.json"


def cut(name, size=200):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def lose(name):
    return lambda folder: (folder / name).unlink()


def lose_tensor(name, part):
    def change(folder):
        weights = load_file(folder / name)
        weights.pop(next(key for key in weights if part in key))
        save_file(weights, folder / name, metadata={"format": "pt"})

    return change


def add_tensor(name):
    def change(folder):
        weights = load_file(folder / name) | {"stranger": torch.zeros(1)}
        save_file(weights, folder / name, metadata={"format": "pt"})

    return change


def configure(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


# Kind, whether it bears the mark of a whole folder (those that other programs copied or wrote do not), what happened
# to it, and what is said.
BROKEN = {
    "no weights": ("full", False, lose(FULL), "no weights here"),
    "weights cut short": ("full", False, cut(FULL), "cut short"),
    "weights cut short, marked as whole": ("full", True, cut(FULL), "model.safetensors has 200 bytes, "),
    "config gone, marked as whole": ("full", True, lose("config.json"), "config.json is missing"),
    "config gone": ("full", False, lose("config.json"), "config.json"),
    "mark cut short": ("full", True, cut(MARK, 20), MARK),
    "tensor missing": (
        "full",
        False,
        lose_tensor(FULL, "mm_projector.0.weight"),
        "missing model.mm_projector.0.weight",
    ),
    "tensor too many": ("adapter", False, add_tensor(ADAPTER), "unexpected stranger"),
    "buffer missing": ("adapter", False, lose_tensor(ADAPTER, "fourier"), "missing model.region_encoder."),
    "adapter cut short": ("adapter", False, cut(ADAPTER), "cut short"),
    "unknown model type": ("adapter", False, configure(model_type="gpt2"), "model_type 'gpt2', which is neither"),
    "base not there": ("adapter", False, configure(mm_base_model="nowhere/base"), "nowhere/base"),
    "LoRA without its weights": ("lora", False, lose(LORA), LORA),
    "LoRA without its adapter": ("lora", False, lose(ADAPTER), ADAPTER),
    "LoRA cut short": ("lora", False, cut(LORA), "cut short"),
    "LoRA tensor missing": ("lora", False, lose_tensor(LORA, "lora_A"), "missing "),
}


@pytest.fixture
def broken(checkpoints, tmp_path):
    """A checkpoint with something wrong, and what is said about it."""

    def build(case):
        kind, marked, spoil, problem = BROKEN[case]
        copy = checkpoints / f"broken-{tmp_path.name}"  # beside the others: bases are found relative to it
        shutil.copytree(checkpoints / kind, copy)
        spoil(copy)
        if not marked:
            (copy / MARK).unlink()
        return copy, problem

    return build


@pytest.mark.parametrize("case", BROKEN)
def test_a_checkpoint_that_is_not_whole_is_refused_and_what_is_wrong_is_named(describe, folder, broken, case):
    copy, problem = broken(case)
    result = describe(folder / "good.png", model=copy)
    line = failure(result)
    assert line.startswith("mgimm describe: ")
    assert not line.startswith("mgimm describe: unexpected ")  # that would be a defect, not an answer
    assert problem in line
    assert copy.name in line or "nowhere" in line
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_a_whole_checkpoint_of_each_kind_is_taken(describe, checkpoints, folder):
    for kind in ("full", "adapter", "lora"):
        assert describe(folder / "good.png", model=checkpoints / kind).exit_code == 0


def test_a_folder_that_is_not_there_is_named(describe, folder):
    assert "nowhere: no such folder" in failure(describe(folder / "good.png", model=folder / "nowhere"))


@pytest.mark.parametrize("case", ["tensor too many", "buffer missing"])
def test_a_model_that_refuses_a_checkpoint_is_as_it_was(tiny_loaded, broken, case):
    from mgimm_plugin.model.loading import load_adapter

    model = tiny_loaded.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy, problem = broken(case)
    with pytest.raises(CheckpointError, match=problem):
        load_adapter(model, copy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_llavas_own_loader_refuses_it_as_well(broken):
    mgimm_plugin.register()
    from llava.model.builder import load_pretrained_model

    copy, problem = broken("tensor missing")
    with pytest.raises(CheckpointError, match=problem):
        load_pretrained_model(str(copy), None, "llava-mgimm", device="cpu")


def test_nothing_is_written_when_a_broken_checkpoint_is_merged(broken, folder):
    copy, problem = broken("LoRA cut short")
    assert problem in failure(mgimm("merge-lora", copy, folder / "merged"))
    assert not (folder / "merged").exists()


@pytest.mark.parametrize("case", ["tensor too many", "weights cut short"])
def test_training_does_not_start_from_a_broken_checkpoint(train, broken, folder, case):
    copy, problem = broken(case)
    status, stderr = train([record()], start=copy)
    assert status == 1
    assert problem in last_line(stderr)
    assert not (folder / "run" / "config.json").exists()
