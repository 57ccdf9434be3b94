"""A CLIP tower and a Llama of a few thousand weights, and LLaVA checkpoints made of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mgimm_patches
import pytest

from tests.patches.tiny_llava import llama_settings, multimodal_settings

ROOT = Path(__file__).resolve().parents[2]
WORDS = "USER ASSISTANT : a an the in of on with white red large small airplane ship harbor field image region describe"


@pytest.fixture(scope="session", autouse=True)
def _patched() -> None:
    mgimm_patches.apply_all()


@pytest.fixture(autouse=True)
def _streams_and_logs(tmp_path: Path) -> Iterator[None]:
    """LLaVA's programs redirect the streams and write logs where they are started."""
    streams, folder = (sys.stdout, sys.stderr), Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(folder)
    sys.stdout, sys.stderr = streams


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a piece of code in a fresh process; the patches are on the path but not applied."""

    def run(code: str, *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd, check=False
        )

    return run


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", *dict.fromkeys(WORDS.split()), *map(chr, range(33, 127))]
    backend = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )


@pytest.fixture(scope="session")
def tower_folder(tmp_path_factory) -> Path:
    import torch
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tower")
    CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=28,
            patch_size=14,
        )
    ).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, do_center_crop=True
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory, tokenizer) -> Path:
    """A plain language model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(**llama_settings(len(tokenizer)))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory, tokenizer, tower_folder) -> Path:
    """A full LLaVA checkpoint in a folder whose name says nothing."""
    import torch
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM

    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("checkpoint") / "seventh"
    settings = llama_settings(len(tokenizer)) | multimodal_settings(tower_folder)
    LlavaLlamaForCausalLM(LlavaConfig(**settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    import numpy as np
    from PIL import Image

    path = tmp_path_factory.mktemp("picture") / "scene.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def mgimm_folder(tmp_path_factory) -> Path:
    """A full checkpoint of ours: regions, a template of its own, a tower named relative to the folder."""
    import torch

    import mgimm_plugin
    from mgimm_plugin.model.config import VisionSettings, multimodal_config
    from mgimm_plugin.model.folders import CheckpointKind
    from mgimm_plugin.model.loading import finish, load_tokenizer, load_weights
    from mgimm_plugin.model.saving import save_checkpoint
    from tests.tiny import build_llm, build_tower

    mgimm_plugin.register()
    folder = tmp_path_factory.mktemp("ours")
    tower, llm = build_tower(folder / "tower"), build_llm(folder / "llm")
    config = multimodal_config(str(llm), VisionSettings(str(tower)))
    tokenizer = load_tokenizer(llm, str(llm))
    model = finish(load_weights(str(llm), config, dtype=torch.float32), tokenizer, device=None, dtype=torch.float32)
    save_checkpoint(model, tokenizer, folder / "prompts", CheckpointKind.FULL)  # a name with "mpt" in it
    return folder / "prompts"
