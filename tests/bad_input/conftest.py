"""Checkpoints of every kind, a folder with images that nobody wants, and the programs that meet them."""

import pytest
from PIL import Image

import mgimm_plugin
from tests.bad_input.cases import HEIGHT, WIDTH, mgimm, own_logging, png_header, write


@pytest.fixture(scope="session")
def checkpoints(tiny_llm, tiny_tower, tmp_path_factory):
    """One folder of each kind, named after it; they lie beside each other, and their bases elsewhere."""
    from mgimm_plugin.model.folders import CheckpointKind
    from mgimm_plugin.model.lora import add_lora
    from mgimm_plugin.model.saving import save_checkpoint
    from tests.tiny import build_loaded

    tokenizer, model, _, _ = build_loaded(tiny_llm("llama"), tiny_tower)
    folder = tmp_path_factory.mktemp("checkpoints")
    save_checkpoint(model, tokenizer, folder / "full", CheckpointKind.FULL)
    save_checkpoint(model, tokenizer, folder / "adapter", CheckpointKind.ADAPTER)
    save_checkpoint(add_lora(model, r=2, alpha=4, dropout=0.0), tokenizer, folder / "lora", CheckpointKind.LORA)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with images: a good one, and others that nobody wants."""
    Image.effect_noise((WIDTH, HEIGHT), 80).convert("RGB").save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:300])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "bomb.png").write_bytes(png_header(60_000, 60_000))
    return tmp_path


@pytest.fixture
def describe(checkpoints):
    def run(*args, model=checkpoints / "full"):
        return mgimm("describe", *args, "--model", model, "--max-new-tokens", "4", "--device", "cpu")

    return run


@pytest.fixture
def evaluate(checkpoints, folder):
    def run(records, *args):
        data = write(folder / "test.jsonl", records)
        options = ["--data", data, "--output", folder / "out", "--max-new-tokens", "4", "--device", "cpu"]
        return mgimm("evaluate", "--model", checkpoints / "full", *options, *args)

    return run


@pytest.fixture
def no_java(monkeypatch):
    """A machine without Java; METEOR would also take seconds to start."""
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def train(folder, tiny_llm, tiny_tower, capsys):
    """Run ``python -m mgimm_plugin.train`` in this process: its exit status and what it wrote on standard error."""
    mgimm_plugin.register()
    from mgimm_plugin.train.stages import main

    def run(records, *args, start=None):
        data = write(folder / "train.jsonl", records)
        values = {
            "model_name_or_path": start or tiny_llm("llama"), "vision_tower": tiny_tower, "data_path": data,
            "image_folder": folder, "output_dir": folder / "run", "max_steps": 1,
            "per_device_train_batch_size": 2, "save_strategy": "no", "report_to": "none", "use_cpu": True,
            **({} if start else {"mm_region_mlp_dim": 32}),  # a checkpoint has settings of its own
        }  # fmt: skip
        flags = [str(text) for name, value in values.items() for text in (f"--{name}", value)]
        with own_logging():
            status = main([*flags, *args])
        return status, capsys.readouterr().err

    return run
