"""What is wrong with a checkpoint is named; nothing is loaded partially."""

import json
import os
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.folders import (
    COMPLETE_MARK,
    LORA_CONFIG,
)
from mgimm_plugin.model.loading import is_mgimm_folder, load_model
from tests.model.checkpoint_tree import ADAPTER, FULL, KINDS, LORA, WEIGHTS, answers, fail


def change(file, edit, *, keep_mark=False):
    """Rewrite a safetensors file; without the mark, as in a folder that came from elsewhere."""
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    if not keep_mark:
        (file.parent / COMPLETE_MARK).unlink()


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_missing_tensor_is_named(copied_tree, kind, name):
    removed = []

    def remove(tensors):
        removed.append(sorted(tensors)[len(tensors) // 2])
        del tensors[removed[0]]

    file = copied_tree.checkpoint(kind) / name
    change(file, remove)
    fail(file.parent, "missing", removed[0], file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_run_does_not_go_on_from_a_part_of_its_weights(copied_tree, kind, name):
    folder, removed = copied_tree.checkpoint(kind), []
    model = load_model(folder, device="cpu", merge=False).model
    from mgimm_plugin.train.trainer import load_trained_weights  # LLaVA's trainer is mended by then

    change(folder / name, lambda tensors: removed.append(tensors.popitem()[0]))
    with pytest.raises(CheckpointError, match=f"missing .*{re.escape(removed[0])}"):
        load_trained_weights(model, folder, kind)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_tensor_too_many_is_named(copied_tree, kind, name):
    file = copied_tree.checkpoint(kind) / name
    change(file, lambda tensors: tensors.update({"model.layers.7.stranger": torch.zeros(2)}))
    fail(file.parent, "unexpected", "model.layers.7.stranger", file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_tensor_of_another_shape_is_named(copied_tree, kind, name):
    changed = []

    def widen(tensors):
        changed.append(sorted(tensors)[len(tensors) // 2])
        tensors[changed[0]] = torch.cat((tensors[changed[0]], tensors[changed[0]]))

    file = copied_tree.checkpoint(kind) / name
    change(file, widen)
    fail(file.parent, changed[0], file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_vision_tower_among_the_tensors_is_tolerated(copied_tree, kind, name):
    file = copied_tree.checkpoint(kind) / name
    change(file, lambda tensors: tensors.update({"model.vision_tower.vision_tower.x": torch.zeros(2)}))
    tokenizer, model = load_model(file.parent, device="cpu")[:2]
    assert answers(model, tokenizer) == copied_tree.answers[kind]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_file_that_was_cut_short_is_named(copied_tree, kind, name, marked):
    file = copied_tree.checkpoint(kind) / name
    os.truncate(file, file.stat().st_size // 2)
    if not marked:
        (file.parent / COMPLETE_MARK).unlink()
    fail(file.parent, file.parent, *([name] if kind is not FULL or marked else []), "cut short")


MISSING = [*WEIGHTS, (LORA, LORA_CONFIG), *((kind, "config.json") for kind in KINDS), (FULL, "tokenizer.json")]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("kind", "name"), MISSING)
def test_a_missing_file_is_named(copied_tree, kind, name, marked):
    folder = copied_tree.checkpoint(kind)
    (folder / name).unlink()
    if name == "tokenizer.json":
        (folder / "tokenizer_config.json").unlink()
    if not marked:
        (folder / COMPLETE_MARK).unlink()
    fail(folder, folder, "tokenizer" if name == "tokenizer.json" else name)


def test_a_missing_vision_tower_is_named(copied_tree):
    shutil.rmtree(copied_tree.root / "bases" / "tower")
    for kind in KINDS:
        fail(copied_tree.checkpoint(kind), copied_tree.checkpoint(kind), "vision tower ../../bases/tower is not there")


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json"])
def test_a_vision_tower_without_one_of_its_files_is_named(copied_tree, name):
    (copied_tree.root / "bases" / "tower" / name).unlink()
    fail(copied_tree.checkpoint(FULL), "vision tower", copied_tree.root / "bases" / "tower")


def lacks_a_layer(tensors):
    for name in [name for name in tensors if "layers.0." in name]:
        del tensors[name]


def has_other_names(tensors):
    for name in list(tensors):
        tensors[f"model.vision_tower.vision_tower.{name}"] = tensors.pop(name)


def is_wider(tensors):
    name = next(name for name in tensors if name.endswith("fc1.bias"))
    tensors[name] = torch.cat((tensors[name], tensors[name]))


@pytest.mark.parametrize("edit", [lacks_a_layer, has_other_names, is_wider])
def test_a_vision_tower_of_other_weights_is_named(copied_tree, edit):
    file = copied_tree.root / "bases" / "tower" / "model.safetensors"
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    fail(copied_tree.checkpoint(FULL), "vision tower", file.parent, "are missing or of another shape")


@pytest.mark.parametrize(("kind", "name"), [(FULL, COMPLETE_MARK), (LORA, LORA_CONFIG), (LORA, "tokenizer.json")])
def test_settings_that_are_no_json_are_named(copied_tree, kind, name):
    folder = copied_tree.checkpoint(kind)
    (folder / COMPLETE_MARK).unlink()
    (folder / name).write_text("{")
    fail(folder, folder, "tokenizer" if name == "tokenizer.json" else name)


def test_a_folder_that_was_not_written_to_the_end_is_refused(copied_tree):
    folder = copied_tree.checkpoint(ADAPTER)
    mark = folder / COMPLETE_MARK
    listed = json.loads(mark.read_text())
    listed["files"]["second_half.safetensors"] = 10
    mark.write_text(json.dumps(listed))
    fail(folder, folder, "second_half.safetensors is missing")


def test_folders_of_no_known_kind_are_refused(tmp_path, checkpoint_tree):
    fail(tmp_path, tmp_path, "no weights here")
    fail(tmp_path / "nowhere", "nowhere")
    fail(checkpoint_tree.checkpoint(FULL) / "config.json", "is a file")
    fail(checkpoint_tree.root / "bases" / "llm", "model_type 'llama'", "neither an MGIMM nor a LLaVA checkpoint")
    assert not is_mgimm_folder(checkpoint_tree.root / "bases" / "llm")
    assert not is_mgimm_folder(tmp_path)


def test_a_config_that_is_no_json_is_named(copied_tree):
    folder = copied_tree.checkpoint(FULL)
    (folder / COMPLETE_MARK).unlink()
    (folder / "config.json").write_text("{not json")
    fail(folder, folder, "config.json")
