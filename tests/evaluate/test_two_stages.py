"""Both stages are evaluated in one go, which may be interrupted."""

import json

import pytest

from mgimm_plugin.evaluate import captions
from mgimm_plugin.evaluate.two_stages import evaluate_two_stages
from mgimm_plugin.model.folders import CheckpointKind
from mgimm_plugin.predictor import Predictor
from tests.evaluate.evaluation_set import COLORS, image_record, region_record


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def asked(monkeypatch):
    """How many questions each call of a predictor had; the call that ``stop_before`` counts to is interrupted."""

    class Asked(list):
        stop_before = None

    counts, answer = Asked(), Predictor.answer

    def counted(self, questions, **options):
        if len(counts) == counts.stop_before:
            raise KeyboardInterrupt
        counts.append(len(questions))
        return answer(self, questions, **{**options, "max_new_tokens": 4})

    monkeypatch.setattr(Predictor, "answer", counted)
    return counts


def test_what_is_done_is_not_done_again_and_what_is_of_other_data_is(checkpoint_tree, image_folder, tmp_path, asked):
    def write(name, record, count):
        lines = [json.dumps(record(index, color)) + "\n" for index, color in enumerate(list(COLORS)[:count])]
        (image_folder / name).write_text("".join(lines))

    def run():
        checkpoints = [checkpoint_tree.checkpoint(kind) for kind in (CheckpointKind.ADAPTER, CheckpointKind.LORA)]
        return evaluate_two_stages(*checkpoints, image_folder, output)

    output = tmp_path / "out"
    output.mkdir()
    results = [output / name for name in ("metrics.json", "predictions.jsonl", "report.html")]
    for file in results:
        file.write_text("of an earlier run")
    write("region.jsonl", region_record, 3)
    write("image.jsonl", image_record, 2)
    asked.stop_before = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not [file for file in results if file.exists()]
    asked.stop_before = None
    metrics = run()
    assert asked == [3, 3, 2, 2, 3]
    assert json.loads(results[0].read_text()) == metrics
    assert run() == metrics
    assert len(asked) == 5
    write("image.jsonl", image_record, 3)
    run()
    assert asked[5:] == [3, 3]
    assert len(results[1].read_text().splitlines()) == 3 + 3
