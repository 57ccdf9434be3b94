"""What tells one model folder from another: a hash of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgimm_plugin.model.paths import resolve_folder

# By the ends of their names; other files in the folder (logs, an evaluation's own results) change nothing.
_MODEL_FILES = (".safetensors", ".bin", "config.json", "tokenizer.json", "tokenizer.model")
# Files up to this size are hashed whole, larger ones in samples of that many bytes: tuning changes a tensor everywhere.
_HASHED_BYTES = 1 << 26
_SAMPLE_BYTES = 1 << 16


def model_fingerprint(folder: Path) -> str:
    """One hash over configs and weights, so that a model tuned anew is another model.

    Args:
        folder: A checkpoint. The language model and the vision tower that its config names are part of it, where they
            are local folders.
    """
    return _fingerprint([folder, *_named_folders(folder)])


def folder_fingerprint(folder: Path) -> str:
    """As ``model_fingerprint``, of the folder alone: the models that its config names may have been moved."""
    return _fingerprint([folder])


def model_identity(model: str | None) -> str | None:
    """What tells a model from others: the hash of a local folder; the name of one on the Hub."""
    return model if model is None or not Path(model).is_dir() else model_fingerprint(Path(model))


def _fingerprint(folders: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.endswith(_MODEL_FILES):
                digest.update(f"{file.name}:{file.stat().st_size}:".encode())
                _hash_samples(digest, file)
    return digest.hexdigest()


def _named_folders(folder: Path) -> list[Path]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        names = [config.get(key) for key in ("mm_base_model", "mm_vision_tower")]
    except (OSError, ValueError, AttributeError):
        return []  # nothing that could have been loaded
    found = [Path(resolve_folder(name, folder)) for name in names if name]
    return [path for path in found if path.is_dir()]


def _hash_samples(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _HASHED_BYTES:
            digest.update(file.read())
            return
        samples = _HASHED_BYTES // _SAMPLE_BYTES
        for number in range(samples):
            file.seek(number * (size - _SAMPLE_BYTES) // (samples - 1))
            digest.update(file.read(_SAMPLE_BYTES))
