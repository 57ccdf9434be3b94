"""Both stages with each kind of region input; training and asking put the same words before the model."""

import json

import pytest
import torch

from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.records import read_records
from mgimm_plugin.errors import RecordError
from mgimm_plugin.evaluate.asking import first_question
from mgimm_plugin.model.lora import without_lora
from mgimm_plugin.predictor import Predictor, Question
from tests.train.conftest import losses

VARIANTS = {
    "roi_align": {"mm_region_encoder": "roi_align"},
    "interactive_biased": {"mm_region_encoder": "interactive_biased"},
    "interactive_roi": {"mm_region_encoder": "interactive_roi"},
    "interactive_roi_residual": {"mm_region_encoder": "interactive_roi_residual"},
    "four tokens": {"mm_region_tokens": 4, "mm_region_image_update": False},
    "box_text": {"mm_region_encoder": "box_text"},
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_stages_train_and_the_model_answers(bench, train, tmp_path, variant):
    train(bench.region_flags(tmp_path / "region", data_path=bench.mixed_data, max_steps=3, **VARIANTS[variant]))
    trainer = train(bench.image_flags(tmp_path / "region", tmp_path / "image", max_steps=2))
    for run in ("region", "image"):
        assert all(loss > 0 for loss in losses(tmp_path / run))
    config = json.loads((tmp_path / "image" / "config.json").read_text())
    assert VARIANTS[variant].items() <= config.items()
    check_same_prompts(trainer, tmp_path / "image", bench)


def check_same_prompts(trainer, run, bench):
    predictor, record = Predictor.from_pretrained(run, device="cpu"), next(read_records(bench.region_data))
    asked, presentation = first_question(record), format_of(record).present(record, None)
    item, _ = trainer.train_dataset.encoder.encode(record, presentation, bench.data)
    question = Question(bench.data / record.image, asked.text, [region.bbox for region in asked.regions])
    prompt = list(predictor._encoder.tokenize(question, 8))
    assert item["input_ids"].tolist()[: len(prompt)] == prompt
    batch = predictor._encoder.batch([question], [prompt])
    assert torch.equal(batch["boxes"], item["boxes"])
    assert predictor.answer([question], max_new_tokens=8)


def test_a_model_of_images_only_trains_on_images_and_names_a_record_it_cannot_use(bench, train, tmp_path):
    more = {"mm_region_encoder": "none", "stage": "image", "lora_r": 4}
    trainer = train(bench.region_flags(tmp_path / "run", data_path=bench.image_data, max_steps=2, **more))
    assert without_lora(trainer.model).config.mm_region_encoder == "none"
    assert not any(len(trainer.train_dataset[i]["boxes"]) for i in range(4))
    with pytest.raises(RecordError, match=r"region\.jsonl.*record .*takes no regions"):
        train(bench.region_flags(tmp_path / "other", max_steps=2, **more))
