"""Generation: regions of one image, and many images, one question after another against batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from mgimm_plugin.bench.measuring import REPEATS, Measurement, in_turns
from mgimm_plugin.bench.workload import records, scenes
from mgimm_plugin.constants import DEFAULT_REGION_TOKEN, REGION_QUESTION
from mgimm_plugin.predictor import Predictor, Question

REGIONS = 32
BATCH = 32


def regions(device: torch.device) -> Iterator[Measurement]:
    """Descriptions of the regions of one image: a generation each, the image encoded each time, or all at once."""
    predictor = Predictor.from_pretrained(device=device, dtype=torch.float32)
    record = records("image")[0]
    image = scenes() / str(record.image)
    corners = np.random.default_rng(0).uniform(0, 150, (REGIONS, 2))
    boxes = [(x, y, x + 60, y + 50) for x, y in corners.tolist()]
    questions = [Question(image, f"{DEFAULT_REGION_TOKEN}\n{REGION_QUESTION}", (box,)) for box in boxes]

    def usual() -> list[str]:
        return [predictor.answer([question])[0] for question in questions]

    def ours() -> list[str]:
        predictor.set_image(image)
        return predictor.describe_regions(boxes, batch_size=REGIONS)

    yield _compared("regions", f"{REGIONS} regions of one image", usual, ours, device)


def evaluate(device: torch.device) -> Iterator[Measurement]:
    """Answers to many images' questions, one by one and in batches."""
    predictor = Predictor.from_pretrained(device=device, dtype=torch.float32)
    for kind, count in (("region", 64), ("image", 24)):
        questions = [
            Question(
                scenes() / str(record.image),
                record.conversations[0].value,
                tuple(region.bbox for region in record.regions),
            )
            for record in records(kind)[:count]
        ]

        def usual(questions: list[Question] = questions) -> list[str]:
            return [predictor.answer([question])[0] for question in questions]

        def ours(questions: list[Question] = questions) -> list[str]:
            return predictor.answer(questions, batch_size=BATCH)

        yield _compared("evaluate", f"{count} {kind} questions, batches of {BATCH}", usual, ours, device)


def _compared(
    name: str, case: str, usual: Callable[[], list[str]], ours: Callable[[], list[str]], device: torch.device
) -> Measurement:
    different = sum(a != b for a, b in zip(usual(), ours(), strict=True))
    times = in_turns(usual, ours, repeats=REPEATS, device=device)
    return Measurement(
        name=name, case=case, usual_s=times[0], ours_s=times[1], max_difference=float(different),
        more={"max_difference_is": "answers that differ"},
    )  # fmt: skip
