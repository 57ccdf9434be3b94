"""Training stops at bad input by name, or goes on and says what it left out."""

import json

import pytest
import torch

from tests.bad_input.cases import BAD_RECORDS, EVERY_BAD_RECORD, last_line, record


@EVERY_BAD_RECORD
def test_training_stops_at_a_bad_record_and_names_it(train, folder, bad):
    item, problem = BAD_RECORDS[bad]
    status, stderr = train([item, item])
    assert status == 1
    line = last_line(stderr)
    assert line.startswith(f"error: file {folder}/train.jsonl, index ")
    assert "record bad" in line
    assert problem.format(folder=folder) in line
    assert not (folder / "run" / "config.json").exists()


def test_training_says_the_same_when_a_worker_process_meets_it(train, folder):
    # The first record's image is looked for before anything is loaded.
    status, stderr = train([record(), record("bad", image="gone.png")], "--dataloader_num_workers", "1")
    assert status == 1
    line = last_line(stderr)
    assert line.startswith(f"error: file {folder}/train.jsonl, index ")
    assert line.endswith(f"record bad, field image: image {folder}/gone.png does not exist")


def test_training_names_the_line_that_is_no_json(train, folder):
    broken = folder / "broken.jsonl"
    broken.write_text('{"id": "a"\n')
    status, stderr = train([record()], "--data_path", str(broken))
    assert status == 1
    assert f"error: file {broken}, index 0: line 1 is not valid JSON" in last_line(stderr)


def test_training_can_skip_bad_records_counts_them_and_lists_each(train, folder):
    items = [item | {"id": name} for name, (item, _) in BAD_RECORDS.items()]
    status, stderr = train([record(), *items], "--on_error", "skip", "--max_steps", "6")
    assert status == 0
    listed = [json.loads(line) for line in (folder / "run" / "skipped.jsonl").read_text().splitlines()]
    assert sorted(entry["id"] for entry in listed) == sorted(BAD_RECORDS)
    for entry in listed:
        assert entry["file"] == str(folder / "train.jsonl")
        assert list(BAD_RECORDS)[entry["index"] - 1] == entry["id"]
        assert BAD_RECORDS[entry["id"]][1].format(folder=folder) in entry["error"]
    assert f"records that were left out: {len(BAD_RECORDS)}; they are listed in {folder}/run/skipped.jsonl" in stderr


def test_training_without_a_single_good_record_stops_even_when_it_may_skip(train, folder):
    status, stderr = train([record("bad", image="gone.png")] * 2, "--on_error", "skip")
    assert status == 1
    assert last_line(stderr) == f"error: file {folder}/train.jsonl: not one of its records can be used"
    assert len((folder / "run" / "skipped.jsonl").read_text().splitlines()) == 2


def test_training_counts_the_boxes_that_it_clips(train):
    status, stderr = train([record("out", box=[-5, 5, 200, 30]), record()])
    assert status == 0
    assert "WARNING: record out of " in stderr
    assert "WARNING: boxes that stuck out of what the model sees of their image, and were clipped to it: 1\n" in stderr


def test_training_says_both_lengths_of_a_sequence_that_is_too_long(train):
    status, stderr = train([record("bad", answer="red tank " * 100)] * 2, "--model_max_length", "64")
    assert status == 1
    assert "record bad: takes " in last_line(stderr)
    assert "but the model's context has 64; shorten the record or raise --model_max_length" in last_line(stderr)


def test_training_takes_larger_images_when_the_limit_is_raised(train, folder):
    for limit, problem in (
        (5_399, "good.png has 90x60 pixels, more than the limit of 5399; raise max_pixels (--max-pixels)"),
        (8_099, "image_aspect_ratio pad, which makes it 90x90, more than the limit of 8099 pixels; raise max_pixels"),
    ):
        status, stderr = train([record()] * 2, "--max-pixels", str(limit))
        assert status == 1
        assert problem in last_line(stderr)
    assert train([record()] * 2, "--max-pixels", "8100")[0] == 0


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--on_error", "ignore"], "--on_error is raise or skip"),
        (["--stage", "third"], "--stage is one of region, image"),
        (["--region_replay", "1"], "--region_replay is a share"),
    ],
)
def test_training_flags_that_make_no_sense_are_bad_usage(train, args, problem):
    status, stderr = train([record()], *args)
    assert status == 2
    assert last_line(stderr).startswith(f"error: {problem}")


def test_several_gpus_without_a_launcher_are_refused_with_the_command(train, monkeypatch):
    from mgimm_plugin.train.arguments import TrainingArguments

    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 4))  # as on a machine with four
    status, stderr = train([record()])
    assert status == 2
    line = last_line(stderr)
    assert line.startswith("error: 4 GPUs are visible to one process")
    for way in ("NPROC=4", "torchrun --nproc_per_node 4 -m mgimm_plugin.train", "CUDA_VISIBLE_DEVICES=0"):
        assert way in line


@pytest.mark.parametrize(
    ("content", "problem"), [(b"PK\x03\x04 cut", "cut.bin"), (None, "gone.bin"), ("other", "missing mm_projector")]
)
def test_training_does_not_start_from_a_broken_projector(train, folder, content, problem):
    file = folder / ("gone.bin" if content is None else "cut.bin")
    if content == "other":
        torch.save({"model.mm_projector.9.weight": torch.zeros(2)}, file)
    elif content is not None:
        file.write_bytes(content)
    status, stderr = train([record()], "--pretrain_mm_mlp_adapter", str(file))
    assert status == 1
    assert problem in last_line(stderr)
