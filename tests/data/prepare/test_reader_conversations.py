import json

import pytest

from mgimm_plugin.data.prepare.converting import Conversion, convert
from mgimm_plugin.data.prepare.source import Source
from mgimm_plugin.data.records import Turn
from tests.data.prepare.sample_files import as_json, as_jsonl
from tests.data.prepare.samples import SAMPLES, boxes, read
from tests.data.prepare.samples_of_texts import turns


def test_llava_records_pass_with_and_without_regions_and_images(tmp_path):
    (plain, regioned, text), losses = read("llava", tmp_path)
    assert (plain.source_id, plain.file_name, plain.width) == ("one", "a.png", 60)
    assert plain.dialogues[0].turns == (Turn("human", "What is this?"), Turn("gpt", "A harbor."))
    assert plain.dialogues[0].shows_image
    assert boxes(regioned) == [("ship", (10, 5, 30, 20))]
    (dialogue,) = regioned.dialogues
    assert (dialogue.turns[0].value, dialogue.objects) == ("<region>\nWhat is this?", (0,))
    assert not dialogue.shows_image
    assert (text.source_id, text.file_name, text.dialogues[0].shows_image) == ("two-2", None, False)
    assert losses.changed == {"id that came before in its source: a number was added": 1}


def test_regions_that_only_guide_get_tokens(tmp_path):
    record = {
        "id": 1,
        "image": "a.png",
        "regions": [{"bbox": [10, 5, 30, 20]}, {"bbox": [0, 0, 9, 9]}],
        "conversations": turns("<image>\nDescribe it.", "A port."),
    }
    ((image,), _) = read("llava", tmp_path, {"labels/a.jsonl": as_jsonl(record)})
    (dialogue,) = image.dialogues
    assert dialogue.turns[0].value == "<region><region>\nDescribe it."
    assert dialogue.objects == (0, 1)


@pytest.mark.parametrize("name", ["coco", "dior-rsvg", "geochat", "voc", "vrsbench"])
def test_a_prepared_set_comes_out_as_it_went_in(tmp_path, name):
    source = SAMPLES[name].write(tmp_path)
    first = convert(Conversion(source_format=name, source=source, output=tmp_path / "first", progress=False))
    # The parts of one split: a set's other splits hold the same records again.
    parts = sorted({(tmp_path / "first" / path).parent for path in first.card["files"] if "disjoint" not in path})
    for part in parts:
        again = tmp_path / "again" / part.name
        source = Source(sorted(part.glob("*.jsonl")), images=source.images)
        card = convert(Conversion(source_format="llava", source=source, output=again, progress=False)).card
        assert {path.name: path.read_text() for path in again.glob("*.jsonl")} == {
            path.name: path.read_text() for path in part.glob("*.jsonl")
        }
        assert (card["dropped"], card["changed"]) == ({}, {})
        assert card["attributes"] == {"measured_regions": 0}, "nothing was measured this time"


def test_what_other_records_call_source_and_text_is_kept_where_it_can_be_meant_and_else_counted(tmp_path):
    record = {"id": "a", "image": "a.png", "conversations": turns("<image>\nDescribe it.", "A port.")}
    lines = as_jsonl({**record, "source": "web", "text": "A port."}, {**record, "id": "b", "source": 3, "text": "made"})
    images, losses = read("llava", tmp_path, {"labels/a.jsonl": lines})
    assert [image.dialogues[0].provenance for image in images] == [{"source": "web"}, {"text": "made"}]
    assert losses.changed == {
        "text of a record that says something else there: left out": 1,
        "source of a record that says something else there: left out": 1,
    }


def test_a_bad_record_costs_that_record(tmp_path):
    good = {"id": 1, "image": "a.png", "conversations": turns("<image>", "A port.")}
    lines = as_jsonl(good, {**good, "id": None}) + b"{broken\n" + as_jsonl({**good, "id": 2})
    images, losses = read("llava", tmp_path, {"labels/a.jsonl": lines})
    assert [image.source_id for image in images] == ["1", "2"]
    assert [(error.index, error.field) for error in losses.dropped] == [(1, "id"), (2, None)]
    assert "line 3 is not valid JSON" in str(losses.dropped[1])


def test_a_line_of_records_ends_at_a_line_feed_alone(tmp_path):
    record = {"image": "a.png", "conversations": turns("<image>\nWhat is\u2028this\x85?", "A port.")}
    lines = "\r\n".join(json.dumps({"id": number, **record}, ensure_ascii=False) for number in (1, 2))
    images, losses = read("llava", tmp_path, {"labels/a.jsonl": lines.encode()})
    assert [image.dialogues[0].turns[0].value for image in images] == ["What is\u2028this\x85?"] * 2
    assert not losses.dropped


def test_a_box_in_a_question_becomes_a_token_and_a_box_as_an_answer_an_object(tmp_path):
    (refer, ground), losses = read("geochat", tmp_path)
    assert "counterclockwise" in losses.notes[0]
    ship, harbor = refer.objects
    assert (ship.bbox, ship.phrase) == ((20, 20, 60, 60), "the large ship at the left")
    assert harbor.bbox == pytest.approx((112.5, 12.5, 137.5, 62.5))
    assert harbor.extra == {"angle": 90}
    (dialogue,) = refer.dialogues
    assert dialogue.turns == (Turn("human", "What is at <region>?"), Turn("gpt", "A harbor"))
    assert (dialogue.objects, dialogue.extra) == ((1,), {"tasks": ["identify"]})
    assert [(item.bbox, item.phrase) for item in ground.objects] == [((20, 20, 60, 60), "a ship")]
    assert ground.dialogues[0].turns == (
        Turn("human", "Describe the image."),
        Turn("gpt", "There is a ship near two cars."),
    )
    assert losses.changed == {
        "answer that was a box: the box became an object, and what was asked for its phrase": 1,
        "box taken out of an answer's text": 1,
        "box of an answer that shares its phrase with others, or has none: left out": 2,
    }
    assert not losses.dropped


def test_earthdial_boxes_have_any_number_of_brackets_and_an_angle(tmp_path):
    (first, second), losses = read("earthdial", tmp_path)
    assert [item.bbox for item in first.objects] == [(20, 20, 60, 60), pytest.approx((112.5, 12.5, 137.5, 62.5))]
    assert first.file_name == "a.png"
    assert [turn.value for turn in first.dialogues[0].turns] == [
        "What is at <region>?",
        "A ship",
        "And at <region>?",
        "A harbor",
    ]
    assert first.dialogues[0].objects == (0, 1)
    assert second.dialogues[0].turns[1].value == "A port."
    assert not losses.dropped


def geochat(*texts, **fields):
    return {"labels/a.json": as_json([{"id": 1, "image": "a.png", "conversations": turns(*texts), **fields}])}


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("Where is the ship?", "{<1><2><30><40>}", "no phrase in tags"),
        ("Where are <p>the ships</p>?", "{<1><2><30><40>}{<5><5><9><9>}", "no phrase in tags belongs to one alone"),
        ("What is at {<30><2><1><40>}?", "A ship", "reversed"),
        ("What is at {<30><2><1><40>}?", "Near <p>a pier</p> {<1><2><30><40>} lies a ship.", "reversed"),
        ("What is at {<3><2><900><40>}?", "A ship", "not on the grid"),
        ("What is at {<3><2><90>?", "A ship", "not complete"),
        ("What is at <3> <2>?", "A ship", "not complete"),
        ("What is at <3 <2 <90 ?", "A ship", "not complete"),
        ("What is at |<90 ?", "A ship", "not complete"),
        ("What is at <30|?", "A ship", "not complete"),
        ("{<1><2><30><40>}", "{<1><2><30><40>}", "no phrase in tags"),
        ("<p></p>", "A ship", "has no words"),
    ],
)
def test_a_pair_that_cannot_be_told_costs_that_pair(tmp_path, question, answer, message):
    files = geochat("Describe it.", "A port.", question, answer, "And?", "A sea.")
    ((image,), losses) = read("geochat", tmp_path, files)
    assert [turn.value for turn in image.dialogues[0].turns] == ["Describe it.", "A port.", "And?", "A sea."]
    assert image.objects == ()
    (error,) = losses.dropped
    assert (error.record, error.field) == ("1", "conversations[2]")
    assert message in str(error)


@pytest.mark.parametrize("name", ["geochat", "earthdial"])
@pytest.mark.parametrize("text", ["Which roof has less than <50 m2?", "Is it < 3.5 m or > 4 m?", "Is it <-5 degrees?"])
def test_a_sign_before_a_number_is_no_box(tmp_path, name, text):
    ((image,), losses) = read(name, tmp_path, geochat(text, "Two: <4 and <9."))
    assert [turn.value for turn in image.dialogues[0].turns] == [text, "Two: <4 and <9."]
    assert not losses.dropped


def test_turns_out_of_order_and_two_images_are_dropped(tmp_path):
    files = geochat("Describe it.", "A port.", "And?")
    (_, losses) = read("geochat", tmp_path / "1", files)
    assert [error.field for error in losses.dropped] == ["conversations[2]"]
    images, losses = read("geochat", tmp_path / "2", geochat("What changed?", "Nothing.", image=["a.png", "b.png"]))
    assert images == []
    assert "has 2 images" in str(losses.dropped[0])


def test_text_without_boxes_needs_no_size(tmp_path):
    source_files = geochat("Describe it, <image>", "A port.")
    ((image,), losses) = read("geochat", tmp_path, source_files)
    assert image.dialogues[0].turns[0].value == "Describe it,"
    assert not losses.dropped
