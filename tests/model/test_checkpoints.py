"""Checkpoints of the three kinds: what comes back is what was saved."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import mgimm_plugin
from mgimm_plugin.model.folders import (
    COMPLETE_MARK,
    LORA_CONFIG,
    checkpoint_kind,
    partial_name,
)
from mgimm_plugin.model.loading import is_mgimm_folder, load_model
from mgimm_plugin.model.saving import save_checkpoint
from tests.model.checkpoint_tree import ADAPTER, FULL, KINDS, LORA, SETTINGS, WEIGHTS, answers, build_tree


def test_answers_of_the_kinds_differ(checkpoint_tree):
    assert len({tuple(texts) for texts in checkpoint_tree.answers.values()}) == len(KINDS)
    assert all(len(set(texts)) == 2 for texts in checkpoint_tree.answers.values())


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_model_says_what_the_saved_one_said(checkpoint_tree, kind):
    folder = checkpoint_tree.checkpoint(kind)
    assert checkpoint_kind(folder) is kind
    assert is_mgimm_folder(folder)
    tokenizer, model, image_processor, context = load_model(folder, device="cpu")
    assert answers(model, tokenizer) == checkpoint_tree.answers[kind]
    assert (context, model.training, model.dtype) == (512, False, torch.float32)
    assert image_processor.crop_size["height"] == 56


@pytest.mark.parametrize("kind", KINDS)
def test_llavas_loader_loads_every_kind_without_being_told_the_base(checkpoint_tree, kind):
    mgimm_plugin.register()
    from llava.model.builder import load_pretrained_model

    loaded = load_pretrained_model(str(checkpoint_tree.checkpoint(kind)), None, "some-name", device="cpu")
    assert len(loaded) == 4
    assert answers(loaded[1], loaded[0]) == checkpoint_tree.answers[kind]
    assert loaded[2] is not None


def test_transformers_own_loader_takes_a_full_checkpoint(checkpoint_tree):
    mgimm_plugin.register()
    model = AutoModelForCausalLM.from_pretrained(checkpoint_tree.checkpoint(FULL), dtype=torch.float32).eval()
    model.get_vision_tower().load_model()
    assert (
        answers(model, load_model(checkpoint_tree.checkpoint(FULL), device="cpu").tokenizer)
        == checkpoint_tree.answers[FULL]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_stay_exact_in_half_precision(checkpoint_tree, kind):
    exact = (
        load_model(checkpoint_tree.checkpoint(kind), device="cpu")
        .model.get_model()
        .region_encoder.box_encoder.fourier_matrix
    )
    model = load_model(checkpoint_tree.checkpoint(kind), device="cpu", dtype=torch.bfloat16).model
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.get_model().region_encoder.box_encoder.fourier_matrix, exact)


def test_lora_may_stay_apart(checkpoint_tree):
    from peft import PeftModel

    tokenizer, model = load_model(checkpoint_tree.checkpoint(LORA), device="cpu", merge=False)[:2]
    assert isinstance(model, PeftModel)
    assert answers(model, tokenizer) == checkpoint_tree.answers[LORA]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_that_is_moved_still_finds_its_bases(checkpoint_tree, tmp_path, monkeypatch, kind):
    shutil.copytree(checkpoint_tree.root, tmp_path / "other" / "place")
    hidden = checkpoint_tree.root.with_name("hidden")
    checkpoint_tree.root.rename(hidden)
    try:
        monkeypatch.chdir(tmp_path / "other")
        tokenizer, model = load_model(f"place/runs/{kind}", device="cpu")[:2]
    finally:
        hidden.rename(checkpoint_tree.root)
    assert answers(model, tokenizer) == checkpoint_tree.answers[kind]
    assert str(tmp_path) in model.config.mm_vision_tower


@pytest.mark.parametrize("kind", KINDS)
def test_config_describes_the_model(checkpoint_tree, kind):
    config = json.loads((checkpoint_tree.checkpoint(kind) / "config.json").read_text())
    assert config["model_type"] == "mgimm_llama"
    wanted = {
        "mm_region_encoder": "interactive_roi_biased",
        "mm_region_depth": SETTINGS.mm_region_depth,
        "mm_region_heads": SETTINGS.mm_region_heads,
        "mm_region_mlp_dim": SETTINGS.mm_region_mlp_dim,
        "mm_region_tokens": 2,
        "mm_region_seed": SETTINGS.mm_region_seed,
        "mm_conversation_template": "mgimm_v1",
        "mm_vision_tower": "../../bases/tower",
        "image_aspect_ratio": "pad",
        "mm_hidden_size": 32,
        "use_cache": True,
    }
    assert {key: config.get(key) for key in wanted} == wanted
    assert config.get("mm_base_model") == (None if kind is FULL else "../../bases/llm")
    assert str(checkpoint_tree.root) not in (checkpoint_tree.checkpoint(kind) / "config.json").read_text()
    if kind is LORA:
        assert str(checkpoint_tree.root) not in (checkpoint_tree.checkpoint(kind) / LORA_CONFIG).read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_hold_what_they_need_and_no_vision_tower(checkpoint_tree, kind):
    files = {file.name for file in checkpoint_tree.checkpoint(kind).iterdir()}
    wanted = {"config.json", COMPLETE_MARK, "tokenizer.json", *(name for k, name in WEIGHTS if k is kind)}
    assert wanted <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth"))]
    for k, name in WEIGHTS:
        if k is kind:
            assert not [
                tensor for tensor in load_file(checkpoint_tree.checkpoint(kind) / name) if "vision_tower" in tensor
            ]
    assert not list(checkpoint_tree.root.rglob(".partial"))


@pytest.mark.parametrize("kind", KINDS)
def test_saving_over_a_checkpoint_replaces_it(copied_tree, kind):
    from mgimm_plugin.model.lora import without_lora

    folder = copied_tree.checkpoint(kind)
    tokenizer, model = load_model(folder, device="cpu", merge=False)[:2]
    with torch.no_grad():
        without_lora(model).get_model().mm_projector[0].weight.mul_(-1)
    wanted = answers(model, tokenizer)
    save_checkpoint(model, tokenizer, folder, kind)
    tokenizer, model = load_model(folder, device="cpu")[:2]
    assert answers(model, tokenizer) == wanted != copied_tree.answers[kind]


@pytest.mark.parametrize(("before", "after"), [(ADAPTER, FULL), (LORA, ADAPTER), (FULL, LORA)])
def test_another_kind_saved_into_a_run_folder_takes_the_place_of_the_first(copied_tree, before, after):
    folder = copied_tree.checkpoint(before)
    (folder / "notes.txt").write_text("the user's own")
    tokenizer, model = load_model(copied_tree.checkpoint(after), device="cpu", merge=False)[:2]
    save_checkpoint(model, tokenizer, folder, after)
    assert checkpoint_kind(folder) is after
    tokenizer, model = load_model(folder, device="cpu")[:2]
    assert answers(model, tokenizer) == copied_tree.answers[after]
    assert (folder / "notes.txt").is_file()
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


def test_a_run_folder_is_written_from_within(tmp_path):
    """What is around it may be another file system."""
    run = tmp_path / "run"
    assert partial_name(run).parent.parent == tmp_path
    run.mkdir()
    assert partial_name(run).is_relative_to(run)
    for _ in range(2):  # one that a killed run has left there changes nothing
        assert partial_name(run / "checkpoint-5") == run / ".partial" / "checkpoint-5"
        (run / "checkpoint-5").mkdir(exist_ok=True)


def test_tied_embeddings_come_back(tmp_path):
    tied = build_tree(tmp_path, "qwen2", (FULL, ADAPTER), bos=False, tie_word_embeddings=True)
    for kind in (FULL, ADAPTER):
        tokenizer, model = load_model(tied.checkpoint(kind), device="cpu")[:2]
        assert model.lm_head.weight is model.get_input_embeddings().weight
        assert answers(model, tokenizer) == tied.answers[kind]
