"""How a tiny sample of a foreign format is made and written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mgimm_plugin.data.prepare.source import Source


@dataclass(frozen=True)
class Sample:
    """Files of a format.

    Attributes:
        files: Content by path.
        inputs: What is given to the reader, relative to the folder.
        images: Size of each image, by path in the folder ``images``.
        options: Further fields of ``Source``.
    """

    files: Mapping[str, bytes]
    inputs: tuple[str, ...] = ("labels",)
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, files: Mapping[str, bytes] | None = None) -> Source:
        """Write the sample, or ``files`` in place of its own, and return the source."""
        for name, content in (self.files if files is None else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        for name, size in self.images.items():
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_image(size))
        images = folder / "images" if self.images else None
        return Source([folder / name for name in self.inputs], images=images, **self.options)


def _image(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (90, 110, 80)).save(file, "PNG")
    return file.getvalue()


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def as_jsonl(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
