"""The two mixins that teach a causal language model of transformers to look at images and regions.

They build on LLaVA's: the vision tower and the projector are its own. What is added is the region encoder, and one
function that puts images and regions in their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from llava.model.llava_arch import LlavaMetaForCausalLM, LlavaMetaModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from mgimm_plugin.errors import RecordError
from mgimm_plugin.model.language_loss import frozen_prefix, training_output
from mgimm_plugin.model.paths import resolve_folder
from mgimm_plugin.model.placing import FeaturePlacing
from mgimm_plugin.model.regions.box_encoder import BoxEncoder
from mgimm_plugin.model.regions.encoders import build_region_encoder
from mgimm_plugin.model.seeded import reset_leaf, reset_seeded, seeded_normal_
from mgimm_plugin.model.vision_features import VisionFeatures, encode_vision, join_features
from mgimm_plugin.region_settings import RegionSettings

Images = Tensor | Sequence[Tensor]
ImageFeatures = VisionFeatures | Tensor | Sequence[Tensor]


class MgimmMetaModel(LlavaMetaModel):
    """Adds ``region_encoder`` to a language model that already has LLaVA's tower and projector.

    With the ``mm_*`` keys in the config (``model.config.multimodal_config`` writes them) everything exists when weights
    are loaded. Without ``mm_vision_tower`` it is a plain language model, until ``initialize_vision_modules`` is called.
    """

    def __init__(self, config: Any) -> None:
        if getattr(config, "mm_vision_tower", None):
            config.mm_vision_tower = resolve_folder(config.mm_vision_tower, getattr(config, "_name_or_path", None))
        super().__init__(config)
        if hasattr(config, "mm_vision_tower"):
            self.region_encoder = build_region_encoder(config)

    def initialize_vision_modules(self, model_args: Any, fsdp: Any = None) -> None:
        """LLaVA's: make tower and projector after the language model was loaded; ours makes the region encoder too."""
        fresh = getattr(self, "mm_projector", None) is None
        for name, value in asdict(RegionSettings.of(self.config)).items():
            setattr(self.config, name, value)
        super().initialize_vision_modules(model_args, fsdp)
        if fresh:
            self._reset_newline(self.config.mm_region_seed)
            if model_args.pretrain_mm_mlp_adapter is None:
                reset_seeded(self.mm_projector, self.config.mm_region_seed)
        if not hasattr(self, "region_encoder"):
            self.region_encoder = build_region_encoder(self.config)

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise what a checkpoint did not have; ours from the seed, the language model's as its family does."""
        seed = getattr(self.config, "mm_region_seed", 0)
        if isinstance(module, BoxEncoder):
            module.reset_parameters()
            return
        for part in ("region_encoder", "mm_projector"):
            for name, child in getattr(self, part, nn.Identity()).named_modules():
                if child is module:
                    reset_leaf(module, seed, name)
                    return
        super()._init_weights(module)
        if module is self:
            self._reset_newline(seed)

    def _reset_newline(self, seed: int) -> None:
        if hasattr(self, "image_newline"):
            seeded_normal_(self.image_newline, seed, "image_newline", self.config.hidden_size**-0.5)


class MgimmMetaForCausalLM(FeaturePlacing, LlavaMetaForCausalLM):
    """Forward and generation with images and regions.

    A batch carries ``images`` and ``boxes``, and says where they belong: ``image_row [N]`` is the batch row that owns
    an image, ``image_index [R]`` the image that a box is in. Without ``image_row`` LLaVA's convention holds: images
    follow the ``<image>`` tokens, and a row without any may have one that it does not show.
    """

    config_class: Any
    model_class: type
    lm_head_bias = False
    # One float32 island in a half-precision model: the frame of the boxes.
    _keep_in_fp32_modules_strict: Any = ("region_encoder.box_encoder",)

    def __init__(self, config: Any) -> None:
        # A plain language model's config, read as ours, still bears the plain type; checkpoints go by it.
        config.model_type = self.config_class.model_type
        # The family's own __init__ would first build a plain language model.
        PreTrainedModel.__init__(self, config)
        self.model = self.model_class(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=self.lm_head_bias)
        self.post_init()

    def get_model(self) -> Any:
        """Return the decoder, which has the tower, the projector and the region encoder (LLaVA's name)."""
        return self.model

    def encode_vision(self, images: Images) -> VisionFeatures:
        """Run the vision tower alone; ``generate(image_features=...)`` then asks many questions of one image."""
        return encode_vision(self.get_vision_tower(), images)

    def _features(self, images: Images | None, features: ImageFeatures | None) -> VisionFeatures | None:
        if features is None:
            return None if images is None else self.encode_vision(images)
        return features if isinstance(features, VisionFeatures) else join_features(features)

    def encode_images(self, images: Tensor) -> Tensor:
        """LLaVA's: ``[N, 3, S, S]`` to projected ``[N, T, D]``."""
        return self._project(self.encode_vision(images).base)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        images: Images | None = None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        image_row: Tensor | None = None,
        boxes: Tensor | None = None,
        image_index: Tensor | None = None,
        image_source: Tensor | None = None,
        image_features: ImageFeatures | None = None,
        loss_only: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The family's forward, over spliced embeddings.

        Args:
            input_ids: ``[B, L]`` with the sentinels of ``<image>`` and ``<region>``.
            attention_mask: ``[B, L]``.
            position_ids: As in the family.
            past_key_values: As in the family.
            inputs_embeds: ``[B, M, D]``: already spliced; nothing is added then.
            labels: ``[B, L]``, IGNORE_INDEX where there is no loss.
            images: ``[N, 3, S, S]``, or views (anyres); None for a plain step of the language model.
            image_sizes: N times (width, height) of the original images, for anyres.
            image_row: ``[N]``, the row that owns each image.
            boxes: ``[R, 4]`` integers, xyxy in 1/65536 of the tower's frame.
            image_index: ``[R]``, the image that each box is in.
            image_source: ``[N]``: which of ``images`` each image is, where several rows have the same one.
            image_features: What the tower made of them, ``[N, T, C]`` or N times ``[V, T, C]`` (anyres); then it does
                not run, and ``images`` are not needed.
            loss_only: Leave the logits out in evaluation too, as in training: they take the memory of a vocabulary for
                every position. Rows are padded on the right then.
            **kwargs: Passed on; ``num_items_in_batch`` among them, so that accumulation does not change gradients.

        Returns:
            The family's output. In training, and with ``loss_only``, labels and images give the loss and no logits.
        """
        features = None if input_ids is None or inputs_embeds is not None else self._features(images, image_features)
        if features is not None and input_ids is not None:
            spliced = self.splice_batch(
                input_ids, attention_mask, labels, features, image_sizes, image_row, boxes, image_index, image_source
            )
            if labels is not None and (self.training or loss_only):
                mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
                return training_output(self, spliced, frozen_prefix(self, input_ids, mask, labels), **kwargs)
            input_ids, inputs_embeds = None, spliced.inputs_embeds
            attention_mask, position_ids = spliced.attention_mask, spliced.position_ids
            labels = spliced.labels if labels is not None else None
        elif input_ids is not None and input_ids.shape[1] > 1:  # a single token is a model's own
            _check_no_sentinels(input_ids)
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            **kwargs,
        )

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        images: Images | None = None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        image_row: Tensor | None = None,
        boxes: Tensor | None = None,
        image_index: Tensor | None = None,
        image_source: Tensor | None = None,
        image_features: ImageFeatures | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate after prompts with images and regions, padded on either side.

        Returns:
            ``[B, new tokens]`` ids: the new tokens only, as LLaVA's does.
        """
        input_ids = inputs if inputs is not None else kwargs.pop("input_ids")
        attention_mask = kwargs.pop("attention_mask", None)
        kwargs.pop("position_ids", None)
        features = self._features(images, image_features)
        if features is None:
            _check_no_sentinels(input_ids)
            if attention_mask is not None:
                order = attention_mask.long().argsort(dim=1, stable=True)  # padding first, wherever it was
                input_ids, attention_mask = input_ids.gather(1, order), attention_mask.gather(1, order)
            embeds = self.model.get_input_embeddings()(input_ids)
            return super().generate(inputs_embeds=embeds, attention_mask=attention_mask, **kwargs)
        spliced = self.splice_batch(
            input_ids,
            attention_mask,
            None,
            features,
            image_sizes,
            image_row,
            boxes,
            image_index,
            image_source,
            padding_side="left",
        )
        return super().generate(
            inputs_embeds=spliced.inputs_embeds, attention_mask=spliced.attention_mask.long(), **kwargs
        )

    def prepare_inputs_labels_for_multimodal(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None,
        attention_mask: Tensor | None,
        past_key_values: Any,
        labels: Tensor | None,
        images: Images | None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[Any, ...]:
        """LLaVA's entry for callers that splice by themselves."""
        if images is None or input_ids.shape[1] == 1:
            return input_ids, position_ids, attention_mask, past_key_values, None, labels
        spliced = self.splice_batch(input_ids, attention_mask, labels, self.encode_vision(images), image_sizes)
        new_labels = spliced.labels if labels is not None else None
        return None, spliced.position_ids, spliced.attention_mask, past_key_values, spliced.inputs_embeds, new_labels


def _check_no_sentinels(input_ids: Tensor) -> None:
    if (input_ids < 0).any():
        raise RecordError("the prompt speaks of an image or a region, but no images were given")
