"""LLaVA's own checkpoints are starting points: their projector is kept, the region encoder is made."""

import json
import shutil
from fnmatch import fnmatch

import pytest
import torch
from llava.model import builder
from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
from safetensors.torch import load_file, save_file

import mgimm_plugin
from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model import paths
from mgimm_plugin.model.config import load_config
from mgimm_plugin.model.keys import adapter_tensors
from mgimm_plugin.model.loading import load_model
from tests.tiny import SIDE, build_loaded, build_tokenizer

IDS = torch.tensor([[5, -200, 6, 7]])


@pytest.fixture
def llava(tmp_path, tiny_llm, tiny_tower):
    """A full LLaVA checkpoint, its vision tower's weights among the others."""
    values = json.loads((tiny_llm("llama") / "config.json").read_text())
    vision = {
        "mm_vision_tower": str(tiny_tower),
        "mm_hidden_size": 32,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "image_aspect_ratio": "square",
    }
    torch.manual_seed(6)
    model = LlavaLlamaForCausalLM(LlavaConfig(**{k: v for k, v in values.items() if k != "model_type"}, **vision))
    model.get_vision_tower().load_model()
    model.save_pretrained(tmp_path / "llava")
    build_tokenizer(tmp_path / "llava")
    return tmp_path / "llava", model.eval()


@pytest.mark.parametrize("model_type", ["llava_llama", "llava"])
def test_it_answers_about_images_as_before(llava, tiny_tower, model_type):
    folder, theirs = llava
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": model_type}))
    assert any("vision_tower" in name for name in load_file(folder / "model.safetensors"))
    ours = build_loaded(folder, tiny_tower).model
    assert ours.config.model_type == "mgimm_llama"
    assert ours.config.image_aspect_ratio == "pad"  # as asked, not as it was
    images = torch.randn(1, 3, SIDE, SIDE)
    wanted = theirs(IDS, images=images).logits
    torch.testing.assert_close(ours(IDS, images=images).logits, wanted, atol=1e-4, rtol=1e-4)
    assert all(tensor.isfinite().all() for tensor in adapter_tensors(ours).values())


def test_it_is_loaded_as_a_model_that_takes_no_regions(llava):
    folder, theirs = llava
    ours = load_model(folder, device="cpu").model
    assert ours.config.mm_region_encoder == "none"
    assert ours.config.image_aspect_ratio == "square"  # as it was
    images = torch.randn(1, 3, SIDE, SIDE)
    torch.testing.assert_close(ours(IDS, images=images).logits, theirs(IDS, images=images).logits, atol=1e-4, rtol=1e-4)


def tuned(folder):
    """The same checkpoint after its tower was trained too, as LLaVA-1.6's."""
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "unfreeze_mm_vision_tower": True}))
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if name.startswith("model.vision_tower.") and "layer_norm" in name:
            tensors[name] = tensors[name] + 0.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_tower_that_was_tuned_is_the_checkpoints_own(llava):
    folder, theirs = llava
    images = torch.randn(1, 3, SIDE, SIDE)
    before = theirs(IDS, images=images).logits
    tuned(folder)
    theirs.load_state_dict(load_file(folder / "model.safetensors"))
    wanted = theirs(IDS, images=images).logits
    assert (wanted - before).abs().max() > 0.01
    torch.testing.assert_close(
        load_model(folder, device="cpu").model(IDS, images=images).logits, wanted, atol=1e-4, rtol=1e-4
    )
    mgimm_plugin.register()
    loaded = builder.load_pretrained_model(str(folder), None, "llava", device="cpu")[1]
    logits = loaded(IDS, images=images).logits[..., : wanted.shape[-1]]  # LLaVA adds a token
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_a_tuned_tower_that_is_not_there_is_an_error(llava):
    folder, _ = llava
    tuned(folder)
    tensors = load_file(folder / "model.safetensors")
    rest = {name: tensor for name, tensor in tensors.items() if "vision_tower" not in name}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="whose vision tower was tuned: missing embeddings"):
        load_model(folder, device="cpu")


def test_training_does_not_start_from_a_tuned_tower(llava, tiny_tower):
    folder, _ = llava
    tuned(folder)
    with pytest.raises(CheckpointError, match=r"its vision tower was tuned .* start from one with a frozen tower"):
        build_loaded(folder, tiny_tower)


def test_keys_that_are_missing_mean_what_they_mean_to_llava(llava):
    folder, _ = llava
    settings = json.loads((folder / "config.json").read_text())
    del settings["image_aspect_ratio"], settings["mm_projector_type"]
    (folder / "config.json").write_text(json.dumps(settings))
    config = load_config(str(folder))
    assert (config.image_aspect_ratio, config.mm_projector_type) == ("square", "linear")


def test_canvases_may_be_a_text_as_llavas_own_flag_is(llava):
    folder, _ = llava
    settings = json.loads((folder / "config.json").read_text())
    for value in ("[(112, 56), (56, 112)]", [[112, 56], [56, 112]]):
        changes = {"image_aspect_ratio": "anyres", "image_grid_pinpoints": value}
        (folder / "config.json").write_text(json.dumps(settings | changes))
        assert load_config(str(folder)).image_grid_pinpoints == [[112, 56], [56, 112]]
    (folder / "config.json").write_text(json.dumps(settings | {"image_grid_pinpoints": "(1x1),...,(6x6)"}))
    with pytest.raises(CheckpointError, match=r"image_grid_pinpoints .* not pairs of sides"):
        load_config(str(folder))


def test_pickled_weights_come_from_the_hub_where_there_are_no_others(tmp_path, monkeypatch):
    """As those of LLaVA's own models are."""
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    hub.mkdir()
    weights = {"pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"}
    for name in ("config.json", "training_args.bin", *weights):
        (hub / name).write_text("{}")

    def download(path, allow_patterns):
        cache.mkdir(exist_ok=True)
        for file in hub.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, cache)
        return str(cache)

    monkeypatch.setattr(paths, "snapshot_download", download)
    found = {file.name for file in paths.local_folder("somebody/llava").iterdir()}
    assert found == {"config.json", *weights}
    (hub / "model.safetensors").write_text("")
    shutil.rmtree(cache)
    assert not any(paths.local_folder("somebody/llava").glob("*-of-*"))


def test_a_llava_model_without_projector_is_an_error(llava):
    folder, _ = llava
    tensors = {k: v for k, v in load_file(folder / "model.safetensors").items() if "mm_projector" not in k}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing model\.mm_projector"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"mm_vision_tower": None}, "no mm_vision_tower"), ({"mm_use_im_start_end": True}, "im_start")],
)
def test_a_llava_model_that_cannot_be_used_says_why(llava, change, reason):
    folder, _ = llava
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | change))
    with pytest.raises(CheckpointError, match=reason):
        load_model(folder, device="cpu")


def test_half_a_projector_is_an_error(llava, tiny_tower):
    folder, _ = llava
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.mm_projector.0.bias"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing model\.mm_projector\.0\.bias"):
        build_loaded(folder, tiny_tower)


def test_a_projector_for_another_tower_is_an_error(llava, tmp_path):
    from tests.tiny import build_tower

    with pytest.raises(CheckpointError, match=r"shapes differ .*mm_projector\.0\.weight"):
        build_loaded(llava[0], build_tower(tmp_path / "wide", hidden=48))
