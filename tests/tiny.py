"""Tiny models of the same kinds as the real ones, built in a second."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from mgimm_plugin.model.config import VisionSettings, multimodal_config
from mgimm_plugin.model.loading import LoadedModel, finish, load_tokenizer, load_weights
from mgimm_plugin.region_settings import RegionSettings

WORDS = (
    "A large red round storage tank in the top left of this remote sensing image. Describe the basic attributes of the "
    "main object in this region. USER: ASSISTANT: A chat between a curious user and an artificial intelligence "
    "assistant. "
)
SIDE = 56
FAMILIES = ("llama", "mistral", "phi", "qwen2", "qwen3")


def build_tokenizer(folder: Path, *, bos: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE; with ``bos`` it puts ``<s>`` first of its own accord, as Llama's does, else not, as Qwen's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [WORDS],
        trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>" if bos else None,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
    )
    fast.save_pretrained(folder)
    return fast


def build_tower(folder: Path, *, side: int = SIDE, patch: int = 14, hidden: int = 32) -> Path:
    """A CLIP vision tower of (side / patch)^2 patches."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=side,
        patch_size=patch,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    size = {"height": side, "width": side}
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size=size).save_pretrained(folder)
    return folder


def build_llm(folder: Path, family: str = "llama", *, bos: bool = True, **more: object) -> Path:
    """A two-layer language model of a family, with its tokenizer."""
    torch.manual_seed(1)
    tokenizer = build_tokenizer(folder, bos=bos)
    classes = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "mistral": (MistralConfig, MistralForCausalLM),
        "phi": (PhiConfig, PhiForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    }
    config_class, model_class = classes[family]
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    if family == "qwen3":
        shape["head_dim"] = 8
    if family != "phi":
        shape["num_key_value_heads"] = 2
    values = {
        **shape,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
        **more,
    }
    model_class(config_class(**values)).save_pretrained(folder)
    return folder


def build_loaded(
    llm: Path | str, tower: Path | str, regions: RegionSettings | None = None, **vision: object
) -> LoadedModel:
    """A multimodal model over a bare language model in float32, as ``load_model`` returns it."""
    config = multimodal_config(str(llm), VisionSettings(str(tower), **vision), regions)
    model = load_weights(str(llm), config, dtype=torch.float32)
    tokenizer = load_tokenizer(llm, str(llm))
    finish(model, tokenizer, device=torch.device("cpu"), dtype=torch.float32).eval()
    return LoadedModel(tokenizer, model, model.get_vision_tower().image_processor, 512)


def build_sentencepiece(folder: Path, *, settings: bool = True) -> Path:
    """A tokenizer of the kind that Llama and Vicuna ship: ``tokenizer.model``, with byte fallback.

    Without ``settings`` the folder has no ``tokenizer_config.json``.
    """
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS] * 2),
        model_writer=trained,
        vocab_size=340,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(trained.getvalue())
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    if settings:  # those that matter of Vicuna's
        vicuna = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False, "pad_token": None}
        (folder / "tokenizer_config.json").write_text(json.dumps(vicuna))
    return folder
