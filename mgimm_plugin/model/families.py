"""One binding for each family of language models: a config, a decoder, a causal model.

Dispatch is on ``config.model_type`` and nothing else. A new family is three short classes and a line in ``FAMILIES``.
(mypy is told to ignore that ``generate`` has LLaVA's signature, not that of transformers.)
"""

from __future__ import annotations

from typing import NamedTuple

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    MistralConfig,
    MistralForCausalLM,
    MistralModel,
    PhiConfig,
    PhiForCausalLM,
    PhiModel,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.mixins import MgimmMetaForCausalLM, MgimmMetaModel


class MgimmLlamaConfig(LlamaConfig):
    """Llama and Vicuna."""

    model_type = "mgimm_llama"


class MgimmLlamaModel(MgimmMetaModel, LlamaModel):
    """Llama decoder with region encoder."""

    config_class = MgimmLlamaConfig


class MgimmLlamaForCausalLM(MgimmMetaForCausalLM, LlamaForCausalLM):  # type: ignore[misc]
    """Llama or Vicuna that looks at regions."""

    config_class = MgimmLlamaConfig
    model_class = MgimmLlamaModel


class MgimmMistralConfig(MistralConfig):
    """Mistral."""

    model_type = "mgimm_mistral"


class MgimmMistralModel(MgimmMetaModel, MistralModel):
    """Mistral decoder with region encoder."""

    config_class = MgimmMistralConfig


class MgimmMistralForCausalLM(MgimmMetaForCausalLM, MistralForCausalLM):  # type: ignore[misc]
    """Mistral that looks at regions."""

    config_class = MgimmMistralConfig
    model_class = MgimmMistralModel


class MgimmPhiConfig(PhiConfig):
    """Phi-1.5 and Phi-2."""

    model_type = "mgimm_phi"


class MgimmPhiModel(MgimmMetaModel, PhiModel):
    """Phi decoder with region encoder."""

    config_class = MgimmPhiConfig


class MgimmPhiForCausalLM(MgimmMetaForCausalLM, PhiForCausalLM):  # type: ignore[misc]
    """Phi that looks at regions."""

    config_class = MgimmPhiConfig
    model_class = MgimmPhiModel
    lm_head_bias = True


class MgimmQwen2Config(Qwen2Config):
    """Qwen1.5, Qwen2 and Qwen2.5."""

    model_type = "mgimm_qwen2"


class MgimmQwen2Model(MgimmMetaModel, Qwen2Model):
    """Qwen2 decoder with region encoder."""

    config_class = MgimmQwen2Config


class MgimmQwen2ForCausalLM(MgimmMetaForCausalLM, Qwen2ForCausalLM):  # type: ignore[misc]
    """Qwen2 that looks at regions."""

    config_class = MgimmQwen2Config
    model_class = MgimmQwen2Model


class MgimmQwen3Config(Qwen3Config):
    """Qwen3 (dense)."""

    model_type = "mgimm_qwen3"


class MgimmQwen3Model(MgimmMetaModel, Qwen3Model):
    """Qwen3 decoder with region encoder."""

    config_class = MgimmQwen3Config


class MgimmQwen3ForCausalLM(MgimmMetaForCausalLM, Qwen3ForCausalLM):  # type: ignore[misc]
    """Qwen3 that looks at regions."""

    config_class = MgimmQwen3Config
    model_class = MgimmQwen3Model


class Family(NamedTuple):
    """How one family is bound."""

    config_class: type[PretrainedConfig]
    model_class: type[PreTrainedModel]
    template: str
    """Default conversation template."""


_LLAMA = Family(MgimmLlamaConfig, MgimmLlamaForCausalLM, "mgimm_v1")
_MISTRAL = Family(MgimmMistralConfig, MgimmMistralForCausalLM, "mgimm_llama_2")
_PHI = Family(MgimmPhiConfig, MgimmPhiForCausalLM, "mgimm_phi")
_QWEN2 = Family(MgimmQwen2Config, MgimmQwen2ForCausalLM, "mgimm_chatml")
_QWEN3 = Family(MgimmQwen3Config, MgimmQwen3ForCausalLM, "mgimm_chatml")

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "llava": _LLAMA,  # LLaVA-1.5 before its model type was renamed
    "llava_llama": _LLAMA,
    "mgimm_llama": _LLAMA,
    "mistral": _MISTRAL,
    "llava_mistral": _MISTRAL,
    "mgimm_mistral": _MISTRAL,
    "phi": _PHI,
    "mgimm_phi": _PHI,
    "qwen2": _QWEN2,
    "mgimm_qwen2": _QWEN2,
    "qwen3": _QWEN3,
    "mgimm_qwen3": _QWEN3,
}
"""Binding by ``model_type`` of a base model or of a checkpoint of ours."""


def family_of(model_type: str) -> Family:
    """Return the binding of a model type.

    Raises:
        CheckpointError: No family has that type; the message lists those that exist.
    """
    if model_type not in FAMILIES:
        raise CheckpointError(f"no MGIMM binding for model type {model_type!r}; known: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[model_type]


def register_families() -> None:
    """Make the model types known to ``AutoConfig`` and ``AutoModelForCausalLM``; twice is harmless."""
    for family in set(FAMILIES.values()):
        model_type = family.config_class.model_type
        AutoConfig.register(model_type, family.config_class, exist_ok=True)
        AutoModelForCausalLM.register(family.config_class, family.model_class, exist_ok=True)
