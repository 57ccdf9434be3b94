#!/usr/bin/env python
"""Show where the time of a training step and of an evaluation batch goes, as tables.

python scripts/profile_steps.py --device cpu
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import transformers
from torch.utils.hooks import RemovableHandle

import mgimm_plugin
from mgimm_plugin.bench.measuring import wait_for

REGION_BATCH, IMAGE_BATCH, QUESTIONS = 32, 8, 32
ROUNDS = 5


class Clock:
    """Seconds by part; a part inside another one is not counted twice."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device
        self._parts = ["the rest"]
        self._since = time.perf_counter()

    def _note(self) -> None:
        wait_for(self._device)
        now = time.perf_counter()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def switch(self, part: str) -> None:
        """What runs now belongs to another part."""
        self._note()
        self._parts[-1] = part

    def enter(self, part: str) -> None:
        """What runs from now on is a part of its own."""
        self._note()
        self._parts.append(part)

    def leave(self) -> None:
        """The part that was entered last is over."""
        self._note()
        self._parts.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside as a part."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def around(self, name: str, function: Any) -> Any:
        """The function, counted as a part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return call

    def hooks(self, name: str | Callable[[Any], str], module: torch.nn.Module) -> Iterator[RemovableHandle]:
        """Count a module's forward pass as a part, whose name may depend on the keyword arguments."""
        yield module.register_forward_pre_hook(
            lambda _, args, kwargs: self.enter(name if isinstance(name, str) else name(kwargs)), with_kwargs=True
        )
        yield module.register_forward_hook(lambda *_: self.leave())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    mgimm_plugin.register()
    transformers.utils.logging.disable_progress_bar()
    device = torch.device(parser.parse_args().device)
    for name, size in (("region", REGION_BATCH), ("image", IMAGE_BATCH)):
        table(f"A step of the {name} stage, {size} records", training(name, size, device))
    for name in ("region", "image"):
        table(f"A batch of {QUESTIONS} {name} questions", answering(name, device))


def training(name: str, size: int, device: torch.device) -> Clock:
    """Steps of a stage from the bundled bases."""
    from mgimm_plugin.bench.training import batch_loss
    from mgimm_plugin.bench.workload import stage, to_device
    from mgimm_plugin.model.lora import without_lora
    from mgimm_plugin.train.sampling import ImageGroupedSampler

    ready = stage(name, device)
    order = list(ImageGroupedSampler(ready.data.image_numbers, 0))[: size * ROUNDS]
    optimizer = torch.optim.AdamW([p for p in ready.model.parameters() if p.requires_grad], lr=1e-4)

    def steps(clock: Clock) -> None:
        ready.data.encoder.forget_images()
        for start in range(0, len(order), size):
            batch = ready.collate([ready.data[index] for index in order[start : start + size]])
            loss = batch_loss(ready.model, to_device(batch, device))
            with clock.part("backward: language model"):
                loss.backward()
            with clock.part("optimizer"):
                optimizer.step()
            optimizer.zero_grad()

    def leaving_the_llm(decoder: Any, args: Any, kwargs: dict[str, Any]) -> None:
        embeds = kwargs["inputs_embeds"]
        if embeds.requires_grad:
            embeds.register_hook(lambda _: clock.switch("backward: projector and region encoder"))

    steps(Clock(device))
    clock = Clock(device)
    model = without_lora(ready.model)
    hook = model.get_model().register_forward_pre_hook(leaving_the_llm, with_kwargs=True)
    with watching(clock, model):
        steps(clock)
    hook.remove()
    return clock


def answering(name: str, device: torch.device) -> Clock:
    """Questions as ``mgimm evaluate`` asks them."""
    from mgimm_plugin.bench.workload import records, scenes
    from mgimm_plugin.predictor import Predictor, Question

    predictor = Predictor.from_pretrained(device=device, dtype=torch.float32)
    questions = [
        Question(
            scenes() / str(record.image), record.conversations[0].value, tuple(r.bbox for r in record.regions)
        )
        for record in records(name)[:QUESTIONS]
    ]  # fmt: skip
    predictor.answer(questions, batch_size=QUESTIONS)
    clock = Clock(device)
    with watching(clock, predictor.model):
        for _ in range(ROUNDS):
            predictor.answer(questions, batch_size=QUESTIONS)
    return clock


@contextmanager
def watching(clock: Clock, model: Any) -> Iterator[None]:
    """Count the parts of loading and of the model."""
    from mgimm_plugin import question_encoder
    from mgimm_plugin.data import encoding

    decoder = model.get_model()
    with ExitStack() as stack:
        for owner, function, part in (
            (encoding, "tokenize_conversation", "tokenizing"),
            (question_encoder, "tokenize_prompt", "tokenizing"),
            (encoding, "open_image", "opening images"),
            (encoding, "preprocess_image", "resizing and normalizing images"),
        ):
            stack.enter_context(patch.object(owner, function, clock.around(part, getattr(owner, function))))
        modules: tuple[tuple[torch.nn.Module, str | Callable[[Any], str]], ...] = (
            (model.get_vision_tower(), "vision tower"),
            (decoder.region_encoder, "region encoder"),
            (decoder.mm_projector, "projector"),
            (decoder, _phase),
            (model.lm_head, "logits"),
        )
        for module, name in modules:
            for hook in clock.hooks(name, module):
                stack.callback(hook.remove)
        yield


def _phase(arguments: dict[str, Any]) -> str:
    """What the language model does: one position a row is a step of generation."""
    embeds = arguments.get("inputs_embeds")
    return "language model" if embeds is not None and embeds.shape[1] > 1 else "language model, word by word"


def table(title: str, clock: Clock) -> None:
    """Print the parts, the largest first."""
    whole = sum(clock.seconds.values())
    print(f"\n**{title}: {whole / ROUNDS * 1000:.0f} ms**\n\n| part | ms | share |\n| --- | --- | --- |")
    for part, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"| {part} | {seconds / ROUNDS * 1000:.1f} | {seconds / whole:.0%} |")


if __name__ == "__main__":
    main()
