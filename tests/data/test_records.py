"""A record is read as it was written, and what is not a record is an error that says where."""

import copy
import json
import os
import pickle
import tracemalloc

import pytest

from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.records import parse_record, read_records, record_to_json
from mgimm_plugin.errors import BoxError, RecordError

RECORD = {
    "id": "00001-0",
    "image": "00001.jpg",
    "width": 800,
    "height": 600,
    "regions": [
        {
            "bbox": [133, 237, 684, 572.5],
            "category": "golffield",
            "phrase": "A green golf field",
            "attributes": {"color": "green", "size": "large"},
            "polygon": [[133, 237], [684, 237], [684, 572.5]],
            "score": 0.5,
        },
        {"bbox": [-3, 0, 5, 5]},
    ],
    "conversations": [
        {"from": "human", "value": "<region>\nWhat is it?"},
        {"from": "gpt", "value": "A golf field."},
        {"from": "human", "value": "And <region>?"},
        {"from": "gpt", "value": "A road."},
    ],
    "references": ["A field for golf."],
    "source": {"split": "train"},
}


def changed(path, value):
    """The record with one value changed; ``path`` is keys and positions separated by dots."""
    record = copy.deepcopy(RECORD)
    target = record
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        target = target[key]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return record


def test_nothing_is_lost_between_file_and_record():
    record = parse_record(RECORD)
    assert record.regions[0].bbox == (133.0, 237.0, 684.0, 572.5)
    assert record.regions[0].attributes == {"color": "green", "size": "large"}
    assert record.extra == {"source": {"split": "train"}}
    assert record_to_json(record) == RECORD
    assert parse_record(record_to_json(record)) == record


@pytest.mark.parametrize(
    "plain",
    [
        {"id": 7, "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
        {
            "id": "a",
            "image": "a.jpg",
            "conversations": [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A ship."}],
        },
        {"id": "q", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}]},
    ],
)
def test_plain_llava_records_are_records(plain):
    assert record_to_json(parse_record(plain)) == {**plain, "id": str(plain["id"])}


def test_a_pair_of_surrogates_in_json_is_one_character():
    value = json.loads(json.dumps(changed("references.0", "A ship \U0001f6a2.")))
    assert parse_record(value).references == ("A ship \U0001f6a2.",)


def test_an_image_record_may_keep_its_regions_out_of_the_question():
    record = changed("conversations", [{"from": "human", "value": "<image>\nDescribe it."}])
    assert len(parse_record(record).regions) == 2


@pytest.mark.parametrize(
    ("path", "value", "field", "problem"),
    [
        ("id", KeyError, "id", "missing"),
        ("id", True, "id", "must be a text, not True"),
        ("image", 3, "image", "must be a text"),
        ("image", KeyError, "image", "is missing, but the record has regions"),
        ("width", "800", "width", "whole number"),
        ("width", True, "width", "whole number"),
        ("height", -1, "height", "above 0"),
        ("height", KeyError, "height", "come together"),
        ("regions", {}, "regions", "must be a list, not an object"),
        ("regions.1", [0, 0, 5, 5], r"regions\[1\]", "object with a bbox"),
        ("regions.1.bbox", KeyError, r"regions\[1\].bbox", "four numbers x1, y1, x2, y2, not nothing"),
        ("regions.1.bbox", [0, 0, 5], r"regions\[1\].bbox", "four numbers"),
        ("regions.1.bbox", [0, 0, 5, "5"], r"regions\[1\].bbox", "must hold numbers, not a text"),
        ("regions.1.bbox", [0, 0, True, 5], r"regions\[1\].bbox", "must hold numbers, not True"),
        ("regions.0.category", 4, r"regions\[0\].category", "must be a text"),
        ("regions.0.phrase", "", r"regions\[0\].phrase", "is empty"),
        ("regions.0.attributes", ["red"], r"regions\[0\].attributes", "names and texts"),
        ("regions.0.attributes.color", 4, r"regions\[0\].attributes.color", "must be a text"),
        ("regions.0.polygon", [[0, 0], [1, 1]], r"regions\[0\].polygon", "has 2 points"),
        ("regions.0.polygon.1", [0, 0, 1], r"regions\[0\].polygon\[1\]", "point x, y"),
        ("conversations", KeyError, "conversations", "at least one turn"),
        ("conversations", [], "conversations", "at least one turn"),
        ("conversations", "hello", "conversations", "must be a list, not a text"),
        ("conversations.1", "A field.", r"conversations\[1\]", "from and value"),
        ("conversations.0.from", "gpt", r"conversations\[0\].from", "'gpt' where 'human' is due"),
        ("conversations.1.from", "bot", r"conversations\[1\].from", "'bot' where 'gpt' is due"),
        ("conversations.1.value", " \n", r"conversations\[1\].value", "is empty"),
        ("conversations.1.value", None, r"conversations\[1\].value", "is missing"),
        ("conversations.1.value", "A <region>.", r"conversations\[1\].value", "may not contain <region>"),
        ("conversations.1.value", "An <image>.", r"conversations\[1\].value", "may not contain <image>"),
        ("conversations.2.value", "And <image> <region>", r"conversations\[2\].value", "first question"),
        ("conversations.0.value", "<image><image><region>", "conversations", "2 <image> tokens"),
        ("conversations.0.value", "What?", "regions", "1 <region> tokens and there are 2 regions"),
        ("conversations.0.value", "<region><region>", "regions", "3 <region> tokens and there are 2 regions"),
        ("regions.0.attributes.color", "\udc80", r"regions\[0\].attributes.color", "half a character"),
        ("regions.0.attributes", {"\udc80": "red"}, r"regions\[0\].attributes", "a name has half a character"),
        ("conversations.1.value", "A ship \ud83d.", r"conversations\[1\].value", "half a character"),
        ("references.0", "\ud83d", r"references\[0\]", "half a character"),
        ("references", "A field.", "references", "must be a list"),
        ("references.0", 1, r"references\[0\]", "must be a text"),
    ],
)
def test_what_is_wrong_and_where_is_said(path, value, field, problem):
    with pytest.raises(RecordError, match=problem) as caught:
        parse_record(changed(path, value), file="train.json", index=4)
    if path != "id":
        assert caught.value.record == "00001-0"
    assert caught.value.field is not None
    assert caught.value.field.replace("[", "\\[").replace("]", "\\]") == field
    assert "file train.json, index 4" in str(caught.value)


@pytest.mark.parametrize("box", [[0, 0, float("nan"), 5], [0, 0, float("inf"), 5], [5, 0, 5, 9], [0, 9, 5, 3]])
def test_a_box_around_nothing_is_a_box_error(box):
    with pytest.raises(BoxError) as caught:
        parse_record(changed("regions.1.bbox", box), file="train.json", index=4)
    assert caught.value.field == "regions[1].bbox"


def test_an_image_that_no_question_shows_is_an_error():
    record = {"id": "a", "image": "a.jpg", "conversations": [{"from": "human", "value": "Hello"}]}
    with pytest.raises(RecordError, match="would not see the image"):
        parse_record(record)


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_json_that_is_no_object_is_no_record(value):
    with pytest.raises(RecordError, match="a record is a JSON object"):
        parse_record(value)


def numbered(count):
    return [{"id": f"é{i}", "conversations": [{"from": "human", "value": f"{i}?"}]} for i in range(count)]


LAYOUTS = {
    "array.json": lambda records: json.dumps(records),
    "indented.json": lambda records: "\n  " + json.dumps(records, indent=2, ensure_ascii=False) + "\n",
    "lines.jsonl": lambda records: "\n".join(json.dumps(r, ensure_ascii=False) for r in records),
    "lines.json": lambda records: "\n\n".join(json.dumps(r) for r in records) + "\r\n \n",
    "marked.jsonl": lambda records: "\ufeff" + "\n".join(map(json.dumps, records)),
    "marked.json": lambda records: "\ufeff" + json.dumps(records),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_is_read_by_its_content(tmp_path, name):
    path = tmp_path / name
    path.write_text(LAYOUTS[name](numbered(5)), encoding="utf-8")
    assert [record.id for record in read_records(path)] == [f"é{i}" for i in range(5)]
    file = pickle.loads(pickle.dumps(RecordFile(path)))
    assert [file.load(i)["id"] for i in (4, 0, 2)] == ["é4", "é0", "é2"]


def test_reading_starts_before_the_file_is_known_to_be_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, numbered(2))) + '\n\n{"id": \n')
    records = read_records(path)
    assert next(records).id == "é0"
    assert next(records).id == "é1"
    with pytest.raises(RecordError, match=r"a\.jsonl, index 2: line 4 is not valid JSON"):
        next(records)


@pytest.mark.parametrize("content", ['[{"id": "a"},\n {"id": }]', '[{"id": "a"}\n {"id": "b"}]', "[\n"])
def test_a_broken_array_names_its_line(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"a\.json: line 2 is not valid JSON"):
        list(read_records(path))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    for name, content in (("a.jsonl", b'{"id": "a"}\n{"id": "\xff"}'), ("a.json", b'[{"id": "a"},\n{"id": "\xff"}]')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecordError, match="line 2 is not valid JSON: it is not UTF-8"):
            RecordFile(tmp_path / name).load(1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"gone\.json: cannot be read: No such file"):
        next(read_records(tmp_path / "gone.json"))


def test_a_pipe_cannot_be_read_in_any_order():
    output, put = os.pipe()
    os.write(put, b'{"id": "a"}')
    os.close(put)
    try:
        with pytest.raises(RecordError, match=f"/dev/fd/{output}: is a pipe.*write them to a file"):
            RecordFile(f"/dev/fd/{output}")
    finally:
        os.close(output)


def test_the_number_of_a_bad_line_is_counted_in_blocks(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a"}\n\n' * 500_000 + "no json")
    file = RecordFile(path)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="index 500000: line 1000001 is not valid JSON"):
            file.load(500_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20  # of 6.5 MB


def test_a_blank_file_holds_no_records(tmp_path):
    (tmp_path / "a.json").write_text("\n \n")
    assert list(read_records(tmp_path / "a.json")) == []


@pytest.mark.parametrize(("text", "reason"), [("[" * 100_000, "nested"), ("1" * 5000, "digits")])
def test_json_that_no_parser_takes_is_a_named_error(tmp_path, text, reason):
    array, lines = tmp_path / "array.json", tmp_path / "lines.jsonl"
    array.write_text(f"[{text}]")
    lines.write_text(f'{{}}\n{{"id": {text}}}')
    file = RecordFile(lines)
    with pytest.raises(RecordError, match=rf"line 1 is not valid JSON: .*{reason}"):
        RecordFile(array)
    with pytest.raises(RecordError, match=rf"line 2 is not valid JSON: .*{reason}"):
        file.load(1)
