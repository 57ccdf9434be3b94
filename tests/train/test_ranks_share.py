"""What several ranks divide among them: the batches of a step, and under ZeRO-3 the weights, loaded and saved."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.train.launch import start

ZERO3 = Path(__file__).resolve().parents[2] / "scripts" / "zero3.json"


def test_images_stay_together_in_the_batches_of_each_rank():
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler

    from mgimm_plugin.train.sampling import ImageGroupedSampler

    images = np.repeat(np.arange(40), 4)
    alone = list(BatchSampler(ImageGroupedSampler(images, 3), 8, drop_last=False))
    ranks = [
        list(BatchSamplerShard(BatchSampler(ImageGroupedSampler(images, 3), 8, drop_last=False), 2, rank))
        for rank in range(2)
    ]
    assert ranks == [alone[0::2], alone[1::2]]
    assert all(len(set(images[batch])) == 2 for batches in ranks for batch in batches)


def check_halves(argv: list[str]) -> None:
    """Build and save a model under ZeRO-3: what this rank holds of it before and after."""
    from mgimm_plugin.model import saving
    from mgimm_plugin.model.folders import CheckpointKind
    from mgimm_plugin.train.building import build_model
    from mgimm_plugin.train.command_line import parse_arguments

    model_args, data_args, args = parse_arguments(argv)
    rank = args.process_index
    model, tokenizer = build_model(model_args, data_args, args)
    for name, parameter in model.named_parameters():
        whole = parameter.ds_shape.numel()
        assert parameter.numel() == 0, f"{name} is whole on rank {rank}"
        assert parameter.ds_tensor.numel() == -(-whole // 2), name
    saving.SHARD_BYTES = 40_000
    folder = Path(args.output_dir)
    saving.save_checkpoint(model, tokenizer, folder / "full", CheckpointKind.FULL)
    assert all(parameter.numel() == 0 for parameter in model.parameters())


def test_no_rank_holds_the_whole_model_under_zero3(bench, tiny_llm, tmp_path):
    flags = bench.image_flags(bench.llm, tmp_path, vision_tower=bench.tower, lora_enable=False, deepspeed=ZERO3)
    start(flags, tmp_path / "log", ranks=2, main=check_halves).wait()
    saved = tmp_path / "full"
    index = json.loads((saved / "model.safetensors.index.json").read_text())["weight_map"]
    files = {file: load_file(saved / file) for file in set(index.values())}
    assert len(files) > 2
    assert {name: file for file, tensors in files.items() for name in tensors} == index
    weights = {name: tensor for tensors in files.values() for name, tensor in tensors.items()}
    for name, tensor in load_file(bench.llm / "model.safetensors").items():
        assert torch.equal(weights[name], tensor), name


@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_model_saved_in_several_files_is_read_back(bench, tmp_path, monkeypatch, tied):
    from mgimm_plugin.model import saving
    from mgimm_plugin.model.folders import CheckpointKind
    from mgimm_plugin.model.loading import load_model
    from tests.tiny import build_loaded

    loaded = build_loaded(bench.llm, bench.tower)
    if tied:
        loaded.model.config.tie_word_embeddings = True
        loaded.model.tie_weights()
    monkeypatch.setattr(saving, "SHARD_BYTES", 40_000)
    saving.save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "full", CheckpointKind.FULL)
    assert len(list((tmp_path / "full").glob("model-*.safetensors"))) > 2
    again = load_model(tmp_path / "full", device="cpu").model
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
