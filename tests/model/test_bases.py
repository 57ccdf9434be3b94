"""Bases in every form that people have them in, found where the checkpoint says."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mgimm_plugin.model.folders import (
    COMPLETE_MARK,
)
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.saving import save_checkpoint
from tests.model.checkpoint_tree import ADAPTER, FULL, LORA, answers, fail


@pytest.mark.parametrize("kind", [ADAPTER, LORA])
def test_a_base_that_is_given_goes_before_the_one_that_is_named(copied_tree, kind):
    shutil.move(copied_tree.root / "bases" / "llm", copied_tree.root / "elsewhere")
    folder = copied_tree.checkpoint(kind)
    fail(folder, folder, "base language model ../../bases/llm is not there")
    tokenizer, model = load_model(folder, copied_tree.root / "elsewhere", device="cpu")[:2]
    assert answers(model, tokenizer) == copied_tree.answers[kind]


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
def test_bases_in_every_form_give_the_same_answers(copied_tree, rewrite):
    rewrite(copied_tree.root / "bases" / "llm")
    for kind in (ADAPTER, LORA):
        tokenizer, model = load_model(copied_tree.checkpoint(kind), device="cpu")[:2]
        assert answers(model, tokenizer) == copied_tree.answers[kind]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_missing_or_cut_part_of_a_base_is_named(copied_tree, suffix):
    base = copied_tree.root / "bases" / "llm"
    shard(base, suffix)
    part = next(base.glob(f"*-00002-of-00002.{suffix}"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    fail(copied_tree.checkpoint(ADAPTER), base)
    part.unlink()
    fail(copied_tree.checkpoint(ADAPTER), base, part.name)


class _Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_code_in_a_bin_file_is_not_run(copied_tree, tmp_path):
    base = copied_tree.root / "bases" / "llm"
    tensors = load_file(base / "model.safetensors")
    (base / "model.safetensors").unlink()
    torch.save({**tensors, "bomb": _Bomb(tmp_path / "exploded")}, base / "pytorch_model.bin")
    fail(copied_tree.checkpoint(ADAPTER), base)
    (base / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(tmp_path / "exploded")))
    fail(copied_tree.checkpoint(ADAPTER), base)
    (base / "pytorch_model.bin").write_bytes(b"")
    fail(copied_tree.checkpoint(ADAPTER), base)
    assert not (tmp_path / "exploded").exists()


def test_a_base_with_tokenizer_model_only_will_do(copied_tree):
    from tests.tiny import build_sentencepiece

    build_sentencepiece(copied_tree.root / "pieces")
    base, folder = copied_tree.root / "bases" / "llm", copied_tree.checkpoint(ADAPTER)
    for place in (base, folder):
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (place / name).unlink(missing_ok=True)
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(copied_tree.root / "pieces" / name, base)
    (folder / COMPLETE_MARK).unlink()
    tokenizer = load_model(folder, device="cpu").tokenizer
    assert "".join(tokenizer("A large").tokens()) == "<s>▁A▁large"
    assert tokenizer.pad_token == "<unk>"


def test_sampling_settings_of_a_base_do_not_keep_a_model_from_being_saved(copied_tree):
    """Vicuna's ``generation_config.json`` has a temperature and no ``do_sample``."""
    base = copied_tree.root / "bases" / "llm"
    (base / "generation_config.json").write_text(json.dumps({"temperature": 0.9, "top_p": 0.6, "max_length": 4096}))
    tokenizer, model = load_model(copied_tree.checkpoint(LORA), device="cpu")[:2]
    save_checkpoint(model, tokenizer, copied_tree.root / "runs" / "merged", FULL)
    tokenizer, model = load_model(copied_tree.root / "runs" / "merged", device="cpu")[:2]
    assert answers(model, tokenizer) == copied_tree.answers[LORA]
