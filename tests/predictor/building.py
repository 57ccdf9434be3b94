"""Predictors of random weights."""

import torch

from mgimm_plugin.model.config import VisionSettings, multimodal_config
from mgimm_plugin.model.loading import LoadedModel, finish, load_tokenizer, load_weights
from mgimm_plugin.predictor import Predictor
from tests.tiny import build_llm, build_tower

LENGTH = {"max_new_tokens": 12}


def build_predictor(folder, family="llama", **vision):
    tower, llm = build_tower(folder / "tower"), build_llm(folder / "llm", family, bos=family == "llama")
    config = multimodal_config(str(llm), VisionSettings(str(tower), **vision))
    model = load_weights(str(llm), config, dtype=torch.float32)
    tokenizer = load_tokenizer(llm, str(llm))
    finish(model, tokenizer, device=torch.device("cpu"), dtype=torch.float32).eval()
    loaded = LoadedModel(tokenizer, model, model.get_vision_tower().image_processor, 512)
    return Predictor(loaded)
