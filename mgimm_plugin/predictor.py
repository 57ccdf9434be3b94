"""Ask a model about images and regions.

Example:
    >>> predictor = Predictor.from_pretrained()
    >>> predictor.set_image("scene.png")
    >>> predictor.describe_regions([(133, 237, 684, 672)])
    ['A green and brown golf field.']
    >>> predictor.describe_image()
    'A golf field between two roads. ...'
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, TextIteratorStreamer

from mgimm_plugin.constants import (
    DEFAULT_IMAGE_TOKEN,
    DEFAULT_MAX_PIXELS,
    DEFAULT_REGION_TOKEN,
    IMAGE_QUESTION,
    REGION_QUESTION,
)
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.answer_stream import AnswerStream, GrowingAnswer
from mgimm_plugin.model.decoding import decode_greedily
from mgimm_plugin.model.families import family_of
from mgimm_plugin.model.loading import LoadedModel, load_model
from mgimm_plugin.questions import Box, EncodedImage, ImageLike, Question, QuestionEncoder
from mgimm_plugin.resources import bundled_model
from mgimm_plugin.tokenization import end_token_ids

__all__ = ["EncodedImage", "Predictor", "Question"]

logger = logging.getLogger(__name__)


class Predictor:
    """Answers questions, in batches or word by word. Greedy unless told otherwise, so that an answer can be repeated.

    Boxes that stick out of their image are clipped to it, with a warning that says how many.

    Args:
        loaded: What ``load_model`` returns.
        template: Name of the conversation template; by default the one that the model was tuned with.
        max_pixels: Larger image files are refused.
    """

    def __init__(
        self, loaded: LoadedModel, *, template: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> None:
        self.tokenizer, self.model = loaded.tokenizer, loaded.model
        config = self.model.config
        tuned_with = getattr(config, "mm_conversation_template", None)
        self.template: str = template or tuned_with or family_of(config.model_type).template
        self._end_ids = end_token_ids(self.template, self.tokenizer)
        self._encoder = QuestionEncoder(loaded, self.template, max_pixels)
        self._image: EncodedImage | None = None

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        base: str | Path | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        template: str | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> Predictor:
        """Load a model.

        Args:
            model: Checkpoint folder or Hub id; the bundled mini model by default.
            base: The language model under an adapter or LoRA; by default the one that its config names.
            device: CUDA when there is one, else CPU.
            dtype: float32 on CPU and bfloat16 on CUDA by default.
            template: Name of the conversation template; by default the one that the model was tuned with.
            max_pixels: Larger image files are refused.

        Raises:
            CheckpointError: The folder is no whole checkpoint.
        """
        loaded = load_model(bundled_model() if model is None else model, base, device=device, dtype=dtype)
        return cls(loaded, template=template, max_pixels=max_pixels)

    def encode_image(self, image: ImageLike) -> EncodedImage:
        """Run the vision pass of an image, for any number of questions after.

        Raises:
            ImageError: It cannot be read.
        """
        return self._encoder.encode_images([self._encoder.open(image)])[0]

    def set_image(self, image: ImageLike | EncodedImage) -> None:
        """Choose the image that ``describe_regions``, ``describe_image`` and ``stream`` are about; it is encoded once.

        Raises:
            ImageError: It cannot be read; the image before stays.
        """
        self._image = image if isinstance(image, EncodedImage) else self.encode_image(image)

    def describe_regions(self, boxes: Iterable[Box], question: str | None = None, **generation: Any) -> list[str]:
        """Describe each region of the image by itself, in batches.

        Args:
            boxes: xyxy in pixels of the image.
            question: Asked of every region.
            **generation: As in ``answer``.

        Returns:
            One text a box.
        """
        image, text = self._current_image(), f"{DEFAULT_REGION_TOKEN}\n{question or REGION_QUESTION}"
        return self.answer([Question(image, text, (box,)) for box in boxes], **generation)

    def describe_image(self, boxes: Iterable[Box] = (), question: str | None = None, **generation: Any) -> str:
        """Describe the image, guided by boxes where there are some.

        Args:
            boxes: xyxy in pixels of the image.
            question: Asked of the image.
            **generation: As in ``answer``.
        """
        boxes = tuple(boxes)
        head = [DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN * len(boxes), question or IMAGE_QUESTION]
        text = "\n".join(part for part in head if part)
        return self.answer([Question(self._current_image(), text, boxes)], **generation)[0]

    def answer(
        self,
        questions: Sequence[Question],
        *,
        max_new_tokens: int = 200,
        batch_size: int = 16,
        num_beams: int = 1,
        temperature: float = 0.0,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """Answer questions in batches of similar length.

        Args:
            questions: The questions.
            max_new_tokens: Longest answer, in tokens.
            batch_size: Questions answered together.
            num_beams: 1 is greedy.
            temperature: Above 0 samples; the answers then differ from call to call.
            on_progress: Called after every batch with the number of questions answered so far.

        Returns:
            One text a question, in the order of the questions.

        Raises:
            RecordError: A question that cannot be asked, by its id; the subclass says why.
        """
        if batch_size < 1:
            raise MgimmError(f"batch_size is {batch_size}; it must be at least 1")
        options = self._generation_options(max_new_tokens, num_beams, temperature)
        search = decode_greedily if num_beams == 1 and temperature == 0 else None
        prompts = [self._encoder.tokenize(question, max_new_tokens) for question in questions]
        # Longest first: a batch too large for the memory fails at once. The sort is stable, so that neighbours, which
        # often share an image, stay together.
        order = sorted(range(len(questions)), key=lambda i: -len(prompts[i]))
        answers: dict[int, str] = {}
        at_hand: dict[object, EncodedImage] = {}
        with self._warning_of_clipped_boxes():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = self._encoder.batch([questions[i] for i in rows], [prompts[i] for i in rows], at_hand)
                new_ids = self.model.generate(**batch, **options, custom_generate=search).tolist()
                answers.update(zip(rows, map(self._decode, new_ids), strict=True))
                if on_progress is not None:
                    on_progress(len(answers))
        return [answers[i] for i in range(len(questions))]

    def stream(
        self, text: str, boxes: Iterable[Box] = (), *, max_new_tokens: int = 200, temperature: float = 0.0
    ) -> Iterator[str]:
        """Answer one question about the image piece by piece, as the words come; closing the iterator stops the model.

        Args:
            text: The user's words, with ``<image>`` or one ``<region>`` for each box.
            boxes: xyxy in pixels of the image.
            max_new_tokens: Longest answer, in tokens.
            temperature: Above 0 samples.

        Raises:
            RecordError: The question cannot be asked; raised by the call, before the first piece.
        """
        speaks_of_image = DEFAULT_IMAGE_TOKEN in text or DEFAULT_REGION_TOKEN in text
        question = Question(self._current_image() if speaks_of_image else None, text, tuple(boxes))
        with self._warning_of_clipped_boxes():
            batch = self._encoder.batch([question], [self._encoder.tokenize(question, max_new_tokens)])
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        return self._pieces({**batch, **self._generation_options(max_new_tokens, 1, temperature)}, streamer)

    def stream_answers(
        self, questions: Sequence[Question], *, max_new_tokens: int = 200, temperature: float = 0.0
    ) -> Iterator[list[GrowingAnswer]]:
        """Answer questions in one batch and show all answers as they grow, with the model's confidence in each.

        Closing the iterator stops the model.

        Args:
            questions: The questions; all of them go into one batch.
            max_new_tokens: Longest answer, in tokens.
            temperature: Above 0 samples.

        Yields:
            After each step all answers so far, in the order of the questions.

        Raises:
            RecordError: A question cannot be asked; raised by the call, before the first step.
        """
        if not questions:
            return iter(())
        options = self._generation_options(max_new_tokens, 1, temperature)
        prompts = [self._encoder.tokenize(question, max_new_tokens) for question in questions]
        with self._warning_of_clipped_boxes():
            batch = self._encoder.batch(questions, prompts)
        stream = AnswerStream(len(questions), self._end_ids, self._decode)
        return self._pieces({**batch, **options, "logits_processor": LogitsProcessorList([stream])}, stream)

    def _pieces(self, arguments: dict[str, Any], streamer: Any) -> Iterator[Any]:
        closed = threading.Event()
        failures: list[Exception] = []

        def generate() -> None:
            try:
                self.model.generate(**arguments, streamer=streamer, stopping_criteria=[_StopWhen(closed)])
            except Exception as error:  # whatever it is, it belongs to the reader, who would wait for ever
                failures.append(error)
            finally:
                streamer.end()

        thread = threading.Thread(target=generate, daemon=True)
        thread.start()
        try:
            yield from filter(None, streamer)
        finally:
            closed.set()
            thread.join()
        if failures:
            raise failures[0]

    @contextmanager
    def _warning_of_clipped_boxes(self) -> Iterator[None]:
        """Say once, at the end, how many boxes were clipped inside."""
        before = self._encoder.clipped_boxes
        yield
        if clipped := self._encoder.clipped_boxes - before:
            logger.warning("boxes that stuck out of their image and were clipped to it: %d", clipped)

    def _generation_options(self, max_new_tokens: int, num_beams: int, temperature: float) -> dict[str, Any]:
        """Say everything about the search, so that a base's ``generation_config.json`` cannot add to it."""
        if max_new_tokens < 1 or num_beams < 1 or temperature < 0:
            raise MgimmError(
                f"max_new_tokens {max_new_tokens} and num_beams {num_beams} must be at least 1, "
                f"temperature {temperature} at least 0"
            )
        pad_id = self.tokenizer.pad_token_id
        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            do_sample=temperature > 0,
            temperature=float(temperature) or 1.0,
            top_p=1.0,
            top_k=50,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            num_return_sequences=1,
            eos_token_id=self._end_ids,
            pad_token_id=self._end_ids[0] if pad_id is None else pad_id,
        )
        return {"generation_config": config}

    def _decode(self, new_ids: list[int]) -> str:
        end = next((at for at, token in enumerate(new_ids) if token in self._end_ids), len(new_ids))
        return self.tokenizer.decode(new_ids[:end], skip_special_tokens=True).strip()

    def _current_image(self) -> EncodedImage:
        if self._image is None:
            raise MgimmError("there is no image to ask about: call set_image first")
        return self._image


class _StopWhen(StoppingCriteria):
    """Ends generation at the next word once an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), dtype=torch.bool, device=input_ids.device)
