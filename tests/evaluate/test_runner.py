"""An evaluation asks every first question once, survives interruption, and says what its numbers are about."""

import json
from types import SimpleNamespace

import pytest
import torch

from mgimm_plugin.errors import BoxError, ImageError, MgimmError, RecordError
from mgimm_plugin.evaluate import captions, evaluate
from mgimm_plugin.evaluate.asking import BLANK_COLOR, without_regions
from mgimm_plugin.evaluate.store import PredictionStore
from tests.evaluate.evaluation_set import Answerer, image_record, region_record


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    """METEOR takes seconds to start; the caption scores have their own tests."""
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def run(image_folder, region_data, tmp_path):
    def call(predictor, data=region_data, output=tmp_path / "out", **options):
        settings = {"batch_size": 2, "progress": False, "model": "an/answerer", **options}
        return evaluate(predictor, data, image_folder, output, **settings)

    return call


def rows(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_first_question_is_asked_with_its_picture_and_boxes(run, answerer, tmp_path):
    metrics = run(answerer)
    assert [question.id for question in answerer.asked] == ["r0", "r4", "r1", "r3", "r2"]  # image by image
    assert answerer.asked[0].image is answerer.asked[1].image
    assert answerer.batches == [2, 2, 1]
    assert answerer.asked[0].text == "<region>\nDescribe the object."
    assert answerer.asked[0].boxes == ((4.0, 4.0, 30.0, 20.0),)
    assert metrics["records"] == metrics["records_answered"] == metrics["records_with_references"] == 5
    first = rows(tmp_path / "out")[0]
    assert first["prediction"] == "A small red ship at the top left."
    assert first["references"] == ["A small red ship at the top left.", "There is a small red ship, top left."]
    assert first["correct"] == {"category": True, "color": True, "size": True, "position": True}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


def test_without_java_captions_are_null_and_attributes_are_there(run, answerer):
    metrics = run(answerer)
    assert all(metrics[name] is None for name in captions.CAPTION_METRICS)
    assert "no java here" in metrics["caption_metrics_reason"]
    assert metrics["appearance_accuracy"] == metrics["color_accuracy"] == 1
    assert metrics["position_accuracy"] == pytest.approx(2 / 5)
    assert metrics["geometry_accuracy"] == pytest.approx((1 + 2 / 5) / 2)


def test_a_blank_image_is_uniform_and_of_the_same_size(run, answerer):
    metrics = run(answerer, blank_image=True)
    image = answerer.asked[0].image
    assert image.size == (64, 48)
    assert image.getcolors() == [(64 * 48, BLANK_COLOR)]
    assert answerer.asked[0].boxes == ((4.0, 4.0, 30.0, 20.0),)
    assert metrics["color_accuracy"] == 0
    assert metrics["geometry_accuracy"] > 0


def test_an_interrupted_evaluation_goes_on_where_it_stopped(run, answerer, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Answerer(stop_after=2))
    predictions = tmp_path / "out" / "predictions.jsonl"
    assert len(rows(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / "metrics.json").exists()
    with predictions.open("a") as file:
        file.write('{"index": 2, "id": "r2", "predic')
    resumed = run(answerer)
    assert [question.id for question in answerer.asked] == ["r1", "r3", "r2"]
    assert [row["id"] for row in rows(tmp_path / "out")] == ["r0", "r1", "r2", "r3", "r4"]
    assert resumed == run(Answerer(), output=tmp_path / "uninterrupted")
    assert predictions.read_bytes() == (tmp_path / "uninterrupted" / "predictions.jsonl").read_bytes()


def test_how_many_were_asked_together_is_written_down_and_may_change_on_the_way(run, answerer, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Answerer(stop_after=2), batch_size=2)
    run(answerer, batch_size=3)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["batch_size"] == 3


def test_a_finished_evaluation_asks_nothing_again(run, answerer):
    first = run(Answerer())
    assert run(answerer) == first
    assert answerer.asked == []


@pytest.mark.parametrize(
    "change", [{"blank_image": True}, {"max_new_tokens": 7}, {"model": "another/model"}, {"base": "another/base"}]
)
def test_predictions_made_otherwise_are_never_mixed_in(run, answerer, tmp_path, change):
    ((name, value),) = change.items()
    run(Answerer())
    before = (tmp_path / "out" / "predictions.jsonl").read_bytes()
    with pytest.raises(MgimmError, match=rf"other settings: {name} \(was .*, now {value}\);.*--no-resume"):
        run(answerer, **change)
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == before
    assert (tmp_path / "out" / "metrics.json").exists()
    run(answerer, **change, resume=False)
    assert len(answerer.asked) == 5


def test_other_images_and_weights_of_another_dtype_make_other_predictions(run, answerer, image_folder, tmp_path):
    answerer.model = SimpleNamespace(dtype=torch.bfloat16)
    run(answerer)
    answerer.model.dtype = torch.float32
    with pytest.raises(MgimmError, match=r"settings: dtype \(was bfloat16, now float32\);"):
        run(answerer)
    answerer.model.dtype = torch.bfloat16
    (tmp_path / "link").symlink_to(image_folder)
    data = tmp_path / "data.jsonl"
    options = {"progress": False, "model": "an/answerer"}
    assert evaluate(answerer, data, tmp_path / "link", tmp_path / "out", **options)["records_answered"] == 5
    with pytest.raises(MgimmError, match=r"settings: images \(was \S*images, now \S*\);"):
        evaluate(answerer, data, tmp_path, tmp_path / "out", **options)


def test_a_run_that_ended_before_its_first_prediction_does_not_stand_in_the_way(
    answerer, region_data, image_folder, tmp_path
):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    with pytest.raises(ImageError, match="record r0"):
        evaluate(answerer, region_data, wrong, tmp_path / "out", progress=False)
    assert evaluate(answerer, region_data, image_folder, tmp_path / "out", progress=False)["records_answered"] == 5
    settings = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert settings["images"] == str(image_folder)


def test_starting_over_never_leaves_old_answers_under_new_settings(tmp_path):
    PredictionStore(tmp_path, {"beams": 1}, {}).append([{"index": 0}])
    (tmp_path / "predictions.rank-1.jsonl").write_text('{"index": 1}\n')
    with pytest.raises(ValueError, match="JSON"):  # it ends as it writes the settings
        PredictionStore(tmp_path, {"beams": float("nan")}, {}, resume=False)
    assert not [*tmp_path.glob("predictions*")]


def test_other_data_under_the_same_name_is_other_data(run, write_data):
    run(Answerer())
    with pytest.raises(MgimmError, match="other settings: data"):
        run(Answerer(), data=write_data([region_record(0, "red")]))


def test_a_broken_line_is_an_error_that_names_it(run, tmp_path):
    run(Answerer())
    predictions = tmp_path / "out" / "predictions.jsonl"
    lines = predictions.read_text().splitlines(keepends=True)
    predictions.write_text(lines[0] + "what is this\n" + lines[2])
    with pytest.raises(MgimmError, match=r"predictions\.jsonl, line 2"):
        run(Answerer())


def test_an_unreadable_image_stops_and_names_the_record(run, image_folder):
    (image_folder / "blue.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match="record r2"):
        run(Answerer())


def test_skipped_records_are_counted_and_listed(run, answerer, image_folder, write_data, tmp_path):
    (image_folder / "blue.png").write_bytes(b"not an image")
    outside = region_record(3, "red")
    outside["regions"][0]["bbox"] = [200, 4, 230, 20]
    long = region_record(4, "white")
    long["conversations"][0]["value"] += " Please." * 20
    data = write_data([region_record(0, "red"), outside, long, region_record(2, "blue"), region_record(1, "white")])
    with pytest.raises(BoxError, match=r"data\.jsonl, index 1, record r3, field regions\[0\]\.bbox"):
        run(Answerer(), data=data)
    metrics = run(answerer, data=data, on_error="skip")
    assert [row["id"] for row in rows(tmp_path / "out")] == ["r0", "r1"]
    assert metrics["records"] == 5
    assert metrics["records_answered"] == 2
    assert metrics["records_skipped"] == len(metrics["skipped"]) == 3
    assert "record r3: box [200, 4, 230, 20] lies outside" in metrics["skipped"][0]
    assert "record r4: takes too many tokens" in metrics["skipped"][1]
    assert "record r2: image" in metrics["skipped"][2]


def test_an_evaluation_that_could_ask_nothing_is_none(run, tmp_path, image_folder):
    image_folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MgimmError, match=r"not one of its records can be asked: index 0, record r0: .*does not exist"):
        run(Answerer(), on_error="skip")
    assert not (tmp_path / "out" / "metrics.json").exists()
    (tmp_path / "elsewhere").rename(image_folder)
    assert run(Answerer(), on_error="skip")["records_answered"] == 5


@pytest.mark.parametrize("blank", [False, True])
def test_a_record_that_says_another_size_than_its_image_is_refused_or_listed(run, answerer, write_data, blank):
    wrong = region_record(1, "red") | {"width": 128, "height": 96}
    data = write_data([region_record(0, "red") | {"width": 64, "height": 48}, wrong])
    message = "says 128x96, but image red.png has 64x48 pixels"
    with pytest.raises(RecordError, match=rf"index 1, record r1, field width: {message}"):
        run(Answerer(), data=data, blank_image=blank)
    metrics = run(answerer, data=data, blank_image=blank, on_error="skip")
    assert [question.id for question in answerer.asked] == ["r0"]
    assert message in metrics["skipped"][0]


def test_boxes_that_stick_out_are_counted_and_the_count_survives_an_interruption(run, answerer, write_data):
    out = region_record(0, "red")
    out["regions"][0]["bbox"] = [-4, 4, 30, 90]
    data = write_data(
        [out, region_record(1, "white"), region_record(2, "blue"), out | {"id": "r3", "image": "blue.png"}]
    )
    with pytest.raises(KeyboardInterrupt):
        run(Answerer(stop_after=2), data=data)
    metrics = run(answerer, data=data)
    assert metrics["clipped_boxes"] == 2
    assert answerer.asked[-1].boxes == ((0.0, 4.0, 30.0, 48.0),)


def test_regions_none_asks_about_the_image_alone(run, answerer, write_data):
    run(answerer, data=write_data([image_record(0, "red"), image_record(1, "blue")]), regions="none")
    assert [question.text for question in answerer.asked] == ["<image>\nDescribe this image."] * 2
    assert [question.boxes for question in answerer.asked] == [(), ()]


def test_regions_of_an_image_record_guide_it_by_default(run, answerer, write_data):
    metrics = run(answerer, data=write_data([image_record(0, "red")]))
    assert answerer.asked[0].boxes == ((4.0, 4.0, 30.0, 20.0), (40.0, 10.0, 60.0, 40.0))
    assert "appearance_accuracy" not in metrics


def test_regions_none_makes_no_sense_for_questions_about_regions(run):
    with pytest.raises(MgimmError, match="record r0: a question about a region"):
        run(Answerer(), regions="none")


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("<image>\n<region><region>\nDescribe it.", "<image>\nDescribe it."),
        ("<image>\nWhat is in <region> here?", "<image>\nWhat is in here?"),
        ("<image>\n\nTwo  spaces\n", "<image>\n\nTwo  spaces\n"),
    ],
)
def test_removing_regions_leaves_the_rest_of_a_question_alone(text, bare):
    assert without_regions(text) == bare


def test_questions_without_reference_answers_are_answered_but_not_scored(run, answerer, write_data):
    record = region_record(0, "red")
    record["conversations"] = record["conversations"][:1]
    del record["references"]
    metrics = run(answerer, data=write_data([record]))
    assert metrics["records_answered"] == 1
    assert metrics["records_with_references"] == 0
    assert "no item has a reference" in metrics["caption_metrics_reason"]
    assert metrics["color_accuracy"] == 1


def test_the_sentence_of_the_source_is_right_where_it_names_another_class_too(run, answerer, write_data):
    near_bridge, bridge = region_record(0, "red"), region_record(1, "white")
    near_bridge["conversations"][1]["value"] = "A ship on the left of the bridge."
    bridge["regions"][0]["attributes"]["category"] = "bridge"
    bridge["conversations"][1]["value"], bridge["references"] = "A bridge.", []
    answerer.answer = lambda questions, **options: [near_bridge["conversations"][1]["value"]] * len(questions)
    assert run(answerer, data=write_data([near_bridge, bridge]))["category_accuracy"] == 0.5


def test_an_empty_or_missing_file_is_an_error(run, write_data, tmp_path):
    with pytest.raises(MgimmError, match="has no records"):
        run(Answerer(), data=write_data([]))
    with pytest.raises(RecordError, match=r"missing\.jsonl"):
        run(Answerer(), data=tmp_path / "missing.jsonl")
