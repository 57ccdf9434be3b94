"""Make the bundle from a run of ``scripts/train_mini.sh``: weights in bfloat16, scores, and the model card.

python -m scripts.mini_bases.bundle RUN
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import torch
from safetensors.torch import load_file, save_file

import mgimm_plugin
from mgimm_plugin.data.scenes import split_seed, write_scenes
from mgimm_plugin.model.folders import ADAPTER_FILE, LORA_FILE, partial_name, publish, start_partial

from .scores import HELD_OUT, LOWER_IS_BETTER, held_out_scores

SCORES_FILE, CARD_FILE, SECONDS_FILE = "scores.json", "README.md", "seconds.txt"
_COPIED = ("config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json")


def write_bundle(run: Path) -> Path:
    """Write ``mgimm-mini`` beside the bases of a run.

    Args:
        run: Folder with ``playground/mini-clip``, ``playground/mini-llama`` and ``playground/image``, the checkpoint.

    Returns:
        The folder of the bundled model.
    """
    checkpoint, bundle = run / "playground" / "image", run / "playground" / "mgimm-mini"
    start_partial(bundle)
    for name in _COPIED:
        shutil.copy(checkpoint / name, partial_name(bundle) / name)
    for name in (ADAPTER_FILE, LORA_FILE):
        tensors = {key: _rounded(key, tensor) for key, tensor in load_file(checkpoint / name).items()}
        save_file(tensors, partial_name(bundle) / name, metadata={"format": "pt"})
    publish(bundle)
    return bundle


def _rounded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    # Places are told by phases, of which rounded frequencies make others.
    return tensor if name.endswith("fourier_matrix") else tensor.to(torch.bfloat16)


def draw_held_out(folder: Path) -> Path:
    """Draw the scenes that are scored, unless they are there."""
    if not (folder / "dataset.json").is_file():
        write_scenes(folder, count=HELD_OUT.count, seed=split_seed(HELD_OUT.split, HELD_OUT.seed), workers=1)
    return folder


def write_scores(bundle: Path, run: Path) -> dict[str, Any]:
    """Score the bundle as it is, rounded weights and all."""
    scores = held_out_scores(bundle, draw_held_out(run / "held_out"), run / "scores")
    by_name = {name: {key: list(score) for key, score in some.items()} for name, some in scores.items()}
    content = {"scenes": asdict(HELD_OUT), "scores": by_name}
    (bundle / SCORES_FILE).write_text(json.dumps(content, indent=1) + "\n")
    return content


def write_card(bundle: Path, run: Path, scores: dict[str, Any]) -> None:
    """Write the model card, from the scores, the run's own record of its time, and the state of the checkout."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(Path(__file__).with_name("model_card.md.j2").read_text())
    minutes: dict[str, float] = {}
    for line in (run / SECONDS_FILE).read_text().splitlines():
        part, seconds = line.rsplit(" ", 1)
        minutes[part] = minutes.get(part, 0.0) + int(seconds) / 60
    folders = [bundle, *(bundle.parent / name for name in ("mini-clip", "mini-llama"))]
    card = template.render(
        **scores,
        lower_is_better=LOWER_IS_BETTER,
        minutes=minutes,
        megabytes={folder.name: sum(file.stat().st_size for file in folder.iterdir()) / 1e6 for folder in folders},
        commit=subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True
        ).stdout.strip(),
        hardware=hardware(),
    )
    (bundle / CARD_FILE).write_text(card)


def hardware() -> str:
    """What the model is trained on: both stages take a GPU where torch can use one."""
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join([*gpu, f"{os.cpu_count()} CPU cores ({platform.machine()})", f"torch {torch.__version__}"])


def main() -> None:
    """Make the bundle of the run that is named."""
    mgimm_plugin.register()
    run = Path(sys.argv[1])
    bundle = write_bundle(run)
    write_card(bundle, run, write_scores(bundle, run))
    print(bundle)


if __name__ == "__main__":
    main()
