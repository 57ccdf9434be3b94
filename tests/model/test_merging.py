"""Merging LoRA weights, or an adapter, into one full folder."""

import shutil

import pytest

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.folders import CheckpointKind, checkpoint_kind
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.merging import merge_lora
from tests.model.checkpoint_tree import answers


@pytest.mark.parametrize("kind", [CheckpointKind.LORA, CheckpointKind.ADAPTER])
def test_merged_model_says_what_its_parts_said_and_needs_no_base(checkpoint_tree, tmp_path, kind):
    root = shutil.copytree(checkpoint_tree.root, tmp_path / "tree")
    merged = merge_lora(root / "runs" / kind.value, root / "merged" / "deep")
    assert checkpoint_kind(merged) is CheckpointKind.FULL
    shutil.rmtree(root / "bases" / "llm")
    shutil.rmtree(root / "runs")
    tokenizer, model = load_model(merged, device="cpu")[:2]
    assert answers(model, tokenizer) == checkpoint_tree.answers[kind]


def test_an_output_folder_with_something_in_it_is_left_alone(checkpoint_tree, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(CheckpointError, match="is not empty"):
        merge_lora(checkpoint_tree.checkpoint(CheckpointKind.LORA), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_output_folder_will_do(checkpoint_tree, tmp_path):
    merge_lora(checkpoint_tree.checkpoint(CheckpointKind.LORA), tmp_path)
    assert checkpoint_kind(tmp_path) is CheckpointKind.FULL


def test_a_full_checkpoint_has_nothing_to_merge(checkpoint_tree, tmp_path):
    with pytest.raises(CheckpointError, match="is a full checkpoint already"):
        merge_lora(checkpoint_tree.checkpoint(CheckpointKind.FULL), tmp_path / "out")
    assert not (tmp_path / "out").exists()
