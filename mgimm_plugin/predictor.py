"""Ask a model about images and regions.

Example:
    >>> predictor = Predictor.from_pretrained("runs/mgimm-image")
    >>> predictor.set_image("golf_course.png")
    >>> predictor.describe_regions([(133, 237, 684, 672)])
    ['A green and brown golf field.']
    >>> predictor.describe_image()
    'A golf field between two roads. ...'
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mgimm_plugin.batch_answering import BatchAnswering
from mgimm_plugin.constants import (
    DEFAULT_IMAGE_TOKEN,
    DEFAULT_MAX_PIXELS,
    DEFAULT_REGION_TOKEN,
    IMAGE_QUESTION,
    REGION_QUESTION,
)
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.growing_answers import GrowingAnswer, growing_answers, pieces
from mgimm_plugin.model.families import family_of
from mgimm_plugin.model.listening import OnToken
from mgimm_plugin.model.loading import LoadedModel, load_model
from mgimm_plugin.model.paths import resolve_folder
from mgimm_plugin.model.searching import search_settings
from mgimm_plugin.question_encoder import QuestionEncoder
from mgimm_plugin.questions import Box, EncodedImage, ImageLike, PreparedImage, Question
from mgimm_plugin.resources import bundled_model
from mgimm_plugin.tokenization import end_token_ids

__all__ = ["EncodedImage", "Predictor", "PreparedImage", "Question"]


class Predictor:
    """Answers questions, in batches or word by word. Greedy unless told otherwise, so that an answer can be repeated.

    Boxes that stick out of their image are clipped to it, with a warning that says how many.

    Args:
        loaded: What ``load_model`` returns.
        template: Name of the conversation template; by default the one that the model was tuned with.
        max_pixels: Larger image files are refused.
        name_or_path: What was loaded, where it shall be known.
        base: Its base, where it is not the one that its config names.

    Attributes:
        end_ids: Tokens that end an answer.
        name_or_path: Absolute path of the folder, or Hub id, that the model was loaded from; None where nobody said.
        base: The same of its base; None is the one that its config names.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        template: str | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        name_or_path: str | Path | None = None,
        base: str | Path | None = None,
    ) -> None:
        self.tokenizer, self.model = loaded.tokenizer, loaded.model
        config = self.model.config
        tuned_with = getattr(config, "mm_conversation_template", None)
        self.template: str = template or tuned_with or family_of(config.model_type).template
        self.end_ids = end_token_ids(self.template, self.tokenizer)
        self.name_or_path = None if name_or_path is None else resolve_folder(str(name_or_path))
        self.base = None if base is None else resolve_folder(str(base))
        self._loaded, self._max_pixels = loaded, max_pixels
        self._encoder = QuestionEncoder(loaded, self.template, max_pixels)
        self._settings = partial(search_settings, self.end_ids, self.tokenizer.pad_token_id)
        self._image: EncodedImage | None = None
        self._asking = threading.Lock()

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
            dtype: By default float32 on CPU, bfloat16 on CUDA, and float16 on GPUs before Ampere.
            template: Name of the conversation template; by default the one that the model was tuned with.
            max_pixels: Larger image files are refused.

        Raises:
            CheckpointError: The folder is no whole checkpoint.
        """
        name = bundled_model() if model is None else model
        loaded = load_model(name, base, device=device, dtype=dtype)
        return cls(loaded, template=template, max_pixels=max_pixels, name_or_path=name, base=base)

    def with_template(self, template: str) -> Predictor:
        """The same model in memory, asked in the words of another conversation template."""
        other = Predictor(
            self._loaded,
            template=template,
            max_pixels=self._max_pixels,
            name_or_path=self.name_or_path,
            base=self.base,
        )
        other._asking = self._asking
        return other

    def encode_image(self, image: ImageLike) -> EncodedImage:
        """Run the vision pass of an image, for any number of questions after.

        Raises:
            ImageError: It cannot be read.
        """
        return self._encoder.encode_images([self._encoder.prepare(image)])[0]

    def prepare_image(self, image: ImageLike) -> PreparedImage:
        """Read an image and scale it to what the vision tower takes; any thread may do this while another asks.

        Raises:
            ImageError: It cannot be read, or not be used.
        """
        return self._encoder.prepare(image)

    def check(self, question: Question, *, max_new_tokens: int) -> int:
        """See whether a question can be asked, without asking it; any thread may do this while another asks.

        Returns:
            How many positions of the language model it takes, images and regions included.

        Raises:
            RecordError: It cannot; the subclass says why.
        """
        return self._encoder.check(question, max_new_tokens)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True).strip()

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
        max_new_tokens: int | Sequence[int] = 200,
        batch_size: int = 16,
        num_beams: int = 1,
        temperature: float = 0.0,
        on_progress: Callable[[int], None] | None = None,
        on_token: OnToken | None = None,
        is_unwanted: Callable[[], bool] | None = None,
    ) -> list[str]:
        """Answer questions in batches of similar length. Threads that ask at the same time take turns.

        A batch that does not fit the GPU's memory is answered in halves, as long as none of its tokens was told.

        Args:
            questions: The questions.
            max_new_tokens: Longest answer, in tokens; one number for all questions, or, without beams, one for each.
            batch_size: Questions answered together.
            num_beams: 1 is greedy.
            temperature: 0 is greedy; 0.01 and above sample, and the answers differ from call to call.
            on_progress: Called after every batch, or part of one, with the number of questions answered so far.
            on_token: Called with the position of a question, and the id and the log-probability of each token of its
                answer as it comes, to its end token (one of ``end_ids``); True ends that answer. Not with beams, which
                take words back.
            is_unwanted: Asked before every batch, and at every step of a search with beams: True ends it all there.

        Returns:
            One text a question, in the order of the questions; empty where an answer was not begun.

        Raises:
            RecordError: A question that cannot be asked, by its id; the subclass says why.
            torch.OutOfMemoryError: A question does not fit the GPU's memory by itself, or a batch no longer does of
                which tokens were told.
        """
        if batch_size < 1:
            raise MgimmError(f"batch_size is {batch_size}; it must be at least 1")
        each = [max_new_tokens] if isinstance(max_new_tokens, int) else list(max_new_tokens)
        if num_beams > 1 and (on_token is not None or len(set(each)) > 1):
            raise MgimmError(f"on_token, and max_new_tokens that differ, need num_beams 1, not {num_beams}")
        settings = partial(self._settings, num_beams=num_beams, temperature=temperature)
        settings(max_new_tokens=min(each, default=1))  # its numbers are checked, asked or not
        limits = each * len(questions) if isinstance(max_new_tokens, int) else each
        asked = BatchAnswering(self._encoder, questions, limits, settings, on_token, is_unwanted)
        answers: dict[int, str] = {}
        with self._asking, self._encoder.telling_of_clipped_boxes():
            for rows, new_ids in asked.batches(batch_size):
                answers.update(zip(rows, map(self._decode, new_ids), strict=True))
                if on_progress is not None:
                    on_progress(len(answers))
        return [answers.get(i, "") for i in range(len(questions))]

    def stream(
        self, text: str, boxes: Iterable[Box] = (), *, max_new_tokens: int = 200, temperature: float = 0.0
    ) -> Iterator[str]:
        """Answer one question about the image piece by piece, as the words come; closing the iterator stops the model.

        Args:
            text: The user's words, with ``<image>`` or one ``<region>`` for each box.
            boxes: xyxy in pixels of the image.
            max_new_tokens: Longest answer, in tokens.
            temperature: 0 is greedy; 0.01 and above sample.

        Raises:
            RecordError: The question cannot be asked; raised by the call, before the first piece.
        """
        speaks_of_image = DEFAULT_IMAGE_TOKEN in text or DEFAULT_REGION_TOKEN in text
        question = Question(self._current_image() if speaks_of_image else None, text, tuple(boxes))
        return pieces(self.stream_answers([question], max_new_tokens=max_new_tokens, temperature=temperature))

    def stream_answers(
        self,
        questions: Sequence[Question],
        *,
        max_new_tokens: int = 200,
        batch_size: int = 16,
        num_beams: int = 1,
        temperature: float = 0.0,
    ) -> Generator[list[GrowingAnswer]]:
        """Answer questions in batches and show all answers as they grow, with the model's confidence in each.

        Closing the iterator stops the model. A reader that is slower than the model is not shown every step; one that
        waits for long is shown the same again. With beams there are no words before the end, and no confidence.

        Args:
            questions: The questions.
            max_new_tokens: Longest answer, in tokens.
            batch_size: Questions answered together.
            num_beams: 1 is greedy.
            temperature: 0 is greedy; 0.01 and above sample.

        Returns:
            All answers so far, in the order of the questions, again and again until all have ended.

        Raises:
            RecordError: A question cannot be asked; raised by the call, before the first step.
        """
        self._settings(max_new_tokens=max_new_tokens, num_beams=num_beams, temperature=temperature)
        for question in questions:
            self._encoder.check(question, max_new_tokens)

        def ask(on_token: OnToken, is_unwanted: Callable[[], bool]) -> list[str]:
            return self.answer(
                questions,
                max_new_tokens=max_new_tokens,
                batch_size=batch_size,
                num_beams=num_beams,
                temperature=temperature,
                on_token=on_token if num_beams == 1 else None,
                is_unwanted=is_unwanted,
            )

        return growing_answers(ask, len(questions), self.end_ids, self.decode)

    def _decode(self, new_ids: list[int]) -> str:
        end = next((at for at, token in enumerate(new_ids) if token in self.end_ids), len(new_ids))
        return self.decode(new_ids[:end])

    def _current_image(self) -> EncodedImage:
        if self._image is None:
            raise MgimmError("there is no image to ask about: call set_image first")
        return self._image
