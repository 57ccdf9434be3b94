"""What is no file of records as a whole is one error, for validation and for training alike."""

import gzip
import json

import pytest

from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.inspect.problems import Tally, find_problems
from mgimm_plugin.data.records import read_records
from mgimm_plugin.errors import RecordError

RECORDS = [
    {"id": f"é{number}", "conversations": [{"from": "human", "value": "Is it?"}, {"from": "gpt", "value": "Yes."}]}
    for number in range(24)
]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)

WRONG = {
    "packed": (gzip.compress(LINES.encode()), "is compressed with gzip: unpack it first"),
    "utf-16": (LINES.encode("utf-16"), r"is UTF-16, not UTF-8: convert it first \(iconv -f UTF-16 -t UTF-8"),
    "utf-16 without a mark": (
        LINES.encode("utf-16-le"),
        r"is UTF-16LE, not UTF-8: convert it first \(iconv -f UTF-16LE",
    ),
    "utf-16 array": (json.dumps(RECORDS).encode("utf-16"), "is UTF-16, not UTF-8"),
    "wrapped": (
        json.dumps({"version": 1, "data": RECORDS}, indent=1).encode(),
        r"one JSON object over several lines: save the list in its 'data' as the file \(a file is a JSON array",
    ),
    "one record": (
        b"\n" + json.dumps({**RECORDS[0], "regions": []}, indent=2).encode(),
        r"one JSON object over several lines \(a file is a JSON array of records, or one record a line\)",
    ),
    "records over lines": ("\n".join(json.dumps(record, indent=2) for record in RECORDS).encode(), "one JSON object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_none_of_records_is_one_error_that_says_what_to_do(tmp_path, name):
    content, message = WRONG[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    for read in (RecordFile, lambda path: list(read_records(path)), lambda path: list(find_problems(path, Tally()))):
        with pytest.raises(RecordError, match=message) as caught:
            read(path)
        assert caught.value.file == path


def test_a_line_of_another_encoding_is_no_good_record_by_chance(tmp_path):
    path = tmp_path / "a.jsonl"
    line = json.dumps(RECORDS[0]).encode()
    path.write_bytes(line + b"\n" + json.dumps(RECORDS[1]).encode("utf-16-be") + b"\n")
    tally = Tally()
    (problem,) = find_problems(path, tally)
    assert (problem.line, tally.records, tally.bad_records) == (2, 2, 1)
    assert "line 2 is not valid JSON" in problem.message
    with pytest.raises(RecordError, match="line 2 is not valid JSON"):
        RecordFile(path).load(1)


@pytest.mark.parametrize("first", ['{"id": "a", ', "{", '{"id": "a', "no json"])
def test_a_first_line_that_breaks_off_costs_that_line(tmp_path, first):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{first}\n{LINES}", encoding="utf-8")
    tally = Tally()
    (problem,) = find_problems(path, tally)
    assert (problem.line, tally.records, tally.bad_records) == (1, 25, 1)
    file = RecordFile(path)
    assert (len(file), file.load(24)) == (25, RECORDS[23])
