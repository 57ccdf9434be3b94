"""Train the bundled mini vision tower and mini language model, from nothing, on generated scenes and their texts.

    python -m scripts.mini_bases.train                           # everything, into runs/mini/playground
    torchrun --nproc_per_node 2 -m scripts.mini_bases.train --only tower     # ranks share each step's scenes
    python -m scripts.mini_bases.train --device cuda --workers 16

Neither model sees a box: the tower learns from whole scenes and their sentences, the language model from text alone.
Runs end after a number of steps, so that the same machine makes the same weights again. A run that was killed goes on
from its last state (``--cache``) when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch

from mgimm_plugin.data.scenes import write_scenes

from .corpus import FEW
from .llm import train_llm
from .tower import TowerShape
from .tower_training import train_tower

STEPS = ("tower", "llm", "examples")
EXAMPLES_SEED, EXAMPLES = 77, 8


def write_examples(output: Path) -> None:
    """Write the example scenes: pictures, and the records of regions and images in one ``examples.jsonl``."""
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder), count=EXAMPLES, seed=EXAMPLES_SEED, workers=1, progress=False)
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(Path(folder) / "images", output / "images")
        lines = [
            line for name in ("image", "region") for line in (Path(folder) / f"{name}.jsonl").read_text().splitlines()
        ]
    records = sorted((json.loads(line) for line in lines), key=lambda record: str(record["id"]))
    (output / "examples.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def main() -> None:
    """Parse the arguments and run the steps that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STEPS, action="append", help="run this step alone (may be repeated)")
    parser.add_argument("--scenes", type=int, default=30_000, help="scenes of the tower (default: 30000)")
    parser.add_argument(
        "--tower-steps", type=int, nargs=2, default=(5000, 6000), help="of 12 and of 24 scenes (default: 5000 6000)"
    )
    parser.add_argument("--llm-steps", type=int, default=2400, help="steps of 8 to 64 answers (default: 2400)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("runs/mini/playground"), help="where the folders go")
    parser.add_argument("--cache", type=Path, default=Path("runs/mini/bases"), help="scenes and training states")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    shared = {"device": options.device, "workers": options.workers}
    steps = options.only or STEPS
    if "tower" in steps:
        steps_of_tower = (options.tower_steps[0], options.tower_steps[1])
        train_tower(options.output / "mini-clip", options.cache, steps=steps_of_tower, scenes=options.scenes, **shared)
    if "llm" in steps:
        side = TowerShape().side
        scenes = min(options.scenes, FEW)
        train_llm(
            options.output / "mini-llama", options.cache, steps=options.llm_steps, scenes=scenes, side=side, **shared
        )
    if "examples" in steps:
        write_examples(options.output / "examples")


if __name__ == "__main__":
    main()
