"""Every problem of a file is found, each with its place, whatever the file's size."""

import copy
import json
import subprocess
import sys

import pytest
from PIL import Image

from mgimm_plugin.data.inspect.collecting import problems_of
from mgimm_plugin.data.inspect.problems import Tally, find_problems
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import BoxError, RecordError
from tests.bad_input.cases import BAD_RECORDS
from tests.data.inspect.samples import image_record, region_record, save_image, turns, write_lines

BOTH_ROLES = ["conversations[0].from", "conversations[1].from"]


def found(path, **options):
    tally = Tally()
    return list(find_problems(path, tally, **options)), tally


def places(problems):
    return [(problem.index, problem.line, problem.record, problem.field) for problem in problems]


def test_all_problems_of_one_record_are_found():
    record = {
        "id": "bad",
        "image": "a.png",
        "width": "90",
        "height": 60,
        "regions": [
            {"bbox": [1, 2, 3]},
            {"bbox": [9, 9, 1, 1], "attributes": {"color": 3, "size": "small"}, "category": ""},
            {"bbox": [1, 1, 5, 5], "polygon": [[1, 1], [float("nan"), 2], [3, 3], "x"]},
        ],
        "conversations": [*turns("<region><region>\nWhat?"), *turns("And <region>?", "A ship.")],
        "references": ["good", 4],
    }
    assert [problem.field for problem in problems_of(record)] == [
        "width",
        "regions[0].bbox",
        "regions[1].bbox",
        "regions[1].category",
        "regions[1].attributes.color",
        "regions[2].polygon[1]",
        "regions[2].polygon[3]",
        "conversations[1].from",
        "references[1]",
    ]
    assert {problem.record for problem in problems_of(record)} == {"bad"}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        # One turn is missing: the turns after it are in order, and their tokens count.
        ({"conversations": turns("<region>\nA?", "b")[:1] + turns("C?", "d", "E?", "f")}, ["conversations[1].from"]),
        # Nothing is said of the tokens of a turn that cannot be read, nor of regions that are no list.
        ({"conversations": [{"from": "human", "value": 3}]}, ["conversations[0].value"]),
        (
            {"conversations": [*turns("A?"), *turns("<region>\nB?", " ")]},
            ["conversations[1].from", "conversations[2].value"],
        ),
        ({"conversations": [{"from": "user", "value": "<region>?"}, {"from": "bot", "value": "b"}]}, BOTH_ROLES),
        ({"regions": {"bbox": [1, 2, 3, 4]}}, ["regions"]),
        ({"image": 7}, ["image"]),
        ({"conversations": []}, ["conversations"]),
        ({"id": None, "width": None}, ["id", "width"]),
        (
            {"image": None, "conversations": turns("Hello <region> <region>", "x <image>")},
            ["conversations[1].value", "regions", "image"],
        ),
        ({"conversations": turns("<image><image> <region>", "x"), "image": None}, ["conversations", "image"]),
    ],
)
def test_what_only_follows_from_another_problem_is_not_told(changes, fields):
    problems = [problem.field for problem in problems_of(region_record(**changes))]
    assert problems == (fields)


def first_problem(record):
    try:
        parse_record(record)
    except RecordError as error:
        return error
    return None


def test_the_first_problem_is_the_one_that_reading_stops_at():
    good = image_record()
    assert problems_of(good) == []
    for key in [*good, "references"]:
        for value in (None, 3, "", [], {}, [3], {"a": 1}, [{"bbox": [0, 0, 1, "x"]}], True):
            record = copy.deepcopy(good) | {key: value}
            problems = problems_of(record)
            assert str(first_problem(record)) == str(problems[0] if problems else None)


def test_numbers_that_no_image_has_are_problems_not_tracebacks():
    huge = 10**400
    record = region_record(width=huge, regions=[{"bbox": [0, 0, huge, 1]}])
    width, box = problems_of(record)
    assert width.field == "width"
    assert isinstance(box, BoxError)


def test_every_place_in_a_file_is_named(tmp_path):
    path = write_lines(
        tmp_path / "data.jsonl",
        [
            region_record("a"),
            "",
            region_record("a"),
            "{no json",
            region_record("b", regions=[{"bbox": [9, 9, 1, 1]}], width=None),
            "[" * 100_000,
            '{"id": ' + "1" * 5000 + "}",
            "3",
            region_record("b"),
        ],
    )
    problems, tally = found(path)
    assert places(problems) == [
        (1, 3, "a", "id"),
        (2, 4, None, None),
        (3, 5, "b", "width"),
        (3, 5, "b", "regions[0].bbox"),
        (4, 6, None, None),
        (5, 7, None, None),
        (6, 8, None, None),
        (7, 9, "b", "id"),
    ]
    assert str(problems[0]) == f"file {path}, line 3, index 1, record a, field id: the id is that of index 0 too"
    assert "index 3" in problems[-1].message
    assert (tally.records, tally.bad_records, tally.problems) == (8, 7, 8)
    assert tally.formats == {"region-instruction": 1}


def test_an_array_has_places_without_lines(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([region_record("a"), region_record("a")], indent=1))
    assert places(found(path)[0]) == [(1, None, "a", "id")]


@pytest.mark.parametrize(("content", "problem"), [("[{},", "line 1 is not valid JSON"), ("[" * 100_000, "nested")])
def test_an_array_that_cannot_be_read_is_an_error_of_the_file(tmp_path, content, problem):
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=problem):
        found(path)


def test_ids_are_told_apart_to_their_last_character(tmp_path):
    long = "x" * 500
    names = ["7", 7, long + "1", long + "2", long + "1", "\u6a4b", "\u6a4c", "x" * 15, "x" * 16]
    path = write_lines(tmp_path / "data.jsonl", [region_record(name) for name in names])
    assert [problem.index for problem in found(path)[0]] == [1, 4]


def test_boxes_are_held_against_the_size_that_the_record_tells(tmp_path):
    outside = region_record("out", regions=[{"bbox": [95, 0, 99, 9]}])
    clipped = region_record("clip", regions=[{"bbox": [-1, 0, 99, 9]}])
    unknown = region_record("none", regions=[{"bbox": [-1, 0, 99, 9]}], width=None, height=None)
    problems, tally = found(write_lines(tmp_path / "data.jsonl", [outside, clipped, unknown]))
    assert places(problems) == [(0, 1, "out", "regions[0].bbox")]
    assert "outside the 90x60 image" in problems[0].message
    assert tally.clipped_boxes == 1


def test_images_are_opened_and_every_box_of_them_is_checked(tmp_path):
    save_image(tmp_path / "a.png")
    save_image(tmp_path / "small.png", size=(30, 20))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("I;16", (9, 9)).save(tmp_path / "deep.png")
    boxes = [{"bbox": [35, 0, 40, 9]}, {"bbox": [0, 0, 9, 9]}, {"bbox": [0, 30, 9, 39]}]
    path = write_lines(
        tmp_path / "data.jsonl",
        [
            region_record("good"),
            region_record("gone", image="gone.png"),
            region_record("cut", image="cut.png"),
            region_record("deep", image="deep.png"),
            image_record("small", image="small.png", regions=boxes, conversations=turns("<image>\nWhat?", "It.")),
            region_record("gone again", image="gone.png"),
        ],
    )
    problems, tally = found(path, images=tmp_path)
    assert [(problem.record, problem.field) for problem in problems] == [
        ("gone", "image"),
        ("cut", "image"),
        ("deep", "image"),
        ("small", "width"),
        ("small", "regions[0].bbox"),
        ("small", "regions[2].bbox"),
        ("gone again", "image"),
    ]
    assert "says 90x60, but image small.png has 30x20 pixels" in problems[3].message
    assert tally.formats == {"region-instruction": 1}


@pytest.mark.parametrize(
    ("polygon", "is_problem"),
    [
        ([[10, 10], [40, 10], [40, 30]], False),
        ([[0.1, 0.1], [0.4, 0.1], [0.4, 0.5]], True),
        ([[60, 40], [80, 40], [80, 55]], True),
        ([[20, 20], [20, 20], [20, 20]], True),
    ],
)
def test_a_polygon_belongs_to_its_box(tmp_path, polygon, is_problem):
    record = region_record(regions=[{"bbox": [10, 10, 40, 30], "polygon": polygon}])
    problems, _ = found(write_lines(tmp_path / "data.jsonl", [record]))
    assert [problem.field for problem in problems] == ["regions[0].polygon"] * is_problem


def test_a_polygon_may_stick_out_where_its_box_was_clipped(tmp_path):
    region = {"bbox": [80, 10, 90, 30], "polygon": [[80, 10], [300, 10], [300, 30], [80, 30]]}
    assert found(write_lines(tmp_path / "data.jsonl", [region_record(regions=[region])]))[0] == []


def test_a_format_of_its_own_is_checked_too(tmp_path):
    record = image_record(conversations=turns("Describe <image> with <region><region>.", "A ship."))
    problems, _ = found(write_lines(tmp_path / "data.jsonl", [record]))
    assert places(problems) == [(0, 1, "i0", "conversations[0].value")]


def test_whatever_training_would_stop_at_is_found():
    for name, (record, _) in BAD_RECORDS.items():
        assert (first_problem(record) is None) == (problems_of(record) == []), name


_MEASURE = """
import resource, sys
from mgimm_plugin.data.inspect.problems import Tally, find_problems
tally = Tally()
problems = sum(1 for _ in find_problems(sys.argv[1], tally))
print(tally.records, problems, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(count):
        path = tmp_path / f"{count}.jsonl"
        filler = region_record(references=["An answer that takes up room. " * 20])
        with open(path, "w") as file:
            for number in range(count):
                # Scattered ids, and each thousandth line is a problem.
                identity = f"{number * 2654435761 % 2**32:08x}"
                record = "no json" if number % 1000 == 999 else json.dumps({**filler, "id": identity})
                file.write(record + "\n")
        done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
        records, problems, kilobytes = map(int, done.stdout.split())
        assert (records, problems) == (count, count // 1000)
        return kilobytes

    small, large = peak(2000), peak(60_000)
    # The large file has 48 MB, and its ids alone would take 6 MB.
    assert large - small < 5_000
