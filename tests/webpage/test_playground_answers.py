"""What becomes of answers, without a browser: sessions, questions about regions, links, exports, corrections."""

import math
import re

import pytest
from PIL import Image

from mgimm_plugin.commands.validate import run as validate
from mgimm_plugin.data.records import read_records
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.growing_answers import GrowingAnswer
from mgimm_plugin.webpage import panels
from mgimm_plugin.webpage.answers import reply, with_regions
from mgimm_plugin.webpage.boxes_input import parse_boxes
from mgimm_plugin.webpage.exports import correct, write_exports
from mgimm_plugin.webpage.linking import attributes_of, regions_of, sentences_of
from mgimm_plugin.webpage.models import ModelShelf, Options
from mgimm_plugin.webpage.session import (
    Description,
    Drawing,
    DrawnBox,
    Limits,
    Row,
    Session,
    Turn,
)
from mgimm_plugin.webpage.theme import css

BOX = (10.0, 20.0, 40.0, 60.0)


@pytest.fixture
def drawing():
    return Drawing(Image.new("RGB", (100, 80), "green"), (DrawnBox(BOX, "ship"), DrawnBox((60, 50, 99, 79))))


@pytest.fixture
def session(drawing):
    rows = [
        Row(drawing.boxes[0], "A small white ship.", 0.8, "model A"),
        Row(drawing.boxes[1], "A large red stadium.", 0.4, "model B"),
    ]
    description = Description("Seen from above is water.\nThere is a ship.", drawing.boxes, "model A")
    return Session(size=(100, 80), rows=rows, description=description)


def test_what_was_said_of_a_box_stays_until_it_moves(session, drawing):
    session.show(drawing)
    session.rows[0].phrase = "A small white ship."
    assert not session.show(Drawing(drawing.image, (DrawnBox(BOX, "boat"), DrawnBox((61, 50, 99, 79)))))
    assert [row.phrase for row in session.rows] == ["A small white ship.", ""]
    assert session.rows[0].box.label == "boat"


def test_nothing_is_said_of_another_image(drawing):
    session = Session()
    session.show(drawing)
    session.rows[0].phrase, session.description = "A ship.", Description("A ship on water.", (), "model A")
    session.turns.append(Turn("What?", "<image>\nWhat?", (), "A ship."))
    assert session.show(Drawing(Image.new("RGB", (100, 80), "blue"), drawing.boxes))
    assert [row.phrase for row in session.rows] == ["", ""]
    assert (session.description, session.turns, session.messages) == (None, [], [])


def test_a_box_drawn_during_an_answer_does_not_disturb_it(drawing):
    session = Session()
    session.show(drawing)
    session.show(Drawing(drawing.image, (DrawnBox((1, 1, 9, 9)), drawing.boxes[1])))
    session.hear(drawing.boxes, [GrowingAnswer("A ship.", 0.5, True), GrowingAnswer("A building.", 0.7, True)], "A", 1)
    assert [(row.phrase, row.confidence) for row in session.rows[1:]] == [("A building.", 0.7)]
    assert session.rows[0].phrase == ""


def test_region_numbers_in_a_question_become_tokens_with_their_boxes(drawing):
    text, boxes = with_regions("What is between Region 2 and region 1? <image><region>", drawing.boxes)
    assert text == "What is between <region> and <region>?"
    assert boxes == [drawing.boxes[1].bbox, drawing.boxes[0].bbox]
    for question in ("Is region 3 a ship?", "And regions 1, 2 and 3?", "And regions 1-3?", " "):
        with pytest.raises(MgimmError, match=r"no region 3|no question"):
            with_regions(question, drawing.boxes)


@pytest.mark.parametrize(
    ("question", "asked", "numbers"),
    [
        ("What joins regions 1 and 2?", "What joins <region> and <region>?", [1, 2]),
        ("Is region #2, 1 or 2 red?", "Is <region>, <region> or <region> red?", [2, 1, 2]),
        ("Are regions 1-2 alike?", "Are <region>, <region> alike?", [1, 2]),
        ("Are regions 1 to 2 alike?", "Are <region>, <region> alike?", [1, 2]),
        ("Compare region 1 to 2.", "Compare <region> to <region>.", [1, 2]),
        ("region1?", "<region>?", [1]),
        ("Are the 2 regions alike?", "Are the 2 regions alike?", []),
        ("Are regions 1 through 2 alike?", "Are <region>, <region> alike?", [1, 2]),
        ("Describe region 1 through 2.", "Describe <region>, <region>.", [1, 2]),
        ("In region 1, 20 planes are parked, right?", "In <region>, 20 planes are parked, right?", [1]),
        ("In region 1, 2 planes are parked?", "In <region>, 2 planes are parked?", [1]),
        ("In regions 1 and 2, 2 planes each?", "In <region> and <region>, 2 planes each?", [1, 2]),
        ("Is 2.5 km of region 1, 2.5 or 2,000 wide?", "Is 2.5 km of <region>, 2.5 or 2,000 wide?", [1]),
        ("Is region 1, 2, and 1 alike?", "Is <region>, <region>, and <region> alike?", [1, 2, 1]),
        ("What is in region 2, 1?", "What is in <region>, <region>?", [2, 1]),
    ],
)
def test_several_regions_in_one_breath(drawing, question, asked, numbers):
    text, boxes = with_regions(question, drawing.boxes)
    assert (text, boxes) == (asked, [drawing.boxes[number - 1].bbox for number in numbers])


class Parrot:
    """A model that says what it was asked, word by word."""

    def stream_answers(self, questions, **settings):
        (question,) = questions
        words = "/".join(question.texts).split(" ")
        for length in range(1, len(words) + 1):
            yield [GrowingAnswer(" ".join(words[:length]), 0.5, length == len(words))]


def test_a_follow_up_is_asked_with_what_was_said_and_its_boxes(drawing):
    session, options = Session(), Options("a")
    list(reply(Parrot(), drawing, session, "What is region 2?", options))
    *_, answer = reply(Parrot(), drawing, session, "And 1?", options)
    assert answer.text == "<image>\nWhat is <region>?/<image>\nWhat is <region>?/And 1?"
    assert [turn.boxes for turn in session.turns] == [(drawing.boxes[1].bbox,), ()]
    assert [message["content"] for message in session.messages[::2]] == ["What is region 2?", "And 1?"]


def test_a_stopped_answer_stays_as_far_as_it_came(drawing):
    session = Session()
    answer = reply(Parrot(), drawing, session, "What is it?", Options("a"))
    next(answer)
    answer.close()
    assert [turn.answer for turn in session.turns] == ["<image>\nWhat"]


def test_an_answer_that_was_stopped_before_its_first_word_is_none(drawing):
    class Slow:
        def stream_answers(self, questions, **settings):
            yield [GrowingAnswer("", math.nan, False)]

    session = Session()
    answer = reply(Slow(), drawing, session, "What is it?", Options("a"))
    next(answer)
    answer.close()
    assert session.turns == []


def test_a_new_conversation_has_nothing_of_an_answer_to_the_old_one(drawing):
    session = Session()
    answer = reply(Parrot(), drawing, session, "What is it?", Options("a"))
    next(answer)
    session.forget_chat()
    list(answer)
    assert session.turns == []


def test_sentences_are_linked_by_class_and_place(session):
    size = (100, 80)
    assert attributes_of("A small white ship.") == {"category": "ship", "color": "white", "size": "small"}
    assert regions_of("There are two ships.", session.rows, size) == [1]
    assert regions_of("A ship is in the middle left.", session.rows, size) == [1]
    assert regions_of("A ship is in the top right.", session.rows, size) == []
    assert regions_of("The stadiums are red.", session.rows, size) == [2]
    assert regions_of("Something is in the bottom right.", [Row(DrawnBox((60, 50, 99, 79)))], size) == [1]
    assert regions_of("Seen from above is water.", session.rows, size) == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "The runway is 2.5 km long, near U.S. soil.\n\n1. One ship. ",
            ["The runway is 2.5 km long, near U.S. ", "soil.\n\n", "1. ", "One ship. "],
        ),
        ("... and so on. Is it?! v1.2 is", ["... ", "and so on. ", "Is it?! ", "v1.2 is"]),
        ("", []),
    ],
)
def test_a_description_is_shown_in_the_models_own_words_and_lines(session, text, sentences):
    assert sentences_of(text) == sentences
    session.description = Description(text, (), "model A")
    assert re.sub(r"<sup.*?</sup>|<[^>]+>", "", panels.told(session)) == text
    assert "pre-wrap" in css(Limits())


def test_corrected_answers_are_marked_as_the_visitors(session, drawing, tmp_path):
    assert "yours" not in panels.table(session.rows)
    session.rows[1] = Row(session.rows[1].box, "A round tank.")
    assert panels.table(session.rows).count("yours") == 1
    report = next(path for path in write_exports(tmp_path, drawing, session) if path.suffix == ".md").read_text()
    assert "Described by `model A`. Corrected: region 2." in report


def test_words_of_models_and_visitors_are_escaped(drawing):
    evil = "<script>alert(1)</script> ship."
    rows = [Row(DrawnBox(BOX, evil), evil)]
    told = panels.told(Session(size=(100, 80), rows=rows, description=Description(evil, (), evil)))
    shown = panels.table(rows) + told + panels.picture(Drawing(drawing.image, ())) + panels.loading(evil, 1)
    assert "<script" not in shown


def test_exports_are_whole_and_records_are_the_projects(session, drawing, tmp_path):
    paths = {path.name: path for path in write_exports(tmp_path, drawing, session)}
    image = f"image-{drawing.digest[:8]}.png"
    assert set(paths) == {"annotated.png", image, "records.json", "coco.json", "report.md"}
    assert Image.open(paths["annotated.png"]).size == Image.open(paths[image]).size == (100, 80)
    read = list(read_records(paths["records.json"]))
    assert [record.conversations[1].value for record in read] == [
        "A small white ship.",
        "A large red stadium.",
        session.description.text,
    ]
    assert len(read[2].regions) == 2
    again = parse_boxes(paths["coco.json"].read_text(), Limits(), (100, 80))
    assert [box.bbox for box in again] == [box.bbox for box in drawing.boxes]
    assert [box.label for box in again] == ["ship", "stadium"]
    report = paths["report.md"].read_text()
    assert "A large red stadium." in report
    assert "40%" in report
    assert "Described by `model A` and `model B`." in report


def test_a_box_drawn_after_a_description_does_not_guide_it(session, drawing, tmp_path):
    more = Drawing(drawing.image, (*drawing.boxes, DrawnBox((1, 1, 9, 9))))
    session.show(drawing)
    session.description = Description("A ship.", drawing.boxes, "model A")
    session.show(more)
    write_exports(tmp_path, more, session)
    (record,) = read_records(tmp_path / "records.json")
    assert [tuple(region.bbox) for region in record.regions] == [box.bbox for box in drawing.boxes]


def test_sentences_follow_the_boxes_when_one_is_deleted(session, drawing):
    session.image = "?"
    session.show(Drawing(drawing.image, drawing.boxes))
    session.description = Description("There is a ship.", (), "model A")
    assert "mg-r1" in panels.told(session)
    session.show(Drawing(drawing.image, drawing.boxes[::-1]))
    assert "mg-r2" in panels.told(session)


def test_exported_records_and_corrections_pass_validate(session, drawing, tmp_path):
    write_exports(tmp_path, drawing, session)
    corrections = tmp_path / "kept" / "corrections.jsonl"
    for text in ("A gray ship.", "A long gray ship."):
        correct(corrections, drawing, Row(drawing.boxes[0], text))
    correct(corrections, drawing, Description("A harbor.", drawing.boxes[1:], ""), session.rows)
    assert validate([tmp_path / "records.json"], images=tmp_path, progress=False) == 0
    assert validate([corrections], images=corrections.parent, progress=False) == 0
    assert [record.conversations[1].value for record in read_records(corrections)] == [
        "A gray ship.",
        "A long gray ship.",
        "A harbor.",
    ]
    guide = list(read_records(corrections))[2].regions[0]
    assert (guide.bbox, guide.phrase) == (drawing.boxes[1].bbox, session.rows[1].phrase)
    assert len(list((corrections.parent / "images").iterdir())) == 1


def test_nothing_is_exported_and_no_empty_correction_kept(drawing, tmp_path):
    with pytest.raises(MgimmError, match="nothing to export"):
        write_exports(tmp_path, drawing, Session())
    for text in ("", "an <image>"):
        with pytest.raises(MgimmError):
            correct(tmp_path / "c.jsonl", drawing, Row(drawing.boxes[0], text))
    assert not (tmp_path / "c.jsonl").exists()


def test_who_waits_for_a_model_is_told_for_how_long():
    shelf = ModelShelf()
    seconds = list(shelf.loading(Options(shelf.names[0])))
    assert seconds
    assert seconds == sorted(seconds)
    assert list(shelf.loading(Options(shelf.names[0]))) == []
    assert shelf.get(Options(shelf.names[0])) is shelf.get(Options(shelf.names[0]))
    other = Options(shelf.names[0], template="plain")
    assert list(shelf.loading(other)) == [], "another template needs no other weights"
    assert shelf.get(other).model is shelf.get(Options(shelf.names[0])).model
    assert shelf.get(other).template == "plain"
    with pytest.raises(MgimmError, match="no model 'another'"):
        list(shelf.loading(Options("another")))


def test_a_model_that_cannot_be_loaded_is_told_to_who_asked_for_it(tmp_path):
    with pytest.raises(MgimmError, match="broken"):
        list(ModelShelf([str(tmp_path / "broken")]).loading(Options("broken")))
