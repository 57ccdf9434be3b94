"""How questions become a batch for ``generate``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.encoding import ImageEncoder, check_length, sequence_length
from mgimm_plugin.data.images import to_rgb
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import RecordError
from mgimm_plugin.model.loading import LoadedModel
from mgimm_plugin.model.vision_features import VisionFeatures
from mgimm_plugin.questions import EncodedImage, ImageLike, PreparedImage, Question
from mgimm_plugin.tokenization import build_prompt, tokenize_prompt

logger = logging.getLogger(__name__)

_TEXTS_AT_HAND = 1024
_LONGEST_AT_HAND = 500
"""In characters. Longer texts are hardly asked twice, and a server's clients would fill its memory with them."""


class QuestionEncoder:
    """Makes prompts and batches for one model.

    Args:
        loaded: The model with its tokenizer and image processor.
        template: Name of the conversation template.
        max_pixels: Larger image files are refused.

    Attributes:
        clipped_boxes: How many boxes of the batches so far were clipped to their image.
    """

    def __init__(self, loaded: LoadedModel, template: str, max_pixels: int) -> None:
        self.tokenizer, self.model, image_processor, self.context_length = loaded
        config = self.model.config
        self.images = ImageEncoder(
            image_processor,
            getattr(config, "image_aspect_ratio", None) or "square",  # LLaVA's meaning of a missing key
            getattr(config, "image_grid_pinpoints", None),
            getattr(config, "mm_patch_merge_type", None) or "flat",
            max_pixels,
        )
        self.regions = RegionInput.of(config)
        self.clipped_boxes = 0
        self._tokens_per_view = self.model.get_vision_tower().num_patches
        # Most questions of a file are asked in the same words. A partial rather than a method: the cache would keep the
        # encoder, and with it the model, in memory when nobody has them any more.
        self._tokenize_texts = partial(_tokenize_texts, template=template, tokenizer=self.tokenizer)
        self._ids_at_hand = lru_cache(maxsize=_TEXTS_AT_HAND)(self._tokenize_texts)

    def tokenize(self, question: Question, max_new_tokens: int) -> Sequence[int]:
        """Return the ids of a question's prompt, once its tokens, boxes and image are seen to agree.

        Raises:
            RecordError: They do not.
            SequenceTooLongError: Prompt and answer together are longer than the model's context.
        """
        regions, images = (
            sum(text.count(token) for text in question.texts) for token in (DEFAULT_REGION_TOKEN, DEFAULT_IMAGE_TOKEN)
        )
        with _naming(question):
            if regions != len(question.boxes):
                raise RecordError(
                    f"the question has {regions} {DEFAULT_REGION_TOKEN} tokens and {len(question.boxes)} boxes: "
                    "give one box a token"
                )
            if images > 1:
                raise RecordError(f"the question has {images} {DEFAULT_IMAGE_TOKEN} tokens; it has one image")
            if question.image is None and (regions or images):
                raise RecordError("the question speaks of an image or a region, but has no image")
            texts = self._as_asked(question)
            is_short = sum(map(len, texts)) <= _LONGEST_AT_HAND
            ids = self._ids_at_hand(texts) if is_short else self._tokenize_texts(texts)
            check_length(
                ids,
                self._tokens_per_image(question),
                self.context_length,
                tokens_per_region=self.regions.tokens_per_region,
                answer_length=max_new_tokens,
            )
        return ids

    def check(self, question: Question, max_new_tokens: int) -> int:
        """See whether a question can be asked, without asking it.

        Returns:
            How many positions of the language model it takes, images and regions included.

        Raises:
            RecordError: It cannot; the subclass says why.
        """
        ids = self.tokenize(question, max_new_tokens)
        with _naming(question):
            if question.image is not None:
                self.images.encode_boxes(question.boxes, *self._size_of(question.image))
            return sequence_length(ids, self._tokens_per_image(question), self.regions.tokens_per_region)

    def batch(
        self,
        questions: Sequence[Question],
        prompts: Sequence[Sequence[int]],
        at_hand: dict[object, EncodedImage] | None = None,
    ) -> dict[str, Any]:
        """Build the arguments of ``generate`` for a batch, left-padded, on the model's device.

        Images that several questions share, as one object or one path, go through the vision tower once.

        Args:
            questions: The questions of the batch.
            prompts: Their ids, from ``tokenize``.
            at_hand: The encoded images of the batch before, which become those of this one.

        Raises:
            ImageError: An image cannot be read.
            BoxError: A box encloses nothing that the tower sees.
        """
        device = self.model.device
        ids = [torch.tensor(prompt, dtype=torch.int64) for prompt in prompts]
        mask = [torch.ones_like(row, dtype=torch.bool) for row in ids]
        pad_id = self.tokenizer.pad_token_id or 0  # masked out, so any id will do
        batch: dict[str, Any] = {
            "inputs": pad_sequence(ids, batch_first=True, padding_value=pad_id, padding_side="left").to(device),
            "attention_mask": pad_sequence(mask, batch_first=True, padding_side="left").to(device),
        }
        rows = [row for row, question in enumerate(questions) if question.image is not None]
        if rows:
            encoded = self._encoded([questions[row] for row in rows], at_hand or {})
            if at_hand is not None:
                at_hand.clear()
                at_hand.update(encoded)
            keys = [_key(questions[row].image) for row in rows]
            distinct = list(dict.fromkeys(keys))
            boxes, sizes = [], [encoded[key].size for key in keys]
            for row, size in zip(rows, sizes, strict=True):
                with _naming(questions[row]):
                    mapped, clipped = self.images.encode_boxes(questions[row].boxes, *size)
                boxes.append(mapped if self.regions.takes_boxes else mapped[:0])
                self.clipped_boxes += clipped
            counts = torch.tensor([len(group) for group in boxes])
            batch |= {
                "image_features": _join([encoded[key].features for key in distinct]),
                "image_sizes": sizes,
                "image_row": torch.tensor(rows, device=device),
                "boxes": torch.cat(boxes).to(device),
                "image_index": torch.arange(len(rows)).repeat_interleave(counts).to(device),
                "image_source": torch.tensor([distinct.index(key) for key in keys], device=device),
            }
        return batch

    def prepare(self, image: ImageLike) -> PreparedImage:
        """Read an image, and scale it to what the vision tower takes.

        Raises:
            ImageError: It cannot be read, or not be used.
        """
        opened = to_rgb(image) if isinstance(image, Image.Image) else self.images.open(image)
        return PreparedImage(opened.size, self.images.encode_image(opened))

    def encode_images(self, images: Sequence[PreparedImage]) -> list[EncodedImage]:
        """Run one vision pass over images."""
        tensors, device = [image.views for image in images], self.model.device
        several_views = tensors[0].ndim == 4
        features = self.model.encode_vision(
            [views.to(device) for views in tensors] if several_views else torch.stack(tensors).to(device)
        )
        views = [None] * len(images) if features.views is None else features.views.split(features.view_counts)
        return [
            EncodedImage(
                image.size, VisionFeatures(features.base[i : i + 1], views[i], features.view_counts[i : i + 1])
            )
            for i, image in enumerate(images)
        ]

    @contextmanager
    def telling_of_clipped_boxes(self) -> Iterator[None]:
        """Say once, at the end, how many boxes of the batches made inside were clipped to their image."""
        before = self.clipped_boxes
        yield
        if clipped := self.clipped_boxes - before:
            logger.warning(
                "boxes that stuck out of what the model sees of their image, and were clipped to it: %d", clipped
            )

    def _as_asked(self, question: Question) -> tuple[str, ...]:
        """All that is said, with regions as this model takes them."""
        texts = self.regions.shown(question.texts)
        if question.image is not None and len(question.boxes) and not self.regions.takes_boxes:
            boxes, _ = self.images.encode_boxes(question.boxes, *self._size_of(question.image))
            texts = self.regions.written(texts, boxes)
        return tuple(texts)

    def _tokens_per_image(self, question: Question) -> int:
        if question.image is None or self.images.image_aspect_ratio != "anyres":  # only there it depends on the size
            return self._tokens_per_view
        return self.images.positions(self._tokens_per_view, self._size_of(question.image))

    def _size_of(self, image: ImageLike | PreparedImage | EncodedImage) -> tuple[int, int]:
        return self.images.size_of(image) if isinstance(image, str | Path) else image.size

    def _encoded(
        self, questions: Sequence[Question], at_hand: Mapping[object, EncodedImage]
    ) -> dict[object, EncodedImage]:
        """Return the encoded images of the questions, by ``_key``."""
        encoded: dict[object, EncodedImage] = {}
        prepared: dict[object, PreparedImage] = {}
        for question in questions:
            image, key = question.image, _key(question.image)
            if isinstance(image, EncodedImage):
                encoded[key] = image
            elif key in at_hand:
                encoded[key] = at_hand[key]
            elif image is not None and key not in prepared:
                with _naming(question):
                    prepared[key] = image if isinstance(image, PreparedImage) else self.prepare(image)
        if prepared:
            encoded.update(zip(prepared, self.encode_images(list(prepared.values())), strict=True))
        return encoded


def _tokenize_texts(texts: tuple[str, ...], *, template: str, tokenizer: Any) -> list[int]:
    turns = list(zip(cycle(("human", "gpt")), texts, strict=False))
    return tokenize_prompt(build_prompt(turns, template, tokenizer), tokenizer)


def _key(image: object) -> object:
    """What makes two questions' images one: the path, or the very object."""
    return str(image) if isinstance(image, str | Path) else id(image)


def _join(features: Sequence[VisionFeatures]) -> VisionFeatures:
    views = [single.views for single in features if single.views is not None]
    return VisionFeatures(
        base=torch.cat([single.base for single in features]),
        views=torch.cat(views) if views else None,
        view_counts=tuple(count for single in features for count in single.view_counts),
    )


@contextmanager
def _naming(question: Question) -> Iterator[None]:
    """Put the question's id into an error about it."""
    try:
        yield
    except RecordError as error:
        raise error.at(record=question.id) from error
