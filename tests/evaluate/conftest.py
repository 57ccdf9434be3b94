"""A small evaluation set on disk."""

import json

import pytest
from PIL import Image

from tests.evaluate.evaluation_set import COLORS, Answerer, region_record


@pytest.fixture
def image_folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (64, 48), color).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def write_data(tmp_path):
    def write(records, name="data.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write


@pytest.fixture
def region_data(write_data):
    positions = ["top left", "center", "bottom right", "top left", "center"]
    colors = ["red", "white", "blue", "white", "red"]
    return write_data([region_record(*item) for item in zip(range(5), colors, positions, strict=True)])


@pytest.fixture
def answerer():
    return Answerer()
