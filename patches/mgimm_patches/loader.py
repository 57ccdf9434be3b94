"""LLaVA's loader works on CPU and GPU, for every kind of folder, whatever the folder is called.

Changes: ``llava.model.builder.load_pretrained_model``, also where it has been imported by name.
Necessary since: transformers 5 has no ``load_in_4bit``/``load_in_8bit`` arguments (``quantization_config``); LLaVA's
loader asks for float16 on every device; and it decides by words in the path (``llava``, ``lora``, ``mistral``) what
kind of model a folder holds, where ``config.model_type`` and the folder's files say so.
No longer needed when: LLaVA reads ``model_type`` and loads in float32 on CPU; the kinds of MGIMM need it all the same.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

from mgimm_patches._hooks import rebind
from mgimm_patches._patch import Patch

logger = logging.getLogger(__name__)


def load_pretrained_model(
    model_path: str,
    model_base: str | None = None,
    model_name: str | None = None,
    load_8bit: bool = False,
    load_4bit: bool = False,
    device_map: Any = "auto",
    device: str = "cuda",
    use_flash_attn: bool = False,
    **kwargs: Any,
) -> tuple[Any, Any, Any, int]:
    """Load any folder that LLaVA or MGIMM writes; LLaVA's signature.

    Args:
        model_path: Folder or Hub id.
        model_base: The language model under an adapter, LoRA or projector folder, where the folder does not name it.
        model_name: Not used: the folder says what it is.
        load_8bit: Quantize with bitsandbytes.
        load_4bit: Quantize with bitsandbytes.
        device_map: For several GPUs; not used on one device.
        device: ``cuda`` falls back to the CPU where there is none.
        use_flash_attn: Use flash attention 2.
        **kwargs: For ``from_pretrained``; ``dtype`` (or ``torch_dtype``) overrides float32 on CPU, half on GPU.

    Returns:
        Tokenizer, model, image processor (None for a language model), context length.

    Raises:
        CheckpointError: The folder is of no known kind, or a tensor is missing or unexpected.
    """
    import torch

    from mgimm_patches._llava_folders import load_folder, local_folder, quantization
    from mgimm_plugin.model.devices import usable_device
    from mgimm_plugin.model.loading import is_mgimm_folder, load_model

    if device == "cuda" and not torch.cuda.is_available():
        logger.info("no CUDA here: loading %s on the CPU", model_path)
        device = usable_device(None).type  # the CPU; warns of GPUs that torch cannot use
    options = dict(kwargs)
    options["dtype"] = options.pop("torch_dtype", options.get("dtype"))
    options["quantization_config"] = quantization(load_8bit, load_4bit)
    if use_flash_attn:
        options["attn_implementation"] = "flash_attention_2"
    spread = device == "cuda" and (options["quantization_config"] is not None or torch.cuda.device_count() > 1)
    if is_mgimm_folder(model_path):
        options.pop("low_cpu_mem_usage", None)
        loaded = load_model(model_path, model_base, device=device, device_map=device_map if spread else None, **options)
        return tuple(loaded)
    options["dtype"] = options["dtype"] or (torch.float16 if device == "cuda" else torch.float32)
    options["device_map"] = device_map if spread else {"": device}
    return load_folder(local_folder(model_path), model_base, options)


def _replace_loader(builder: ModuleType) -> bool:
    original = builder.load_pretrained_model
    builder.load_pretrained_model = load_pretrained_model  # type: ignore[attr-defined]
    rebind(original, load_pretrained_model)
    return True


PATCHES = (
    Patch(
        name="loader",
        target="llava.model.builder",
        reason="float16 on CPU, arguments that transformers 5 dropped, and decisions by the path's name",
        obsolete_when="LLaVA's loader reads config.model_type and chooses the dtype by the device",
        change=_replace_loader,
    ),
)
