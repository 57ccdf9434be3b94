"""Train the bundled mini vision tower and mini language model, from nothing, on generated scenes and their texts.

    python scripts/train_mini_bases.py                        # everything, about an hour on two CPU cores
    python scripts/train_mini_bases.py --only llm --minutes 10
    python scripts/train_mini_bases.py --only tower --resume  # goes on from the last state

Neither model sees a box: the tower learns from whole scenes and their sentences, the language model from text alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

STEPS = ("tokenizer", "llm", "tower", "examples")
EXAMPLES_SEED, EXAMPLES = 77, 8


def write_examples(output: Path) -> None:
    """Write the example scenes: pictures, and the records of regions and images in one ``examples.jsonl``."""
    from mgimm_plugin.data.scenes import write_scenes

    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder), world="mini", count=EXAMPLES, seed=EXAMPLES_SEED, workers=1, progress=False)
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
    parser.add_argument("--minutes", type=float, default=25.0, help="time to train each model (default: 25)")
    parser.add_argument("--scenes", type=int, default=9000, help="scenes the tower is trained on (default: 9000)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--resume", action="store_true", help="start from the state of the last run of the step")
    parser.add_argument("--output", type=Path, default=ROOT / "playground", help="where the folders go")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "mini_bases", help="scenes and training states")
    options = parser.parse_args()

    import torch
    from mini_bases.llm import train_llm, train_tokenizer
    from mini_bases.tower import train_tower

    torch.set_num_threads(options.threads)
    steps = options.only or STEPS
    if "tokenizer" in steps:
        train_tokenizer(options.output / "mini-llama")
    if "llm" in steps:
        train_llm(options.output / "mini-llama", options.cache, minutes=options.minutes, resume=options.resume)
    if "tower" in steps:
        train_tower(
            options.output / "mini-clip",
            options.cache,
            minutes=options.minutes,
            scenes=options.scenes,
            resume=options.resume,
        )
    if "examples" in steps:
        write_examples(options.output / "examples")


if __name__ == "__main__":
    main()
