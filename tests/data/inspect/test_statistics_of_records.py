"""What is counted over files of records, and how it is told."""

import json
import random

import pytest
from PIL import Image
from transformers import AutoTokenizer

from mgimm_plugin.data.inspect.distribution import Distribution
from mgimm_plugin.data.inspect.plots import draw_statistics
from mgimm_plugin.data.inspect.problems import Tally, find_problems
from mgimm_plugin.data.inspect.statistics import HEAT_CELLS, collect_statistics
from mgimm_plugin.data.inspect.tables import statistics_table
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.resources import playground_folder
from tests.data.inspect.samples import image_record, region_record, turns, write_lines


def counted(tmp_path, records, **options):
    return collect_statistics([write_lines(tmp_path / "data.jsonl", records)], **options)


def test_records_images_and_objects_are_counted_apart(tmp_path):
    statistics = counted(
        tmp_path,
        [
            image_record("i0"),
            region_record("r0"),  # a box that i0 has as well
            region_record("r1", regions=[{"bbox": [0, 0, 9, 9]}]),
            region_record("r2", image="b.png"),
            {"id": "t", "conversations": turns("Hello", "Hi")},
            "no json",
            region_record("bad", regions=[]),
        ],
    )
    records = statistics["records"]
    assert (records["good"], records["bad"]) == (5, 2)
    assert records["by_format"] == {"image-instruction": 1, "llava": 1, "region-instruction": 3}
    assert (records["with_image"], records["with_regions"], records["without_regions"]) == (4, 4, 1)
    assert statistics["images"]["distinct"] == 2
    assert statistics["objects"]["distinct"] == 4
    assert statistics["images"]["objects_per_image"]["summary"]["max"] == 3
    assert statistics["images"]["records_per_image"]["summary"]["max"] == 3
    assert statistics["categories"] == {"ship": 2, "harbor": 1}
    assert statistics["attributes"] == {"color": {"gray": 1}}


def test_records_with_regions_that_are_not_in_their_image_are_bad_as_in_validate(tmp_path):
    polygon = [[70, 40], [80, 40], [80, 50]]
    records = [
        region_record("outside", regions=[{"bbox": [900, 900, 950, 950], "category": "plane"}]),
        region_record("apart", regions=[{"bbox": [10, 10, 40, 30], "category": "plane", "polygon": polygon}]),
        region_record("partly", regions=[{"bbox": [80, 50, 100, 70], "category": "ship"}]),
        region_record("unknown size", width=None, height=None, regions=[{"bbox": [900, 900, 950, 950]}]),
    ]
    statistics = counted(tmp_path, records)
    assert (statistics["records"]["good"], statistics["records"]["bad"]) == (2, 2)
    assert statistics["categories"] == {"ship": 1}
    assert statistics["boxes"]["relative_side"]["summary"]["count"] == 1
    tally = Tally()
    assert [problem.record for problem in find_problems(tmp_path / "data.jsonl", tally)] == ["outside", "apart"]


def test_boxes_are_measured_in_their_image(tmp_path):
    boxes = [[0, 0, 9, 6], [30, 20, 60, 40], [45, 0, 90, 60], [-900, -600, 9, 6]]
    regions = [{"bbox": box} for box in boxes]
    question = turns("<image>\nWhat?", "This.")
    records = [
        image_record("a", regions=regions, conversations=question),
        image_record("b", image="b.png", width=None, height=None, regions=regions[:1], conversations=question),
    ]
    statistics = counted(tmp_path, records)["boxes"]
    assert statistics["sizes"] == {"small": 0, "medium": 2, "large": 2}
    assert statistics["positions"]["top left"] == 2
    assert statistics["positions"]["center"] == 1
    assert statistics["positions"]["middle right"] == 1
    assert statistics["relative_side"]["summary"]["count"] == 4
    assert statistics["aspect_ratio"]["summary"]["count"] == 5
    # What sticks out of the image is not seen: the last box counts as the first.
    assert statistics["relative_side"]["summary"]["min"] == pytest.approx(0.1, rel=0.01)
    middles = statistics["middles"]
    assert sum(map(sum, middles)) == 4
    assert middles[HEAT_CELLS // 20][HEAT_CELLS // 20] == 2
    assert middles[HEAT_CELLS // 2][HEAT_CELLS // 2] == 1


def test_texts_are_counted_without_their_tokens(tmp_path):
    statistics = counted(
        tmp_path,
        [
            region_record(f"r{i}", conversations=turns("<region>\nWhat is it?", "A T-shaped ship, a big one."))
            for i in range(3)
        ]
        + [region_record("last", conversations=turns("<region>\nWhat is it?", "Ship."))],
    )["texts"]
    assert statistics["tokenizer"] is None
    assert (statistics["questions"]["count"], statistics["questions"]["distinct"]) == (4, 1)
    assert statistics["questions"]["words"]["summary"]["max"] == 3
    answers = statistics["answers"]
    assert answers["words"]["summary"] == {
        "count": 4, "mean": 4.75, "min": 1, "p5": 1, "p25": 1, "p50": 6, "p75": 6, "p95": 6, "max": 6,
    }  # fmt: skip
    assert answers["vocabulary"] == 5
    assert answers["frequent_words"] == {"ship": 4, "t-shaped": 3, "big": 3}
    assert answers["repeated"] == [{"text": "A T-shaped ship, a big one.", "count": 3}]


def test_lengths_in_tokens_are_those_of_the_tokenizer(tmp_path):
    folder = playground_folder() / "mini-llama"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = [f"A ship {'and a boat ' * (i % 7)}here." for i in range(300)]
    records = [region_record(f"r{i}", conversations=turns("<region>\nWhat?", text)) for i, text in enumerate(answers)]
    statistics = counted(tmp_path, records, tokenizer=folder)["texts"]["answers"]["tokens"]["summary"]
    expected = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in answers]
    assert statistics["count"] == 300
    assert statistics["max"] == max(expected)
    assert statistics["mean"] == pytest.approx(sum(expected) / 300, abs=0.01)


@pytest.mark.parametrize("name", ["nosuch", "./no/such", "/no/such", "no/such/folder"])
def test_a_tokenizer_that_is_no_folder_and_no_id_of_the_hub_is_not_looked_for_there(tmp_path, name):
    with pytest.raises(MgimmError, match=rf"tokenizer {name}: there is no such folder"):
        counted(tmp_path, [region_record()], tokenizer=name)


def test_a_tokenizer_that_is_none_is_an_error_of_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(MgimmError, match=r"tokenizer .* cannot be loaded"):
        counted(tmp_path, [region_record()], tokenizer=tmp_path)


def test_several_files_are_one_dataset(tmp_path):
    one = write_lines(tmp_path / "one.jsonl", [region_record("a")])
    two = tmp_path / "two.json"
    two.write_text(json.dumps([region_record("b"), region_record("c", image="c.png")]))
    statistics = collect_statistics([one, two])
    assert statistics["files"] == [str(one), str(two)]
    assert statistics["records"]["good"] == 3
    assert statistics["objects"]["distinct"] == 2


EXTREMES = [
    [],
    [{"id": "t", "conversations": turns("Hello")}],
    [region_record(regions=[{"bbox": [-1e308, 0, 1e308, 5e-324]}, {"bbox": [0, -1e308, 1e-300, 1e308]}])
     | {"conversations": turns("<region><region>?", "$x$ $\\frac$")}],
    [region_record("\ud800"), region_record("a", regions=[{"bbox": [5, 5, 6, 6], "category": "$\\x é" * 40}])],
    [image_record(str(i), regions=[{"bbox": [j, i, j + 1 + i, i + 3], "category": f"class {i}",
      "attributes": {f"kind {k}": f"value {i * j}" for k in range(9)}} for j in range(i)],
      conversations=turns("<image>\nA?", "word " * i * 50)) for i in range(1, 40)],
]  # fmt: skip


@pytest.mark.parametrize("records", EXTREMES)
def test_whatever_a_file_holds_is_told_and_drawn(tmp_path, records):
    statistics = counted(tmp_path, records)
    json.dumps(statistics, allow_nan=False)
    text = statistics_table(statistics)
    assert text.splitlines()[0].startswith("records")
    assert max(map(len, text.splitlines())) < 140
    draw_statistics(statistics, tmp_path / "page.png")
    page = Image.open(tmp_path / "page.png")
    assert page.size == (1755, 1245)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.filterwarnings("error")
def test_names_in_a_script_that_the_page_has_no_letters_for_are_drawn_without_warnings(tmp_path):
    record = region_record(regions=[{"bbox": [5, 5, 6, 6], "category": "港口", "attributes": {"color": "灰色"}}])
    draw_statistics(counted(tmp_path, [record]), tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_the_table_tells_what_is_not_counted(tmp_path):
    text = statistics_table(counted(tmp_path, [region_record(), "no json"]))
    assert "not counted" in text
    assert "100.0%" in text
    assert "ship" in text


def test_quantiles_are_right_to_a_hundredth():
    source = random.Random(1)
    numbers = [source.lognormvariate(-2, 1) for _ in range(2001)]
    ratios, whole = Distribution(ratios=True), Distribution()
    for number in numbers:
        ratios.add(number)
        whole.add(int(1000 * number))
    numbers.sort()
    assert ratios.summary()["p50"] == pytest.approx(numbers[1000], rel=0.015)
    assert ratios.summary()["max"] == pytest.approx(numbers[-1], rel=1e-3)
    assert whole.summary()["p50"] == int(1000 * numbers[1000])
    assert sum(whole.histogram(whole.whole_bins())["counts"]) == 2001
    assert len(whole.whole_bins(30)) <= 32
