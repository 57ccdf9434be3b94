import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch

from mgimm_plugin.errors import CheckpointError, MgimmError
from tests.patches.tiny_llava import llama_settings, multimodal_settings


def load(path, base=None, **options):
    from llava.model.builder import load_pretrained_model

    return load_pretrained_model(str(path), base and str(base), "any name", device="cpu", **options)


def describe(loaded, picture: Path, words: str = "describe the image") -> list[int]:
    """Greedy ids after an image and a few words."""
    from llava.mm_utils import process_images, tokenizer_image_token
    from PIL import Image

    tokenizer, model, image_processor, _ = loaded
    image = Image.open(picture).convert("RGB")
    pixels = process_images([image], image_processor, model.config)
    ids = tokenizer_image_token(f"USER: <image>\n{words} ASSISTANT:", tokenizer, return_tensors="pt")[None]
    return model.generate(ids, images=pixels, image_sizes=[image.size], do_sample=False, max_new_tokens=8)[0].tolist()


@pytest.fixture(scope="module")
def reference(llava_folder, tower_folder):
    """The same checkpoint loaded class by class, without LLaVA's loader."""
    from llava.model.language_model.llava_llama import LlavaLlamaForCausalLM
    from transformers import AutoTokenizer

    model = LlavaLlamaForCausalLM.from_pretrained(llava_folder, dtype=torch.float32).eval()
    model.get_vision_tower().load_model()
    return AutoTokenizer.from_pretrained(llava_folder), model, model.get_vision_tower().image_processor, 2048


def test_unpatched_loader_goes_by_the_folders_name_and_is_half_precision_on_cpu(run_python, llava_folder):
    code = (
        "from llava.model.builder import load_pretrained_model as load\n"
        f"model = load({str(llava_folder)!r}, None, 'llava', device='cpu')[1]\n"
        "print(model.dtype)\n"
        f"print(load({str(llava_folder)!r}, None, 'seventh', device='cpu')[2])"
    )
    result = run_python(code)
    assert "float16" in result.stdout
    assert "None" in result.stdout or result.returncode != 0  # no image processor: taken for a language model


def test_full_folder_gives_the_models_own_words(llava_folder, reference, picture):
    loaded = load(llava_folder)
    assert loaded[1].dtype == torch.float32
    assert describe(loaded, picture) == describe(reference, picture)


@pytest.mark.parametrize("model_type", ["llava", "llava_mistral"])
def test_the_config_says_which_model_it_is(llava_folder, tmp_path, picture, model_type):
    folder = shutil.copytree(llava_folder, tmp_path / "eighth")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": model_type, "sliding_window": None}))
    loaded = load(folder)
    assert type(loaded[1]).__name__ == ("LlavaLlamaForCausalLM" if model_type == "llava" else "LlavaMistralForCausalLM")
    assert len(describe(loaded, picture)) > 0


def test_transformers_own_llava_format_is_named(llama_folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": {}, "vision_config": {}}))
    with pytest.raises(CheckpointError, match="transformers' own LLaVA format"):
        load(tmp_path)


def test_language_model_has_no_image_processor(llama_folder):
    _, model, image_processor, context_len = load(llama_folder)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert (model.dtype, image_processor, context_len) == (torch.float32, None, 2048)


def projector_folder(llama_folder, tower_folder, folder: Path, change=None) -> Path:
    from llava.model.language_model.llava_llama import LlavaConfig
    from llava.model.multimodal_projector.builder import build_vision_projector

    config = LlavaConfig(**llama_settings(116), **multimodal_settings(tower_folder))
    config.save_pretrained(folder)
    torch.manual_seed(3)
    weights = {f"model.mm_projector.{k}": v for k, v in build_vision_projector(config).state_dict().items()}
    torch.save(change(weights) if change else weights, folder / "mm_projector.bin")
    return folder


def test_projector_folder_joins_its_base(llama_folder, tower_folder, tmp_path, picture):
    folder = projector_folder(llama_folder, tower_folder, tmp_path / "projector")
    loaded = load(folder, llama_folder)
    weights = torch.load(folder / "mm_projector.bin", weights_only=True)
    torch.testing.assert_close(loaded[1].model.mm_projector[0].weight.data, weights["model.mm_projector.0.weight"])
    torch.testing.assert_close(loaded[1].lm_head.weight.data, load(llama_folder)[1].lm_head.weight.data)
    assert len(describe(loaded, picture)) > 0


def test_projector_folder_without_base_says_what_to_pass(llama_folder, tower_folder, tmp_path):
    with pytest.raises(CheckpointError, match="--model-base"):
        load(projector_folder(llama_folder, tower_folder, tmp_path / "projector"))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda weights: dict(list(weights.items())[1:]), "missing"),
        (lambda weights: {**weights, "model.mm_projector.9.weight": torch.zeros(1)}, "unexpected"),
    ],
)
def test_wrong_projector_keys_are_an_error(llama_folder, tower_folder, tmp_path, change, word):
    folder = projector_folder(llama_folder, tower_folder, tmp_path / "projector", change)
    with pytest.raises(CheckpointError, match=word):
        load(folder, llama_folder)


def lora_folder(llama_folder, tower_folder, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """What LLaVA's training writes with --lora_enable, and the weights after merging."""
    from llava.model.language_model.llava_llama import LlavaLlamaForCausalLM
    from peft import LoraConfig, get_peft_model

    projector_folder(llama_folder, tower_folder, folder)
    config = LlavaLlamaForCausalLM.config_class.from_pretrained(folder)
    model = LlavaLlamaForCausalLM.from_pretrained(llama_folder, config=config)
    model.model.mm_projector.load_state_dict(
        {
            key.removeprefix("model.mm_projector."): tensor
            for key, tensor in torch.load(folder / "mm_projector.bin", weights_only=True).items()
        }
    )
    (folder / "mm_projector.bin").unlink()
    lora = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    for name, parameter in lora.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    lora.save_pretrained(folder)
    others = {name: tensor.detach() for name, tensor in lora.named_parameters() if "mm_projector" in name}
    torch.save(others, folder / "non_lora_trainables.bin")
    return folder, {name: tensor.clone() for name, tensor in lora.merge_and_unload().state_dict().items()}


def test_lora_folder_is_merged_into_its_base(llama_folder, tower_folder, tmp_path, picture):
    folder, merged = lora_folder(llama_folder, tower_folder, tmp_path / "adapted")
    for base in (llama_folder, None):  # the folder names its base
        loaded = load(folder, base)
        state = loaded[1].state_dict()
        for name, tensor in merged.items():
            if "vision_tower" not in name:
                torch.testing.assert_close(state[name], tensor)
    assert len(describe(loaded, picture)) > 0


def test_lora_folder_without_its_projector_is_an_error(llama_folder, tower_folder, tmp_path):
    folder, _ = lora_folder(llama_folder, tower_folder, tmp_path / "adapted")
    (folder / "non_lora_trainables.bin").unlink()
    with pytest.raises(CheckpointError, match="mm_projector"):
        load(folder)


@pytest.mark.parametrize("name", ["non_lora_trainables.bin", "adapter_model.bin"])
def test_a_lora_folders_file_that_holds_no_tensors_is_an_error(llama_folder, tower_folder, tmp_path, name):
    folder, _ = lora_folder(llama_folder, tower_folder, tmp_path / "adapted")
    (folder / "adapter_model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    torch.save({}, folder / "adapter_model.bin")
    (folder / name).write_bytes(pickle.dumps({"a": Path("b")}))
    with pytest.raises(CheckpointError, match=rf"{name}: cut short, or it holds something else than tensors"):
        load(folder)


def test_truncated_lora_is_an_error(llama_folder, tower_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _ = lora_folder(llama_folder, tower_folder, tmp_path / "adapted")
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="missing"):
        load(folder)


def test_tower_is_found_beside_the_checkpoint(llava_folder, tower_folder, tmp_path, picture, reference):
    shutil.copytree(tower_folder, tmp_path / "models" / "tower")
    folder = shutil.copytree(llava_folder, tmp_path / "models" / "ninth")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "mm_vision_tower": "../tower"}))
    assert describe(load(folder), picture) == describe(reference, picture)

    from llava.model.language_model.llava_llama import LlavaLlamaForCausalLM

    model = LlavaLlamaForCausalLM.from_pretrained(folder)
    model.get_vision_tower().load_model()
    assert model.get_vision_tower().hidden_size == 32


def test_names_bound_before_the_patch_are_patched_too(run_python):
    code = (
        "from llava.model.builder import load_pretrained_model\n"
        "import llava.serve.cli, mgimm_patches\n"
        "mgimm_patches.apply_all()\n"
        "print(llava.serve.cli.load_pretrained_model.__module__)"
    )
    assert run_python(code).stdout.strip() == "mgimm_patches.loader"


def test_quantization_needs_bitsandbytes(llava_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MgimmError, match="bitsandbytes"):
        load(llava_folder, load_4bit=True)


def test_images_are_stretched_in_resize_mode(llava_folder, reference, picture):
    from llava.mm_utils import process_images
    from PIL import Image

    config = type("Config", (), {"image_aspect_ratio": "resize"})
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 4, 20))  # a stripe that a centre crop loses
    pixels = process_images([image], reference[2], config)
    assert pixels.shape == (1, 3, 28, 28)
    assert pixels[0, 0, 14, 0] > pixels[0, 0, 14, 14]
    config.image_aspect_ratio = None
    cropped = process_images([image], reference[2], config)
    assert cropped[0, 0, 14, 0] == cropped[0, 0, 14, 14]


def test_region_sentinels_are_tokenized(tokenizer):
    from llava.mm_utils import tokenizer_image_token

    ids = tokenizer_image_token("USER: <image>\n<region> a ship", tokenizer, return_tensors="pt").tolist()
    assert ids.count(-200) == ids.count(-300) == 1
    assert ids.index(-200) < ids.index(-300)


def test_gpus_that_torch_cannot_use_are_warned_of_and_the_cpu_is_used(llava_folder, old_driver, caplog):
    from llava.model.builder import load_pretrained_model

    from mgimm_plugin.model import devices

    devices._warn_once.cache_clear()
    model = load_pretrained_model(str(llava_folder), None, "any name")[1]
    assert model.device.type == "cpu"
    assert any("driver on your system is too old" in message for message in caplog.messages)
