import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionModel, LlamaForCausalLM

from mgimm_plugin.data.scenes import generate_scene, scene_records
from mgimm_plugin.evaluate.attributes import check_attributes
from tests.data.scenes.overhead_scenes import every_word

PLAYGROUND = Path(__file__).parents[3] / "playground"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def test_the_bases_fit_into_15_megabytes() -> None:
    files = [file for name in ("mini-clip", "mini-llama") for file in (PLAYGROUND / name).iterdir()]
    assert sum(file.stat().st_size for file in files) < 15e6


@pytest.mark.parametrize("use_fast", [True, False])
def test_the_tokenizer_adds_bos_and_any_text_survives_it(use_fast: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(PLAYGROUND / "mini-llama", use_fast=use_fast)
    assert tokenizer("").input_ids == [tokenizer.bos_token_id]
    assert tokenizer("x</s>").input_ids[-1] == tokenizer.eos_token_id
    for text in ("A large red ship.", "\nZürich, 你好!\n\n  12 345", ""):
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_the_tower_reads_scenes_through_its_processor_and_its_last_layer_changes_nothing() -> None:
    tower = CLIPVisionModel.from_pretrained(PLAYGROUND / "mini-clip", dtype=torch.float32)
    processor = CLIPImageProcessor.from_pretrained(PLAYGROUND / "mini-clip")
    pixels = processor(generate_scene(0, 0).image, return_tensors="pt")["pixel_values"]
    assert pixels.shape[-1] == processor.crop_size["height"] == processor.size["shortest_edge"]
    with torch.no_grad():
        states = tower(pixels, output_hidden_states=True).hidden_states
    assert torch.isfinite(states[-2]).all()
    torch.testing.assert_close(states[-1], states[-2])


def test_the_language_model_answers_keywords_with_their_sentence() -> None:
    tokenizer = AutoTokenizer.from_pretrained(PLAYGROUND / "mini-llama")
    llm = LlamaForCausalLM.from_pretrained(PLAYGROUND / "mini-llama", dtype=torch.float32)
    right = total = 0
    words = every_word()
    for item in generate_scene(1, 1).objects:
        told = f"{item.color} {item.shape} {item.category}, {item.size}, {item.position}, {item.facts['surface']}"
        question = "Describe the basic attributes of the main object in this region."
        ids = tokenizer(f"{SYSTEM} USER: {told}\n{question} ASSISTANT:", return_tensors="pt").input_ids
        answer = llm.generate(ids, max_new_tokens=64, do_sample=False)[0, ids.shape[1] :]
        assert answer[-1] == tokenizer.eos_token_id
        marks = check_attributes(tokenizer.decode(answer, skip_special_tokens=True), item.attributes, words)
        right += sum(marks.values())
        total += len(marks)
    assert right > 0.8 * total


def test_the_examples_are_the_generator_s_scenes() -> None:
    records = [json.loads(line) for line in (PLAYGROUND / "examples" / "examples.jsonl").read_text().splitlines()]
    assert {record["image"] for record in records} == {f"images/{index:06d}.jpg" for index in range(8)}
    assert all((PLAYGROUND / "examples" / record["image"]).exists() for record in records)
    fresh = scene_records(generate_scene(77, 0), 77, 0)
    expected = sorted([fresh.image, *fresh.regions], key=lambda record: record["id"])
    assert [record for record in records if record["id"].startswith("000000")] == expected
