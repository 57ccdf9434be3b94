import json

import pytest
from PIL import Image
from transformers import CLIPImageProcessor

from mgimm_plugin.data.dataset import InstructionDataset
from mgimm_plugin.data.mixture import DataSource
from tests.data.tiny_records import SIDE, TOKENS_PER_IMAGE
from tests.tiny import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def folder(tmp_path):
    for index in range(6):
        Image.new("RGB", (40, 20), (40 * index, 0, 0)).save(tmp_path / f"{index}.png")
    return tmp_path


@pytest.fixture
def make(folder, tokenizer):
    def build(*files, weights=None, **changes):
        sources = []
        for number, records in enumerate(files):
            path = folder / f"file{number}.jsonl"
            path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records))
            sources.append(DataSource(path, (weights or [1] * len(files))[number]))
        replay = changes.pop("replay", None)
        if replay is not None:
            (folder / "replay.json").write_text(json.dumps(replay))
            changes["region_replay"] = [DataSource(folder / "replay.json")]
        settings = {
            "image_folder": folder,
            "tokenizer": tokenizer,
            "image_processor": CLIPImageProcessor(
                size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
            ),
            "template": "mgimm_plain",
            "image_aspect_ratio": "pad",
            "context_length": 128,
            "tokens_per_image": TOKENS_PER_IMAGE,
            **changes,
        }
        return InstructionDataset(sources, **settings)

    return build
