"""A predictor of random weights, and questions of every kind."""

import pytest
import torch
from PIL import Image

from mgimm_plugin.predictor import Question
from tests.predictor.building import build_predictor


@pytest.fixture(scope="package")
def predictor(tmp_path_factory):
    return build_predictor(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="package")
def images():
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (3, 60, 90, 3), generator=generator, dtype=torch.uint8)
    return [Image.fromarray(pixels.numpy()) for pixels in noise]


@pytest.fixture(scope="package")
def questions(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "a.png"
    images[1].save(path)
    return [
        Question(images[0], "<region>\nWhat is it?", [(0, 0, 30, 30)]),
        Question(path, "<image>\nDescribe this remote sensing image in detail.", []),
        Question(images[0], "<image>\n<region><region>\nDescribe.", [(0, 0, 30, 30), (40, 10, 90, 60)]),
        Question(None, "Hello?"),
        Question(str(path), "<region>\nWhat is it?", [(5, 5, 80, 50)]),
        Question(images[2], "Is <region> larger than <region>?", [(5, 5, 80, 50), (0, 0, 9, 9)]),
        Question(images[0], "<region>\nWhat is it?", [(40, 10, 90, 60)]),
    ]
