"""Count the FLOPs of an example and the trained parameters of a stage.

    python -m scripts.study.measuring RESULT.json FLAGS...

The flags are those of ``mgimm_plugin.train``. A sample of the stage's own batches, as it draws them, goes forward and
backward under torch's counter: matrix products and attention, the vision tower included, nothing estimated from a
formula.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import mgimm_plugin
from mgimm_plugin.data.whole_files import write_whole

BATCHES = 8


def measure(flags: list[str]) -> dict[str, Any]:
    """FLOPs of an example (forward and backward) and numbers of parameters.

    Args:
        flags: Flags of ``mgimm_plugin.train``.
    """
    from mgimm_plugin.train.building import build_model
    from mgimm_plugin.train.command_line import parse_arguments
    from mgimm_plugin.train.stages import build_data
    from mgimm_plugin.train.trainer import MgimmTrainer

    model_args, data_args, args = parse_arguments(flags)
    model, tokenizer = build_model(model_args, data_args, args)
    data, _, collate = build_data(model, tokenizer, data_args, args)
    trainer = MgimmTrainer(model=model, processing_class=tokenizer, args=args, train_dataset=data)
    chosen = _sample(list(trainer._get_train_sampler(data) or ()), data.lengths, args.train_batch_size)
    model.train()
    with FlopCounterMode(display=False) as counter:
        for indices in chosen:
            batch = collate([data[index] for index in indices])
            model(**_to(batch, args.device)).loss.backward()
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "flops_per_example": counter.get_total_flops() / sum(map(len, chosen)),
        "trained_parameters": sum(size for size, is_trained in sizes if is_trained),
        "parameters": sum(size for size, _ in sizes),
    }


def _sample(order: list[int], lengths: list[int], size: int) -> list[list[int]]:
    """Batches of an epoch, evenly spaced among all when these are sorted by length: few stand for the mean."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    batches.sort(key=lambda batch: sum(lengths[index] for index in batch) / len(batch))
    places = (np.arange(BATCHES) + 0.5) / BATCHES * len(batches)
    return [batches[int(place)] for place in places]


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _to(item, device) for key, item in value.items()}
    return [_to(item, device) for item in value] if isinstance(value, list) else value


def main() -> None:
    """Measure and write."""
    mgimm_plugin.register()
    write_whole(sys.argv[1], json.dumps(measure(sys.argv[2:]), indent=2) + "\n")


if __name__ == "__main__":
    main()
