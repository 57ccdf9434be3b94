"""Tiny models that many tests share, built once a session; nothing here reaches the network."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_tower(tmp_path_factory) -> Path:
    from tests.tiny import build_tower

    return build_tower(tmp_path_factory.mktemp("tower"))


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a bare language model of a family."""
    from tests.tiny import build_llm

    folders: dict[str, Path] = {}

    def folder_of(family: str = "llama") -> Path:
        if family not in folders:
            # As in the world: Llama's and Mistral's tokenizers put a BOS token first, Phi's and Qwen's do not.
            has_bos = family in ("llama", "mistral")
            folders[family] = build_llm(tmp_path_factory.mktemp(family), family, bos=has_bos)
        return folders[family]

    return folder_of


@pytest.fixture(scope="session")
def tiny_loaded(tiny_llm, tiny_tower):
    """A Llama with region encoder, as ``load_model`` returns it; shared, so not to be changed."""
    from tests.tiny import build_loaded

    return build_loaded(tiny_llm("llama"), tiny_tower)


@pytest.fixture(scope="session")
def checkpoint_tree(tmp_path_factory):
    """Bases and a checkpoint of every kind; shared, so not to be changed."""
    from tests.model.checkpoint_tree import build_tree

    return build_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def copied_tree(checkpoint_tree, tmp_path):
    """A copy of the tree that a test may damage."""
    shutil.copytree(checkpoint_tree.root, tmp_path / "tree")
    return dataclasses.replace(checkpoint_tree, root=tmp_path / "tree")


_RESET = {layer: layer.reset_parameters for layer in (torch.nn.Linear, torch.nn.LayerNorm)}


@pytest.fixture(autouse=True)
def torch_initialises_layers():
    """LLaVA's programs switch torch's initialisation off for their whole process (`disable_torch_init`)."""
    for layer, reset in _RESET.items():
        layer.reset_parameters = reset
    yield
    for layer, reset in _RESET.items():
        layer.reset_parameters = reset


@pytest.fixture
def old_driver(monkeypatch):
    """A machine whose driver lists two GPUs, and is too old for this torch."""

    def refuse():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).\nPlease update it.")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", refuse)
