"""Evaluation stops at bad input by name, or lists it; without Java there is everything but the caption scores."""

import json
import os

import pytest

from tests.bad_input.cases import BAD_RECORDS, EVERY_BAD_RECORD, failure, mgimm, record


@EVERY_BAD_RECORD
def test_evaluate_stops_at_a_bad_record_and_names_it(evaluate, folder, bad):
    item, problem = BAD_RECORDS[bad]
    line = failure(evaluate([record(), item]))
    assert line.startswith(f"mgimm evaluate: file {folder}/test.jsonl, index 1, record bad")
    if bad != "sequence too long":
        assert problem.format(folder=folder) in line
    else:
        assert "its answer up to 4 more, but the model's context has 512" in line
    assert not (folder / "out" / "metrics.json").exists()


def test_evaluate_can_skip_what_cannot_be_asked_and_lists_it(evaluate, folder, no_java):
    names = [
        "missing image",
        "truncated image",
        "image bomb",
        "box beside the image",
        "another size",
        "sequence too long",
    ]
    items = [BAD_RECORDS[name][0] | {"id": name} for name in names]
    result = evaluate([record(), *items, record("last")], "--on-error", "skip")
    assert result.exit_code == 0, result.output
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert (metrics["records"], metrics["records_answered"], metrics["records_skipped"]) == (8, 2, 6)
    assert [text.split(":")[0] for text in metrics["skipped"]] == [
        f"index {number}, record {name}" for number, name in enumerate(names, 1)
    ]
    assert "2 of 8 records answered" in result.stdout
    assert f"WARNING: records that were left out: 6; they are listed in {folder}/out/metrics.json\n" in result.stderr
    answered = [json.loads(line)["id"] for line in (folder / "out" / "predictions.jsonl").read_text().splitlines()]
    assert answered == ["good", "last"]


def test_evaluate_counts_the_boxes_that_it_clips(evaluate, folder, no_java):
    result = evaluate([record("out", box=[-5, 5, 200, 30]), record()])
    assert result.exit_code == 0
    assert json.loads((folder / "out" / "metrics.json").read_text())["clipped_boxes"] == 1
    assert "boxes that stuck out of their image and were clipped to it: 1\n" in result.stderr


def test_evaluate_takes_larger_images_when_the_limit_is_raised(evaluate, no_java):
    assert "limit of 5399" in failure(evaluate([record()], "--max-pixels", "5399"))
    assert evaluate([record()], "--max-pixels", "8100").exit_code == 0


def test_without_java_there_are_predictions_attributes_and_a_reason(evaluate, folder, no_java):
    result = evaluate([record(), record("other")])
    assert result.exit_code == 0, result.output
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    for name in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE"):
        assert metrics[name] is None
    assert "no java on the PATH" in metrics["caption_metrics_reason"]
    assert "not computed: " in result.stderr
    assert "no java on the PATH" in result.stderr
    assert isinstance(metrics["appearance_accuracy"], float)
    assert isinstance(metrics["geometry_accuracy"], float)
    assert len((folder / "out" / "predictions.jsonl").read_text().splitlines()) == 2
    assert (folder / "out" / "report.html").exists()


def test_a_java_that_does_not_run_is_a_reason_too(evaluate, folder, monkeypatch):
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'Error: could not find libjvm.so' >&2\nexit 6\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{java.parent}{os.pathsep}/bin")
    assert evaluate([record()]).exit_code == 0
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["CIDEr"] is None
    assert "could not find libjvm.so" in metrics["caption_metrics_reason"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"id": "a", ', "line 1 is not valid JSON"),
        ('{"id": "a"}\nnot json\n', "index 0, record a, field conversations: is missing"),
        ("7\n", "index 0: a record is a JSON object, not 7"),
        ('[["a", "b"]]', "index 0: a record is a JSON object, not ['a', 'b']"),
        ("", "has no records"),
    ],
)
def test_json_that_is_no_record_is_named_by_file_and_place(checkpoints, folder, content, problem):
    data = folder / "data.json"
    data.write_text(content)
    options = ["--data", data, "--output", folder / "out", "--device", "cpu"]
    line = failure(mgimm("evaluate", "--model", checkpoints / "full", *options))
    assert str(data) in line
    assert problem in line
