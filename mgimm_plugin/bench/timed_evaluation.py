"""A program for ``bench.scale_out``: an evaluation by the bundled model, timed once the model is loaded."""

from __future__ import annotations

import os
import sys
import time

import mgimm_plugin


def main(data: str, images: str, output: str, device: str) -> None:
    """Evaluate, and print the seconds."""
    mgimm_plugin.register()
    from mgimm_plugin.evaluate import evaluate
    from mgimm_plugin.predictor import Predictor

    where = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device
    predictor = Predictor.from_pretrained(device=where)
    began = time.perf_counter()
    evaluate(predictor, data, images, output, max_new_tokens=60, progress=False)
    print(f"asked in {time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
