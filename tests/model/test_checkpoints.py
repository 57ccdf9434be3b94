"""Checkpoints of the three kinds: what comes back is what was saved, or an error names what is wrong."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import mgimm_plugin
from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.folders import (
    ADAPTER_FILE,
    COMPLETE_MARK,
    LORA_CONFIG,
    LORA_FILE,
    CheckpointKind,
    checkpoint_kind,
)
from mgimm_plugin.model.loading import is_mgimm_folder, load_model
from mgimm_plugin.model.saving import save_checkpoint
from tests.model.checkpoint_tree import KINDS, SETTINGS, answers, build_tree

ADAPTER, LORA, FULL = CheckpointKind.ADAPTER, CheckpointKind.LORA, CheckpointKind.FULL
WEIGHTS = [(ADAPTER, ADAPTER_FILE), (LORA, ADAPTER_FILE), (LORA, LORA_FILE), (FULL, "model.safetensors")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return build_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def copied(tree, tmp_path):
    """A copy of the tree that a test may damage."""
    shutil.copytree(tree.root, tmp_path / "tree")
    return type(tree)(tmp_path / "tree", tree.answers)


def change(file, edit, *, keep_mark=False):
    """Rewrite a safetensors file; without the mark, as in a folder that came from elsewhere."""
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    if not keep_mark:
        (file.parent / COMPLETE_MARK).unlink()


def fail(folder, *parts):
    with pytest.raises(CheckpointError) as caught:
        load_model(folder, device="cpu")
    for part in parts:
        assert str(part) in str(caught.value), caught.value


def test_answers_of_the_kinds_differ(tree):
    assert len({tuple(texts) for texts in tree.answers.values()}) == len(KINDS)
    assert all(len(set(texts)) == 2 for texts in tree.answers.values())


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_model_says_what_the_saved_one_said(tree, kind):
    folder = tree.checkpoint(kind)
    assert checkpoint_kind(folder) is kind
    assert is_mgimm_folder(folder)
    tokenizer, model, image_processor, context = load_model(folder, device="cpu")
    assert answers(model, tokenizer) == tree.answers[kind]
    assert (context, model.training, model.dtype) == (512, False, torch.float32)
    assert image_processor.crop_size["height"] == 56


@pytest.mark.parametrize("kind", KINDS)
def test_llavas_loader_loads_every_kind_without_being_told_the_base(tree, kind):
    mgimm_plugin.register()
    from llava.model.builder import load_pretrained_model

    loaded = load_pretrained_model(str(tree.checkpoint(kind)), None, "some-name", device="cpu")
    assert len(loaded) == 4
    assert answers(loaded[1], loaded[0]) == tree.answers[kind]
    assert loaded[2] is not None


@pytest.mark.parametrize("kind", [ADAPTER, LORA])
def test_a_base_that_is_given_goes_before_the_one_that_is_named(copied, kind):
    shutil.move(copied.root / "bases" / "llm", copied.root / "elsewhere")
    folder = copied.checkpoint(kind)
    fail(folder, folder, "base language model ../../bases/llm is not there")
    tokenizer, model = load_model(folder, copied.root / "elsewhere", device="cpu")[:2]
    assert answers(model, tokenizer) == copied.answers[kind]


def test_transformers_own_loader_takes_a_full_checkpoint(tree):
    mgimm_plugin.register()
    model = AutoModelForCausalLM.from_pretrained(tree.checkpoint(FULL), dtype=torch.float32).eval()
    model.get_vision_tower().load_model()
    assert answers(model, load_model(tree.checkpoint(FULL), device="cpu").tokenizer) == tree.answers[FULL]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_stay_exact_in_half_precision(tree, kind):
    exact = load_model(tree.checkpoint(kind), device="cpu").model.get_model().region_encoder.box_encoder.fourier_matrix
    model = load_model(tree.checkpoint(kind), device="cpu", dtype=torch.bfloat16).model
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.get_model().region_encoder.box_encoder.fourier_matrix, exact)


def test_lora_may_stay_apart(tree):
    from peft import PeftModel

    tokenizer, model = load_model(tree.checkpoint(LORA), device="cpu", merge=False)[:2]
    assert isinstance(model, PeftModel)
    assert answers(model, tokenizer) == tree.answers[LORA]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_that_is_moved_still_finds_its_bases(tree, tmp_path, monkeypatch, kind):
    shutil.copytree(tree.root, tmp_path / "other" / "place")
    hidden = tree.root.with_name("hidden")
    tree.root.rename(hidden)
    try:
        monkeypatch.chdir(tmp_path / "other")
        tokenizer, model = load_model(f"place/runs/{kind}", device="cpu")[:2]
    finally:
        hidden.rename(tree.root)
    assert answers(model, tokenizer) == tree.answers[kind]
    assert str(tmp_path) in model.config.mm_vision_tower


@pytest.mark.parametrize("kind", KINDS)
def test_config_describes_the_model(tree, kind):
    config = json.loads((tree.checkpoint(kind) / "config.json").read_text())
    assert config["model_type"] == "mgimm_llama"
    wanted = {
        "mm_region_encoder": "interactive",
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
    assert str(tree.root) not in (tree.checkpoint(kind) / "config.json").read_text()
    if kind is LORA:
        assert str(tree.root) not in (tree.checkpoint(kind) / LORA_CONFIG).read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_hold_what_they_need_and_no_vision_tower(tree, kind):
    files = {file.name for file in tree.checkpoint(kind).iterdir()}
    wanted = {"config.json", COMPLETE_MARK, "tokenizer.json", *(name for k, name in WEIGHTS if k is kind)}
    assert wanted <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth"))]
    for k, name in WEIGHTS:
        if k is kind:
            assert not [tensor for tensor in load_file(tree.checkpoint(kind) / name) if "vision_tower" in tensor]
    assert not list(tree.root.rglob(".partial"))


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_missing_tensor_is_named(copied, kind, name):
    removed = []

    def remove(tensors):
        removed.append(sorted(tensors)[len(tensors) // 2])
        del tensors[removed[0]]

    file = copied.checkpoint(kind) / name
    change(file, remove)
    fail(file.parent, "missing", removed[0], file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_tensor_too_many_is_named(copied, kind, name):
    file = copied.checkpoint(kind) / name
    change(file, lambda tensors: tensors.update({"model.layers.7.stranger": torch.zeros(2)}))
    fail(file.parent, "unexpected", "model.layers.7.stranger", file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_tensor_of_another_shape_is_named(copied, kind, name):
    changed = []

    def widen(tensors):
        changed.append(sorted(tensors)[len(tensors) // 2])
        tensors[changed[0]] = torch.cat((tensors[changed[0]], tensors[changed[0]]))

    file = copied.checkpoint(kind) / name
    change(file, widen)
    fail(file.parent, changed[0], file.parent)


@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_vision_tower_among_the_tensors_is_tolerated(copied, kind, name):
    file = copied.checkpoint(kind) / name
    change(file, lambda tensors: tensors.update({"model.vision_tower.vision_tower.x": torch.zeros(2)}))
    tokenizer, model = load_model(file.parent, device="cpu")[:2]
    assert answers(model, tokenizer) == copied.answers[kind]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_file_that_was_cut_short_is_named(copied, kind, name, marked):
    file = copied.checkpoint(kind) / name
    os.truncate(file, file.stat().st_size // 2)
    if not marked:
        (file.parent / COMPLETE_MARK).unlink()
    fail(file.parent, file.parent, *([name] if kind is not FULL or marked else []), "cut short")


MISSING = [*WEIGHTS, (LORA, LORA_CONFIG), *((kind, "config.json") for kind in KINDS), (FULL, "tokenizer.json")]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("kind", "name"), MISSING)
def test_a_missing_file_is_named(copied, kind, name, marked):
    folder = copied.checkpoint(kind)
    (folder / name).unlink()
    if name == "tokenizer.json":
        (folder / "tokenizer_config.json").unlink()
    if not marked:
        (folder / COMPLETE_MARK).unlink()
    fail(folder, folder, "tokenizer" if name == "tokenizer.json" else name)


def test_a_missing_vision_tower_is_named(copied):
    shutil.rmtree(copied.root / "bases" / "tower")
    for kind in KINDS:
        fail(copied.checkpoint(kind), copied.checkpoint(kind), "vision tower ../../bases/tower is not there")


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json"])
def test_a_vision_tower_without_one_of_its_files_is_named(copied, name):
    (copied.root / "bases" / "tower" / name).unlink()
    fail(copied.checkpoint(FULL), "vision tower", copied.root / "bases" / "tower")


@pytest.mark.parametrize(("kind", "name"), [(FULL, COMPLETE_MARK), (LORA, LORA_CONFIG), (LORA, "tokenizer.json")])
def test_settings_that_are_no_json_are_named(copied, kind, name):
    folder = copied.checkpoint(kind)
    (folder / COMPLETE_MARK).unlink()
    (folder / name).write_text("{")
    fail(folder, folder, "tokenizer" if name == "tokenizer.json" else name)


def test_a_folder_that_was_not_written_to_the_end_is_refused(copied):
    folder = copied.checkpoint(ADAPTER)
    mark = folder / COMPLETE_MARK
    listed = json.loads(mark.read_text())
    listed["files"]["second_half.safetensors"] = 10
    mark.write_text(json.dumps(listed))
    fail(folder, folder, "second_half.safetensors is missing")


def test_folders_of_no_known_kind_are_refused(tmp_path, tree):
    fail(tmp_path, tmp_path, "no weights here")
    fail(tmp_path / "nowhere", "nowhere")
    fail(tree.checkpoint(FULL) / "config.json", "is a file")
    fail(tree.root / "bases" / "llm", "model_type 'llama'", "not an MGIMM checkpoint")
    assert not is_mgimm_folder(tree.root / "bases" / "llm")
    assert not is_mgimm_folder(tmp_path)


def test_a_config_that_is_no_json_is_named(copied):
    folder = copied.checkpoint(FULL)
    (folder / COMPLETE_MARK).unlink()
    (folder / "config.json").write_text("{not json")
    fail(folder, folder, "config.json")


@pytest.mark.parametrize("kind", KINDS)
def test_saving_over_a_checkpoint_replaces_it(copied, kind):
    from mgimm_plugin.model.lora import without_lora

    folder = copied.checkpoint(kind)
    tokenizer, model = load_model(folder, device="cpu", merge=False)[:2]
    with torch.no_grad():
        without_lora(model).get_model().mm_projector[0].weight.mul_(-1)
    wanted = answers(model, tokenizer)
    save_checkpoint(model, tokenizer, folder, kind)
    tokenizer, model = load_model(folder, device="cpu")[:2]
    assert answers(model, tokenizer) == wanted != copied.answers[kind]


def test_tied_embeddings_come_back(tmp_path):
    tree = build_tree(tmp_path, "qwen2", (FULL, ADAPTER), bos=False, tie_word_embeddings=True)
    for kind in (FULL, ADAPTER):
        tokenizer, model = load_model(tree.checkpoint(kind), device="cpu")[:2]
        assert model.lm_head.weight is model.get_input_embeddings().weight
        assert answers(model, tokenizer) == tree.answers[kind]


def shard(folder: Path, suffix: str) -> None:
    """Rewrite a folder's weights as two files and an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    names = [f"{stem}-0000{i}-of-00002.{suffix}" for i in (1, 2)]
    placed = {tensor: names[i % 2] for i, tensor in enumerate(tensors)}
    for name in names:
        part = {tensor: values for tensor, values in tensors.items() if placed[tensor] == name}
        if suffix == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": placed}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def as_bin(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "rewrite",
    [lambda folder: shard(folder, "safetensors"), lambda folder: shard(folder, "bin"), as_bin],
    ids=["sharded", "sharded bin", "bin"],
)
def test_bases_in_every_form_give_the_same_answers(copied, rewrite):
    rewrite(copied.root / "bases" / "llm")
    for kind in (ADAPTER, LORA):
        tokenizer, model = load_model(copied.checkpoint(kind), device="cpu")[:2]
        assert answers(model, tokenizer) == copied.answers[kind]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_missing_or_cut_part_of_a_base_is_named(copied, suffix):
    base = copied.root / "bases" / "llm"
    shard(base, suffix)
    part = next(base.glob(f"*-00002-of-00002.{suffix}"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    fail(copied.checkpoint(ADAPTER), base)
    part.unlink()
    fail(copied.checkpoint(ADAPTER), base, part.name)


class _Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_code_in_a_bin_file_is_not_run(copied, tmp_path):
    base = copied.root / "bases" / "llm"
    tensors = load_file(base / "model.safetensors")
    (base / "model.safetensors").unlink()
    torch.save({**tensors, "bomb": _Bomb(tmp_path / "exploded")}, base / "pytorch_model.bin")
    fail(copied.checkpoint(ADAPTER), base)
    (base / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(tmp_path / "exploded")))
    fail(copied.checkpoint(ADAPTER), base)
    (base / "pytorch_model.bin").write_bytes(b"")
    fail(copied.checkpoint(ADAPTER), base)
    assert not (tmp_path / "exploded").exists()


def test_a_base_with_tokenizer_model_only_will_do(copied):
    from tests.tiny import build_sentencepiece

    build_sentencepiece(copied.root / "pieces")
    base, folder = copied.root / "bases" / "llm", copied.checkpoint(ADAPTER)
    for place in (base, folder):
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (place / name).unlink(missing_ok=True)
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(copied.root / "pieces" / name, base)
    (folder / COMPLETE_MARK).unlink()
    tokenizer = load_model(folder, device="cpu").tokenizer
    assert "".join(tokenizer("A large").tokens()) == "<s>▁A▁large"
    assert tokenizer.pad_token == "<unk>"


def test_sampling_settings_of_a_base_do_not_keep_a_model_from_being_saved(copied):
    """Vicuna's ``generation_config.json`` has a temperature and no ``do_sample``."""
    base = copied.root / "bases" / "llm"
    (base / "generation_config.json").write_text(json.dumps({"temperature": 0.9, "top_p": 0.6, "max_length": 4096}))
    tokenizer, model = load_model(copied.checkpoint(LORA), device="cpu")[:2]
    save_checkpoint(model, tokenizer, copied.root / "runs" / "merged", FULL)
    tokenizer, model = load_model(copied.root / "runs" / "merged", device="cpu")[:2]
    assert answers(model, tokenizer) == copied.answers[LORA]
