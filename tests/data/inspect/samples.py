"""Small files of records for the tests of checking, counting and looking."""

import json
from pathlib import Path

from PIL import Image


def turns(*texts):
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def region_record(identity="r0", **changes):
    record = {
        "id": identity,
        "image": "a.png",
        "width": 90,
        "height": 60,
        "regions": [{"bbox": [10, 10, 40, 30], "category": "ship", "phrase": "A gray ship"}],
        "conversations": turns("<region>\nWhat is it?", "A gray ship."),
    }
    return {**record, **changes}


def image_record(identity="i0", **changes):
    record = {
        "id": identity,
        "image": "a.png",
        "width": 90,
        "height": 60,
        "regions": [
            {"bbox": [10, 10, 40, 30], "category": "ship", "phrase": "A gray ship"},
            {"bbox": [50, 5, 88, 55], "category": "harbor", "attributes": {"color": "gray"}},
        ],
        "conversations": turns("<image>\n<region><region>\nDescribe the image.", "A ship beside a harbor."),
    }
    return {**record, **changes}


def write_lines(path: Path, items) -> Path:
    """JSONL; a text is written as it is, so that a line may be broken."""
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def save_image(path: Path, size=(90, 60), color=(90, 120, 80)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path
