"""Tiny models that many tests share, built once a session; nothing here reaches the network."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

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
