"""A description's objects are those that it names as there; what it invents and what it leaves out are told apart."""

import json

import pytest

from mgimm_plugin.data.records import parse_record
from mgimm_plugin.data.scenes import generate_scene, scene_records
from mgimm_plugin.data.scenes.overhead.text.claims import named_objects
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES
from mgimm_plugin.evaluate import captions, evaluate
from mgimm_plugin.evaluate.objects import OBJECT_METRICS, NamedCategories, check_objects, object_metrics
from tests.evaluate.evaluation_set import Answerer, image_record, region_record

SMALL, LARGE = [0, 0, 5, 5], [0, 0, 50, 50]
WORDS = NamedCategories.of(["ship", "storagetank", "tank", "Harbour", "airplane", "bridge", "Expressway-Service-area"])


def record(*objects, question="<image>\nDescribe this image.", **fields):
    """A record of a 100 x 100 image with objects, each a category or a category and its box."""
    pairs = [(item, SMALL) if isinstance(item, str) else item for item in objects]
    return parse_record(
        {
            "id": "0",
            "image": "0.png",
            "width": 100,
            "height": 100,
            "regions": [{"bbox": box, "category": category} for category, box in pairs],
            "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": "A scene."}],
        }
        | fields
    )


def check(text, *objects):
    return check_objects(text, record(*objects), WORDS)


def metrics_of(*described):
    """Of pairs of a description and its record."""
    return object_metrics(
        [check_objects(text, there, WORDS) for text, there in described], [there for _, there in described], WORDS
    )


def test_what_is_invented_and_what_is_left_out_are_told_apart():
    assert check("A ship lies beside two ships and a bridge; a bridge again.", "ship", "ship", "airplane") == {
        "named": ["ship", "ship", "bridge", "bridge"],
        "not_there": ["bridge", "bridge"],
        "missing": ["airplane"],
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A Storage-Tank, storage tanks and a storagetank.", ["storage tank"] * 3),
        ("Tanks beside a tank.", ["tank", "tank"]),
        ("A harbour, harbors.", ["harbor", "harbor"]),
        ("Planes, an aircraft and an aeroplane.", ["airplane"] * 3),
        ("An expressway service area; expressway service areas.", ["expressway service area"] * 2),
        ("A shipyard near friendship bridge.", ["bridge"]),
        ("A storage. Tank", ["tank"]),
        ("", []),
    ],
)
def test_names_are_whole_words_in_every_spelling_and_number_the_longest_first(text, named):
    assert WORDS.mentions(text) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("There are no ships.", []),
        ("No large red ships or bridges can be seen near the harbor.", ["harbor"]),
        ("A harbor without any ships, a bridge", ["harbor", "bridge"]),
        ("Neither ships nor bridges.", []),
        ("An open area without ships and harbors.", []),
        ("There are no ships and airplanes, no ships or bridges and tanks.", []),
        ("There are no cars and ships.", []),
        ("No ships and a bridge; no ships and two harbors; no ships and large tanks.", ["bridge", "harbor", "tank"]),
        ("No ships are there and harbors are.", ["harbor"]),
        ("Ships and bridges, but no harbor", ["ship", "bridge"]),
        ("There is not a ship, there aren't any bridges.", []),
        ("Not far from the ship is a bridge.", ["ship", "bridge"]),
        ("No fewer than three ships.", ["ship"]),
        ("There is no ship but a bridge.", ["bridge"]),
        ("There is no ship. A bridge or a harbor", ["bridge", "harbor"]),
    ],
)
def test_what_is_said_not_to_be_there_is_not_named(text, named):
    assert WORDS.mentions(text) == named


def test_a_synonym_that_two_categories_share_is_neither():
    words = NamedCategories.of(["airplane", "aircraft", "baseballfield"])
    assert words.mentions("A plane, an aircraft, an airplane, a baseball diamond.") == [
        "aircraft", "airplane", "baseball field"
    ]  # fmt: skip


@pytest.mark.parametrize("tokens", ["", "<region><region>\n"])
def test_every_region_is_there_whether_the_question_has_it_or_not(tokens):
    guided = record("ship", "bridge", question=f"<image>\n{tokens}Describe this image.")
    assert check_objects("A bridge.", guided, WORDS) == {"named": ["bridge"], "not_there": [], "missing": ["ship"]}


@pytest.mark.parametrize(
    "unknown",
    [
        record("ship", question="<region>\nDescribe the object."),
        record(),
        record("ship", regions=[{"bbox": SMALL, "category": "ship"}, {"bbox": SMALL, "phrase": "something"}]),
    ],
    ids=["a region only", "no regions", "a region without category"],
)
def test_where_it_is_not_known_what_is_there_nothing_counts(unknown):
    assert check_objects("A ship and a bridge.", unknown, WORDS) == {}
    metrics = metrics_of(("A ship and a bridge.", unknown))
    assert [metrics[name] for name in OBJECT_METRICS] == [None] * 4
    assert metrics["records_with_objects"] == 0
    assert "no record shows the whole image" in metrics["object_metrics_reason"]


def test_rates_are_sums_over_all_descriptions():
    metrics = metrics_of(
        ("A ship, a ship, a bridge.", record("ship", "harbor")),
        ("A ship.", record("ship", "ship")),
        ("Water.", record("bridge")),
        ("A ship.", record()),
    )
    assert metrics["object_precision"] == pytest.approx(2 / 3)
    assert metrics["object_recall"] == pytest.approx(2 / 4)
    assert metrics["hallucination_rate"] == pytest.approx(1 / 4)
    assert metrics["hallucinated_descriptions"] == pytest.approx(1 / 3)
    assert metrics["records_with_objects"] == 3
    assert metrics["object_metrics_reason"] is None


def test_descriptions_that_name_nothing_have_recall_but_no_precision():
    metrics = metrics_of(("Water.", record("ship")))
    assert metrics["object_recall"] == metrics["hallucinated_descriptions"] == 0
    assert metrics["object_precision"] is metrics["hallucination_rate"] is None
    assert metrics["object_metrics_reason"] == "no description names an object"


def test_recall_by_size_takes_the_largest_object_of_each_category():
    metrics = metrics_of(("A ship.", record(("ship", LARGE), ("ship", SMALL), ("bridge", SMALL))))
    assert metrics["object_recall_large"] == 1
    assert metrics["object_recall_small"] == 0
    assert "object_recall_medium" not in metrics
    unknown = metrics_of(("A ship.", record(("ship", LARGE), width=None, height=None)))
    assert unknown["object_recall"] == 1
    assert "object_recall_large" not in unknown


def test_scores_by_density_count_regions():
    metrics = metrics_of(
        ("A ship.", record(*["ship"] * 3)), ("A bridge.", record(*["ship"] * 4)), ("Ships.", record(*["ship"] * 9))
    )
    assert [metrics[f"object_recall_{name}"] for name in ("up_to_3", "4_to_8", "9_or_more")] == [1, 0, 1]
    assert [metrics[f"hallucination_rate_{name}"] for name in ("up_to_3", "4_to_8", "9_or_more")] == [0, 1, 0]


def test_true_descriptions_of_generated_scenes_name_what_is_there_and_nothing_else():
    words = NamedCategories.of(CATEGORIES)
    for index in range(6):
        scene = generate_scene(3, index, size=96)
        described = parse_record(scene_records(scene, 3, index).image)
        for text in (described.conversations[1].value, *described.references):
            marks = check_objects(text, described, words)
            assert marks["not_there"] == marks["missing"] == []
            assert set(marks["named"]) == {item.category for item in named_objects(text)}


def test_an_evaluation_writes_objects_beside_the_other_scores(image_folder, write_data, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")
    described = image_record(0, "red")
    described["regions"] = [{"bbox": [4, 4, 30, 20], "category": "bridge"}, {"bbox": LARGE, "category": "harbor"}]
    data = write_data([described, region_record(1, "red")])  # its category, ship, is in the file's vocabulary
    metrics = evaluate(Answerer(), data, image_folder, tmp_path / "out", progress=False)
    assert metrics["hallucination_rate"] == metrics["hallucinated_descriptions"] == 1
    assert metrics["records_with_objects"] == 1
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert rows[0]["objects"] == {"named": ["ship"], "not_there": ["ship"], "missing": ["bridge", "harbor"]}
    assert "objects" not in rows[1]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "hallucination rate" in page
    assert "✗ ship: not there" in page
    assert "✗ bridge: not named" in page
