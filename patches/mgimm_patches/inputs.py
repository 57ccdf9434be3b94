"""LLaVA's two input functions know regions and our way of fitting an image.

Changes: ``tokenizer_image_token`` and ``process_images`` of ``llava.mm_utils``, also where imported by name.
Necessary since: LLaVA tokenizes ``<region>`` as ordinary words, and crops the centre of an image whose
``image_aspect_ratio`` it does not know, such as ``resize``.
No longer needed when: never; a plugin point for sentinels and modes in LLaVA would replace it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mgimm_patches._hooks import rebind
from mgimm_patches._patch import Patch


def _split_regions(mm_utils: ModuleType) -> bool:
    original = mm_utils.tokenizer_image_token
    image_token_index = mm_utils.IMAGE_TOKEN_INDEX

    def tokenizer_image_token(
        prompt: str, tokenizer: Any, image_token_index: int = image_token_index, return_tensors: str | None = None
    ) -> Any:
        """LLaVA's, and ours for a prompt with ``<region>``."""
        if "<region>" not in prompt:
            return original(prompt, tokenizer, image_token_index, return_tensors)
        from mgimm_plugin.constants import IMAGE_TOKEN_INDEX
        from mgimm_plugin.tokenization import tokenize_prompt

        ids = [image_token_index if i == IMAGE_TOKEN_INDEX else i for i in tokenize_prompt(prompt, tokenizer)]
        if return_tensors is None:
            return ids
        if return_tensors != "pt":
            raise ValueError(f"return_tensors is {return_tensors!r}; it must be 'pt' or None")
        import torch

        return torch.tensor(ids, dtype=torch.long)

    mm_utils.tokenizer_image_token = tokenizer_image_token  # type: ignore[attr-defined]
    rebind(original, tokenizer_image_token)
    return True


def _stretch_images(mm_utils: ModuleType) -> bool:
    original = mm_utils.process_images

    def process_images(images: list[Any], image_processor: Any, model_cfg: Any) -> Any:
        """LLaVA's, and for ``image_aspect_ratio`` ``resize`` the whole image stretched to the square, [N, 3, S, S]."""
        if getattr(model_cfg, "image_aspect_ratio", None) != "resize":
            return original(images, image_processor, model_cfg)
        import torch

        from mgimm_plugin.data.images import preprocess_image

        return torch.stack([preprocess_image(image, image_processor, "resize") for image in images])

    mm_utils.process_images = process_images  # type: ignore[attr-defined]
    rebind(original, process_images)
    return True


PATCHES = (
    Patch(
        name="region-tokens",
        target="llava.mm_utils",
        reason="LLaVA's tokenizer_image_token splits at <image> only",
        obsolete_when="LLaVA lets a plugin add sentinels",
        change=_split_regions,
    ),
    Patch(
        name="resize-images",
        target="llava.mm_utils",
        reason="LLaVA crops the centre of an image where image_aspect_ratio is resize",
        obsolete_when="LLaVA knows the mode resize",
        change=_stretch_images,
    ),
)
