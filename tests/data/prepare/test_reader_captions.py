import json
from dataclasses import replace

import pytest

from mgimm_plugin.data.prepare.source import get_source_format
from mgimm_plugin.data.records import Turn
from tests.data.prepare.sample_files import Sample, as_json
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_texts import VRSBENCH


def test_karpathy_sentences_and_splits(tmp_path):
    (first, second), losses = read("karpathy", tmp_path)
    assert (first.source_id, first.file_name, first.split) == ("0", "airport_1.jpg", "train")
    assert first.captions == ("many planes are parked .", "an airport")
    assert (second.captions, second.split) == (("a bridge",), "test")
    assert not losses.dropped


NWPU_CAPTIONS = {
    "airport": [
        {
            "filename": "airport_001.jpg", "imgid": 0, "sentids": [0, 1, 2], "split": "train",
            "raw": "Many planes.", "raw_1": "An airport .", "raw_2": "Planes beside a terminal.",
        },
        {"filename": "airport_002.jpg", "imgid": 1, "split": "val", "raw": "A runway.", "raw_1": 3},
        {"imgid": 2, "raw": "no name"},
    ],
    "bridge": [{"filename": "bridge_001.jpg", "imgid": 700, "split": "test", "raw": "A bridge."}, "nothing"],
}  # fmt: skip


@pytest.mark.parametrize("folder", ["", "airport/", "NWPU_images/airport/"])
def test_nwpu_captions_has_its_images_by_class_and_its_sentences_beside_one_another(tmp_path, folder):
    files = {"labels/dataset_nwpu.json": as_json(NWPU_CAPTIONS)}
    source = Sample(files, images={f"{folder}airport_001.jpg": (60, 40)}).write(tmp_path)
    first, second, bridge = get_source_format("karpathy").read(source)
    assert (first.source_id, first.file_name, first.split) == ("0", f"{folder}airport_001.jpg", "train")
    assert first.captions == ("Many planes.", "An airport .", "Planes beside a terminal.")
    assert (first.width, first.height, first.extra) == (60, 40, {"class": "airport"})
    assert (second.captions, second.split) == (("A runway.",), "val")
    assert (bridge.file_name, bridge.captions) == ("bridge/bridge_001.jpg", ("A bridge.",))
    assert [(error.record, error.field) for error in source.losses.dropped] == [
        ("1", "raw_1"),
        ("airport[2]", "filename"),
        (None, "bridge[1]"),
    ]


def test_a_bad_sentence_costs_the_sentence_and_a_bad_image_the_image(tmp_path):
    value = {
        "images": [
            {
                "filename": "a.jpg",
                "filepath": "val",
                "sentences": [{"raw": "a bridge"}, {"raw": 3}, {"tokens": [1]}, None],
            },
            {"sentences": [{"raw": "no name"}]},
            {"filename": "b.jpg", "sentences": "a bridge"},
        ]
    }
    ((image,), losses) = read("karpathy", tmp_path, {"labels/a.json": as_json(value)})
    assert (image.source_id, image.file_name, image.captions) == ("a.jpg", "val/a.jpg", ("a bridge",))
    assert [(error.index, error.field) for error in losses.dropped] == [
        (0, "sentences[1]"),
        (0, "sentences[2]"),
        (0, "sentences[3]"),
        (1, "filename"),
        (2, "sentences"),
    ]


def test_rsicap_and_rsieval_have_descriptions_and_questions(tmp_path):
    ((image,), losses) = read("rsicap", tmp_path / "1")
    assert (image.descriptions, image.extra) == (("A port with two ships.",), {"text_input": "Describe it."})
    ((image,), more_losses) = read("rsieval", tmp_path / "2")
    assert image.descriptions == ("A port with two ships.",)
    (dialogue,) = image.dialogues
    assert dialogue.turns == (Turn("human", "How many ships?"), Turn("gpt", "2"))
    assert dialogue.extra == {"type": "quantity"}
    assert not losses.dropped
    assert not more_losses.dropped


def test_json_and_jsonl_are_told_apart_by_content(tmp_path):
    one = b'{"filename": "a.png", "caption": "A port."}'
    other = b'{"filename": "b.png", "caption": "A sea."}'
    for number, content in enumerate(
        (
            b'{"annotations": [\n' + one + b",\n" + other + b"\n]}",
            b"[" + one + b",\n" + other + b"]\n",
            one + b"\n\n" + other,
            b"{broken\n" + one + b"\n" + other + b"\n",
        )
    ):
        images, losses = read("rsicap", tmp_path / str(number), {"labels/a.json": content})
        assert [image.file_name for image in images] == ["a.png", "b.png"]
        assert [error.index for error in losses.dropped] == ([0] if content.startswith(b"{broken") else [])
    images, losses = read("rsicap", tmp_path / "one", {"labels/a.jsonl": one})
    assert [image.file_name for image in images] == ["a.png"]


def test_a_question_without_an_answer_costs_that_question(tmp_path):
    pairs = [{"question": "How many?", "answer": ""}, {"question": "Where?", "answer": "left"}, "x"]
    value = [{"filename": "a.png", "caption": "A port.", "qa_pairs": pairs}]
    ((image,), losses) = read("rsieval", tmp_path, {"labels/a.json": as_json(value)})
    assert [dialogue.turns[0].value for dialogue in image.dialogues] == ["Where?"]
    assert [error.field for error in losses.dropped] == ["qa_pairs[0].answer", "qa_pairs[2]"]


def test_an_answer_that_is_no_text_is_the_number_or_the_truth_value_it_is(tmp_path):
    answers = [2, 2.0, 12345678, 12345678.0, 0.1234567, -3, True, False, float("nan"), [1]]
    pairs = [{"question": "What?", "answer": answer} for answer in answers]
    for name in ("rsieval", "vrsbench"):
        value = {"filename": "a.png", "image": "a.png", "caption": "A port.", "qa_pairs": pairs}
        ((image,), losses) = read(name, tmp_path / name, {"labels/a.json": json.dumps(value).encode()})
        assert [dialogue.turns[1].value for dialogue in image.dialogues] == [
            "2", "2", "12345678", "12345678", "0.1234567", "-3", "yes", "no",
        ]  # fmt: skip
        assert [error.field for error in losses.dropped] == ["qa_pairs[8].answer", "qa_pairs[9].answer"]


def test_vrsbench_fractions_become_pixels_even_where_they_exceed_the_image(tmp_path):
    ((image,), losses) = read("vrsbench", tmp_path)
    assert (image.file_name, image.width, image.height) == ("P0001_0002.png", 512, 512)
    ship, harbor = image.objects
    assert (ship.category, ship.phrase) == ("ship", "The ship on the left.")
    assert ship.bbox == (51.2, 102.4, 256, 563.2)
    assert ship.polygon == ((51.2, 102.4), (256, 102.4), (256, 563.2), (51.2, 563.2))
    assert ship.extra == {"is_unique": True, "obj_size": "large"}
    assert (harbor.phrase, harbor.bbox) == (None, (0, 0, 512, 512))
    assert image.descriptions == ("The image shows a ship.",)
    assert image.dialogues[0].turns == (Turn("human", "How many ships?"), Turn("gpt", "1"))
    assert image.dialogues[0].extra == {"ques_id": 0, "type": "object quantity"}
    assert not losses.dropped


def test_vrsbench_takes_the_size_from_the_image_and_keeps_texts_without_one(tmp_path):
    with_image = replace(VRSBENCH, options={}, images={"train/P0001_0002.png": (100, 200)})
    (image,) = get_source_format("vrsbench").read(with_image.write(tmp_path / "with"))
    assert image.file_name == "train/P0001_0002.png"
    assert boxes(image)[1] == ("harbor", (0, 0, 100, 200))
    source = replace(VRSBENCH, options={}).write(tmp_path / "without")
    (image,) = get_source_format("vrsbench").read(source)
    assert (image.objects, image.descriptions) == ((), ("The image shows a ship.",))
    assert [error.field for error in source.losses.dropped] == ["objects[0].obj_coord", "objects[1].obj_coord"]
    assert "--image-size" in str(source.losses.dropped[0])


def test_a_bad_object_of_vrsbench_costs_that_object(tmp_path):
    good = {"obj_id": 1, "obj_cls": "ship", "obj_coord": [0, 0, 0.5, 0.5]}
    bad = [{"obj_coord": [0.5, 0, 0.1, 1]}, {"obj_corner": [1, 2]}, {"obj_coord": "0 0 1 1"}, {"obj_id": 1}]
    objects = [good, *({**good, "obj_id": 10 + place, **item} for place, item in enumerate(bad))]
    value = {"image": "a.png", "caption": None, "objects": objects}
    ((image,), losses) = read("vrsbench", tmp_path, {"labels/a.json": json.dumps(value).encode()})
    assert boxes(image) == [("ship", (0, 0, 256, 256))]
    assert [error.field for error in losses.dropped] == [
        "objects[1].obj_coord",
        "objects[2].obj_corner",
        "objects[3].obj_coord",
        "objects[4].obj_id",
    ]
