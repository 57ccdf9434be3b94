"""LLaVA's own entry point trains plain, region and image records, and leaves checkpoints of ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from llava.model import builder

import mgimm_plugin
from mgimm_plugin.data.scenes import write_scenes
from mgimm_plugin.model.folders import checkpoint_kind
from mgimm_plugin.model.region_encoder import build_region_encoder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Region records, image records with regions, plain LLaVA records with an image and without."""
    folder = tmp_path_factory.mktemp("mixed")
    write_scenes(folder, count=3, seed=5, size=64, workers=1, progress=False)
    lines = [
        *(folder / "region.jsonl").read_text().splitlines()[:6],
        *(folder / "image.jsonl").read_text().splitlines(),
    ]
    records = [json.loads(line) for line in lines]
    plain = {key: value for key, value in records[-1].items() if key not in ("regions", "references")}
    plain["conversations"] = [
        {"from": "human", "value": "<image>\nWhat is this?"},
        {"from": "gpt", "value": "A field."},
    ]
    text = {"id": "text", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello."}]}
    (folder / "mixed.json").write_text(json.dumps([*records, plain | {"id": "plain"}, text]))
    return folder


def llava_train(llm: Path, tower: Path, data: Path, output: Path, *flags: str) -> None:
    settings = {
        "model_name_or_path": llm,
        "vision_tower": tower,
        "version": "mgimm_v1",
        "data_path": data / "mixed.json",
        "image_folder": data,
        "image_aspect_ratio": "pad",
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": "-2",
        "mm_use_im_patch_token": "False",
        "output_dir": output,
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": "1e-2",
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": "True",
    }
    command = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "mgimm_plugin", "llava", "train.train", *command, *flags],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (["--tune_mm_mlp_adapter", "True"], "adapter"),
        (["--lora_enable", "True", "--lora_r", "4", "--lora_alpha", "8"], "lora"),
        ([], "full"),
    ],
)
def test_llavas_train_leaves_a_checkpoint_that_llavas_loader_reads(flags, kind, tiny_llm, tiny_tower, mixed, tmp_path):
    llava_train(tiny_llm("llama"), tiny_tower, mixed, tmp_path / "run", *flags)
    assert checkpoint_kind(tmp_path / "run") == kind
    assert not list((tmp_path / "run").glob("*.bin"))
    mgimm_plugin.register()
    tokenizer, model, _, _ = builder.load_pretrained_model(str(tmp_path / "run"), None, "run", device="cpu")
    assert model.config.mm_conversation_template == "mgimm_v1"
    ids = torch.tensor([tokenizer("Hello").input_ids])
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] <= 3
    trained, fresh = model.get_model().region_encoder, build_region_encoder(model.config)
    assert not torch.equal(trained.box_encoder.corner_embedding, fresh.box_encoder.corner_embedding)
