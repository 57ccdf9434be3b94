"""From an annotated image to records: what becomes a record, what is dropped, and that each is accounted for."""

import pytest
from PIL import Image

from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.building import Builder
from mgimm_plugin.data.prepare.checking import CLIPPED, Checker
from mgimm_plugin.data.prepare.drafting import GUIDES, Sourced
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.question_templates import load_questions
from mgimm_plugin.data.records import Turn, parse_record
from mgimm_plugin.evaluate.objects import NamedCategories, check_objects

QUESTIONS = load_questions()


def thing(number=0, bbox=(10, 10, 30, 30), **fields):
    return AnnotatedObject(source_id=f"a-{number}", bbox=bbox, **fields)


def image(*objects, source_id="a", **fields):
    fields = {"file_name": f"{source_id}.png", "width": 100, "height": 80, **fields}
    return AnnotatedImage(source_id=source_id, objects=objects, **fields)


def prepared(*images, folder=None, seed=0, losses=None):
    """Records by file, with what was lost on the way."""
    losses = Losses() if losses is None else losses
    checker, builder = Checker(folder, losses), Builder(QUESTIONS, seed, losses)
    files = {}
    for one in images:
        checked = checker.check(one, has_texts=False)
        if checked is not None:
            for built in builder.build(Sourced("test", checked[0]), checked[1]):
                files.setdefault(built.file, []).append(built.value)
    return files, losses


def reasons(losses):
    return [error.message for error in losses.dropped]


def test_a_sentence_of_the_source_is_the_answer_word_for_word():
    files, _ = prepared(image(thing(category="golffield", phrase="A green  golf field", extra={"difficult": 1})))
    (record,) = files["region.jsonl"]
    question, answer = record["conversations"]
    assert answer["value"] == "A green  golf field"
    assert question["value"].removeprefix("<region>\n") in QUESTIONS.by_task["referring"]
    assert record["text"] == "source"
    assert record["regions"] == [
        {
            "bbox": [10, 10, 30, 30], "category": "golffield", "phrase": "A green  golf field",
            "attributes": {"category": "golf field"}, "difficult": 1,
        }
    ]  # fmt: skip
    assert list(files) == ["region.jsonl"], "a source with sentences needs none that are made"


def test_an_object_without_a_sentence_is_described_by_what_was_measured():
    files, _ = prepared(image(thing(category="ship")))
    (record,) = files["region.jsonl"]
    attributes = record["regions"][0]["attributes"]
    assert attributes == {"category": "ship", "size": "medium", "position": "top left"}
    for answer in (record["conversations"][1]["value"], *record["references"]):
        assert all(value in answer for value in attributes.values())
    assert record["text"] == "made"
    assert "phrase" not in record["regions"][0], "a phrase is the source's own"


def test_an_object_of_which_only_the_class_is_known_is_asked_for_its_class():
    files, _ = prepared(image(thing(category="ship"), width=None, height=None))
    (record,) = files["region.jsonl"]
    assert record["conversations"][0]["value"].removeprefix("<region>\n") in QUESTIONS.by_task["category"]
    assert "width" not in record


def test_made_answers_do_not_depend_on_what_came_before():
    one, two = image(thing(category="ship")), image(thing(category="dam"), source_id="b")
    alone, after = prepared(one)[0], prepared(two, one)[0]
    assert alone["region.jsonl"][0] == after["region.jsonl"][1]
    seeds = {prepared(one, seed=seed)[0]["region.jsonl"][0]["conversations"][1]["value"] for seed in range(20)}
    assert len(seeds) > 2


def test_a_number_of_an_object_does_not_pass_for_its_images_name():
    first = image(
        thing(category="ship"), AnnotatedObject(source_id="12", bbox=(0, 0, 9, 9), category="ship"), source_id="1"
    )
    other = image(AnnotatedObject(source_id="12-0", bbox=(0, 0, 9, 9), category="ship"), source_id="12")
    files, losses = prepared(first, other)
    assert [record["id"] for record in files["region.jsonl"]] == ["1-a-0", "1-12", "12-0"]
    assert not losses.changed


def test_descriptions_and_captions_are_guided_by_the_regions():
    files, _ = prepared(
        image(thing(category="ship", phrase="A ship"), thing(1, (50, 50, 70, 70)),
              descriptions=("A long text.",), captions=("One.", "Two.", "One."))
    )  # fmt: skip
    whole, caption = files["image.jsonl"]
    for record, task in ((whole, "image"), (caption, "caption")):
        head, regions, question = record["conversations"][0]["value"].split("\n")
        assert (head, regions) == ("<image>", "<region><region>")
        assert question in QUESTIONS.by_task[task]
        assert format_of(parse_record(record)).name == "image-instruction"
    assert "references" not in whole
    assert caption["references"] == ["Two."]
    assert len(files["region.jsonl"]) == 1, "the second object has no word to say, and guides all the same"


def test_a_caption_that_is_said_twice_is_counted():
    _, losses = prepared(image(captions=("One.", "One.", " ")))
    assert losses.changed["caption text that repeats another of its image, or is blank"] == 2


def test_an_image_with_a_text_and_no_boxes_is_a_record_without_regions():
    files, losses = prepared(image(descriptions=("A field.",)))
    (record,) = files["image.jsonl"]
    assert record["conversations"][0]["value"].count("\n") == 1
    assert not losses.dropped


def test_dialogues_keep_their_questions_and_their_places():
    talk = Dialogue(
        turns=(Turn("human", "What is beside <region>?"), Turn("gpt", "A dam."), Turn("human", "And <region>?"),
               Turn("gpt", "A ship.")),
        objects=(1, 0), extra={"tag": "qa"},
    )  # fmt: skip
    files, _ = prepared(image(thing(category="ship"), thing(1, (50, 50, 70, 70), category="dam"), dialogues=(talk,)))
    (record,) = files["image.jsonl"]
    assert record["conversations"][0]["value"] == "<image>\nWhat is beside <region>?"
    assert [region["category"] for region in record["regions"]] == ["dam", "ship"]
    assert record["tag"] == "qa"
    assert list(files) == ["image.jsonl"], "objects that are spoken of are not asked about once more"


def test_a_dialogue_that_is_all_there_is_keeps_its_name_and_what_else_the_source_knows():
    talk = Dialogue(turns=(Turn("human", "<region>?"), Turn("gpt", "A ship.")), objects=(0,), references=("Ship.",))
    ship = thing(category="ship", attributes={"color": "red", "category": "Ship"})
    (record,) = prepared(image(ship, dialogues=(talk,)))[0]["image.jsonl"]
    assert (record["id"], record["references"]) == ("a", ["Ship."])
    assert record["regions"][0]["attributes"] == {"category": "Ship", "color": "red"}


def test_a_conversation_of_text_alone_passes():
    talk = Dialogue(turns=(Turn("human", "Hello"), Turn("gpt", "Hello.")), shows_image=False)
    files, _ = prepared(image(file_name=None, width=None, height=None, dialogues=(talk,)))
    (record,) = files["text.jsonl"]
    assert "image" not in record


def test_a_dialogue_about_an_object_that_was_left_out_is_left_out():
    talk = Dialogue(turns=(Turn("human", "<region>?"), Turn("gpt", "A ship.")), objects=(0,))
    files, losses = prepared(image(thing(bbox=(200, 200, 220, 220)), thing(1, category="dam"), dialogues=(talk,)))
    assert [record["text"] for record in files["image.jsonl"]] == ["made"]
    assert [error.field for error in losses.dropped] == ["objects", "dialogues[0]"]


def test_boxes_outside_are_dropped_and_boxes_partly_outside_are_clipped():
    outline = ((80.0, 60.0), (120.0, 60.0), (120.0, 90.0))
    files, losses = prepared(
        image(
            thing(bbox=(200, 200, 220, 220), category="ship"),
            thing(1, (80, 60, 120, 90), category="dam", polygon=outline),
        )
    )
    (record,) = files["region.jsonl"]
    assert record["regions"][0]["bbox"] == [80, 60, 100, 80]
    assert record["regions"][0]["polygon"] == [[80, 60], [120, 60], [120, 90]], "the outline is kept as it was"
    assert losses.changed == {CLIPPED: 1}
    assert reasons(losses) == ["box [200, 200, 220, 220] lies outside the 100x80 image"]


def test_what_cannot_be_a_record_is_dropped_with_its_reason():
    _, losses = prepared(
        image(source_id="empty"),
        image(thing(), thing(1, category="ship"), thing(2, category="ship"), source_id="objects"),
        image(thing(category="ship"), source_id="objects"),
        image(captions=("Look at <image>.",), source_id="token"),
        image(captions=("A ship.",), source_id="no-file", file_name=None),
    )
    assert len(losses.dropped) == 6
    for expected, found in zip(
        ("nothing to make a record of", "neither a category nor a phrase", "is object a-1 again", "came before",
         "an answer may not contain <image>", "is missing"),
        reasons(losses), strict=True,
    ):  # fmt: skip
        assert expected in found


def test_of_a_crowd_and_beside_it_nothing_is_made_that_would_be_false():
    crowd = thing(1, (40, 10, 60, 30), category="person", extra={"iscrowd": 1})
    one = thing(category="person"), crowd, thing(2, (10, 45, 30, 65), category="dam")
    files, losses = prepared(image(*one), image(crowd, source_id="b"), image(crowd, captions=("Many.",), source_id="c"))
    assert [record["id"] for record in files["region.jsonl"]] == ["a-0", "a-2"]
    relations = [record["regions"][0]["attributes"].get("relation") for record in files["region.jsonl"]]
    assert relations == [None, "below a person"], "the crowd is no neighbor, and not without people"
    (told,) = files["image.jsonl"]
    assert (told["id"], told["regions"][0]["iscrowd"]) == ("c-caption", 1), "it guides the text of the source"
    assert "referring.jsonl" not in files
    assert [(error.record, "is a crowd" in error.message) for error in losses.dropped] == [("a-1", True)] * 3


def test_every_record_has_an_id_of_its_own():
    files, losses = prepared(
        image(AnnotatedObject(source_id="7", bbox=(1, 1, 9, 9), category="ship"), source_id="7"),
        image(AnnotatedObject(source_id="7", bbox=(1, 1, 9, 9), category="ship"), source_id="8"),
        image(captions=("One.",), descriptions=("Two.",), source_id="8-7"),
    )
    ids = [record["id"] for records in files.values() for record in records]
    assert len(ids) == len(set(ids)) == 8
    assert losses.changed["id that another record has: a number was added"] == 1


def test_more_regions_than_a_model_holds_are_not_shown_and_counted():
    many = [
        thing(number, (number % 90, 0, number % 90 + 5, 5 + number), category="ship") for number in range(GUIDES + 20)
    ]
    files, losses = prepared(image(*many, descriptions=("Ships.",)))
    assert len(files["image.jsonl"][0]["regions"]) == GUIDES
    assert len(files["region.jsonl"]) == GUIDES + 20
    assert losses.changed[f"region beyond the {GUIDES} that guide an image's text"] == 20


def test_a_made_description_of_more_objects_than_a_model_holds_names_nothing_that_its_regions_lack():
    places = [divmod(number, 90) for number in range(GUIDES + 20)]
    ships = [thing(90 * row + x, (x, 9 * row, x + 5, 9 * row + 5), category="ship") for row, x in places]
    harbors = [thing(200 + side, (0, 20, side, 20 + side), category="harbor") for side in (8, 40, 9)]
    files, _ = prepared(image(*ships, *harbors))
    (described,) = map(parse_record, files["image.jsonl"])
    assert [region.category for region in described.regions] == ["ship"] * (GUIDES - 1) + ["harbor"]
    assert described.regions[-1].bbox == (0, 20, 40, 60), "the largest of its category: recall by size is of that one"
    marks = check_objects(described.conversations[1].value, described, NamedCategories.of(["ship", "harbor"]))
    assert {*marks["named"]} == {"ship", "harbor"}
    assert marks["not_there"] == marks["missing"] == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "does not exist"),
        (
            lambda path: Image.new("RGB", (80, 100)).save(path),
            "the annotation says 100x80, the image has 80x100 pixels",
        ),
        (lambda path: path.write_bytes(b"no image"), "not an image that Pillow can read"),
        (lambda path: path.write_bytes(path.with_name("b.png").read_bytes()[:-60]), "cannot be read"),
        (lambda path: Image.new("I;16", (100, 80)).save(path), "not 8 bits a channel"),
    ],
)
@pytest.mark.parametrize("said", [{"category": "ship"}, {"phrase": "A ship"}])
def test_images_that_are_not_what_they_should_be_cost_themselves_only(tmp_path, make, expected, said):
    Image.effect_noise((100, 80), 30).save(tmp_path / "b.png")
    make(tmp_path / "a.png")
    two = image(thing(**said)), image(thing(**said), source_id="b")
    files, losses = prepared(*two, folder=tmp_path)
    assert [record["image"] for record in files["region.jsonl"]] == ["b.png"]
    (reason,) = reasons(losses)
    assert expected in reason
    assert str(tmp_path) not in reason


def test_an_image_above_the_limit_is_dropped_whether_its_pixels_are_needed_or_not(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    losses = Losses()
    assert Checker(tmp_path, losses, 7999).check(image(thing(phrase="A ship")), has_texts=False) is None
    assert "max_pixels" in reasons(losses)[0]


def test_the_size_comes_from_the_image_where_the_annotation_has_none(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    files, _ = prepared(image(thing(category="ship"), width=None, height=None), folder=tmp_path)
    assert (files["region.jsonl"][0]["width"], files["region.jsonl"][0]["height"]) == (64, 48)
