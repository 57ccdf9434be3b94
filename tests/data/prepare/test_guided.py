"""Attribute-guided construction: descriptions joined to boxes, and sentences made where a source has none."""

import json

import pytest
from PIL import Image, ImageDraw

from mgimm_plugin.commands.prepare import prepare
from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.splits import image_name, image_split
from tests.data.prepare.fake_dior import write_dior_rsvg


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def entry(name, text="A dam.", boxes=(), **fields):
    turns = [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": text}]
    size = {"width": 800, "height": 800}
    return {
        "image_id": name, "file_name": f"{name}.jpg", **size, "bbox": list(boxes), "conversations": turns, **fields,
    }  # fmt: skip


def dropped(output):
    return [(item["record"], item["field"], item["reason"]) for item in records(output / "dropped.ndjson")]


def card(output):
    return json.loads((output / "dataset.json").read_text())


@pytest.fixture
def dior(tmp_path):
    """Six images with boxes, of twelve: 00001, 00003, ... 00011."""
    write_dior_rsvg(tmp_path / "dior", files=6, objects=12, images=12)
    return tmp_path / "dior"


def join(dior, tmp_path, **files):
    options = []
    for name, entries in files.items():
        path = tmp_path / f"dior-gpg-{name}.json"
        path.write_text(json.dumps(entries))
        options.append(f"mgimm={path}")
    prepare("dior-rsvg", [dior], tmp_path / "out", joins=options, progress=False)
    return tmp_path / "out" / "official"


def test_a_joined_description_is_guided_by_the_boxes_and_sentences_of_the_first_source(dior, tmp_path):
    out = join(dior, tmp_path, train=[entry("00003", "A long description.", [[1, 1, 5, 5]])])
    (record,) = records(out / "train" / "image.jsonl")
    own = [item for part in out.iterdir() for item in records(part / "region.jsonl") if item["image"] == "00003.jpg"]
    assert sorted(region["phrase"] for region in record["regions"]) == sorted(
        item["conversations"][1]["value"] for item in own
    )
    assert record["conversations"][0]["value"].startswith("<image>\n" + "<region>" * len(own) + "\n")
    assert record["conversations"][1]["value"] == "A long description."
    assert (record["source"], record["source_id"], record["text"]) == ("mgimm", "00003", "source")
    assert card(tmp_path / "out")["changed"][
        "box of a joined source left out: its image has those of the first source"
    ] == 1  # fmt: skip


def test_a_description_of_an_image_without_boxes_is_a_pair_all_the_same(dior, tmp_path):
    out = join(dior, tmp_path, val=[entry("00002"), entry("00004", boxes=[[1, 1, 5, 5]])])
    bare, boxed = records(out / "val" / "image.jsonl")
    assert "regions" not in bare or not bare["regions"]
    assert "<region>" not in bare["conversations"][0]["value"]
    assert [region["bbox"] for region in boxed["regions"]] == [[1, 1, 6, 6]], "its own boxes guide it"


def test_an_image_of_a_joined_source_may_have_the_id_of_another_image(dior, tmp_path):
    out = join(dior, tmp_path, val=[{**entry("00001", "A field."), "file_name": "other.jpg"}])
    (record,) = records(out / "val" / "image.jsonl")
    assert (record["image"], record["source_id"]) == ("other.jpg", "00001")
    assert not dropped(tmp_path / "out")


@pytest.mark.parametrize(
    ("first", "joined"), [(["1.jpg"], ["a/1.jpg", "b/1.jpg"]), (["a/1.jpg", "b/1.jpg"], ["1.jpg"])]
)
def test_images_of_one_name_in_two_folders_that_share_texts_are_noted(tmp_path, first, joined):
    annotations = [{"image_id": number, "category_id": 1, "bbox": [1, 1, 5, 5]} for number in range(len(first))]
    images = [{"id": number, "file_name": name} for number, name in enumerate(first)]
    value = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}
    (tmp_path / "coco.json").write_text(json.dumps(value))
    texts = [{"filename": name, "sentences": [{"raw": f"Text of {name}."}]} for name in joined]
    (tmp_path / "texts.json").write_text(json.dumps({"images": texts}))
    joins = [f"karpathy={tmp_path}/texts.json"]
    prepare("coco", [tmp_path / "coco.json"], tmp_path / "out", joins=joins, progress=False)
    assert any(
        note.startswith("Images with the file name of another in another folder: 1.")
        for note in card(tmp_path / "out")["notes"]
    )


def test_each_joined_text_is_used_once_and_each_that_is_not_has_its_reason(dior, tmp_path):
    talk = [{"from": role, "value": "Text."} for role in ("human", "gpt", "human", "gpt")]
    texts = [
        entry("00001", "First."), entry("00001", "Second."), entry("00003", conversations=talk),
        entry("00005", ""), entry(None), {"question_id": 1, "text": "x"}, "nothing",
    ]  # fmt: skip
    out = join(dior, tmp_path, test=texts)
    assert sorted(record["conversations"][1]["value"] for record in records(out / "test" / "image.jsonl")) == [
        "First.", "Second.",
    ]  # fmt: skip
    reasons = [reason for _, _, reason in dropped(tmp_path / "out")]
    assert len(reasons) == 5
    for expected in ("not joined", "is empty", "is missing", "answer of a model", "must be an object"):
        assert any(expected in reason for reason in reasons), expected


def test_parts_of_the_joined_source_are_its_own(dior, tmp_path):
    out = join(dior, tmp_path, train=[entry("00001")], other=[entry("00003")])
    assert len(records(out / "train" / "image.jsonl")) == 1
    assert len(records(out / "unassigned" / "image.jsonl")) == 1


def test_an_image_is_in_one_part_whichever_source_names_it():
    assert image_name(AnnotatedImage(source_id="1", file_name="a/00001.jpg")) == "00001"
    parts = [image_split(f"{number:05d}", 0) for number in range(5000)]
    assert {part: round(parts.count(part) / 5000, 1) for part in set(parts)} == {"train": 0.7, "val": 0.1, "test": 0.2}


def test_stage_one_gives_region_records(tmp_path):
    value = {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 100, "height": 50}, {"id": 8, "file_name": "8.jpg"}],
        "annotations": [
            {"image_id": 7, "bbox": [10, 5, 20, 30], "caption": "A red ship"},
            {"image_id": 7, "bbox": [90, 5, 20, 30], "caption": "A dam"},
            {"image_id": 7, "bbox": [10, 5, -20, 30], "caption": "Reversed"},
            {"image_id": 9, "bbox": [10, 5, 20, 30], "caption": "Nowhere"},
        ],
    }
    (tmp_path / "dior-vg.json").write_text(json.dumps(value))
    prepare("mgimm", [tmp_path / "dior-vg.json"], tmp_path / "out", progress=False)
    red, dam = records(tmp_path / "out" / "region.jsonl")
    assert red["regions"] == [{"bbox": [10, 5, 30, 35], "phrase": "A red ship"}]
    assert dam["regions"][0]["bbox"] == [90, 5, 100, 35]
    assert [(record, field) for record, field, _ in dropped(tmp_path / "out")] == [
        (None, "annotations[2].bbox"), ("8", None), ("9-0", None),
    ]  # fmt: skip


def test_stage_two_is_split_by_its_file_names_and_keeps_longer_conversations(tmp_path):
    talk = [
        {"from": "human", "value": "<image>\nWhat is here?"}, {"from": "gpt", "value": "A ship."},
        {"from": "human", "value": "Where?"}, {"from": "gpt", "value": "At sea."},
    ]  # fmt: skip
    entries = [entry("a", boxes=[[1, 1, 5, 5]], conversations=talk), entry("b", boxes=[[1, 1, 5, 5], [0, 0, 0, 3]])]
    (tmp_path / "dior-gpg-val.json").write_text(json.dumps(entries))
    prepare("mgimm", [tmp_path / "dior-gpg-val.json"], tmp_path / "out", progress=False)
    long, short = records(tmp_path / "out" / "val" / "image.jsonl")
    assert [turn["value"] for turn in long["conversations"]] == [
        "<image>\n<region>\nWhat is here?", "A ship.", "Where?", "At sea.",
    ]  # fmt: skip
    assert len(short["regions"]) == 1
    assert [field for _, field, _ in dropped(tmp_path / "out")] == ["bbox[1]"]


def test_questions_become_records_without_an_answer(tmp_path):
    lines = [{"image_id": 1, "file_name": "1.jpg", "text": "Describe <image>.", "bbox": [[1, 2, 3, 4]]}] * 2
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare("mgimm", [tmp_path / "questions.jsonl"], tmp_path / "out", progress=False)
    first, second = records(tmp_path / "out" / "image.jsonl")
    assert [turn["from"] for turn in first["conversations"]] == ["human"]
    assert first["conversations"][0]["value"] == "<image>\n<region>\nDescribe ."
    assert first["id"] != second["id"]


@pytest.fixture
def voc(tmp_path):
    """One image with a white diagonal ship (its outline is known to nobody) and a red square one, boxes alone."""
    source = tmp_path / "voc"
    source.mkdir()
    image = Image.new("RGB", (200, 100), (30, 60, 110))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((20, 20, 39, 39), fill=(200, 40, 40))
    drawing.rectangle((60, 20, 139, 39), fill=(240, 240, 240))
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images" / "a.png")
    boxes = {"ship": (21, 21, 40, 40), "harbor": (61, 21, 140, 40)}
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
        "</object>"
        for name, (x1, y1, x2, y2) in boxes.items()
    )
    (source / "a.xml").write_text(
        "<annotation><filename>a.png</filename><size><width>200</width><height>100</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    )
    return source


def test_boxes_and_classes_alone_become_sentences_that_are_marked_as_made(voc, tmp_path):
    prepare("voc", [voc], tmp_path / "out", images=tmp_path / "images", progress=False)
    ship, harbor = records(tmp_path / "out" / "region.jsonl")
    assert ship["regions"][0]["attributes"] == {
        "category": "ship", "size": "medium", "color": "red", "position": "top left", "relation": "left of the harbor",
    }  # fmt: skip
    assert harbor["regions"][0]["attributes"] == {
        "category": "harbor", "size": "large", "color": "white", "shape": "elongated", "orientation": "horizontal",
        "position": "top middle", "relation": "right of the ship",
    }  # fmt: skip
    (whole,) = records(tmp_path / "out" / "image.jsonl")
    answer = whole["conversations"][1]["value"]
    assert "one harbor and one ship" in answer
    assert len(whole["regions"]) == 2
    referring = records(tmp_path / "out" / "referring.jsonl")
    assert [record["conversations"][1]["value"] for record in referring]
    assert not any("attributes" in record["regions"][0] for record in referring), "it names what is needed, not all"
    assert {record["text"] for record in (ship, harbor, whole, *referring)} == {"made"}
    found = card(tmp_path / "out")
    assert found["text"]["region.jsonl"] == {"made": 2}
    assert found["attributes"]["measured"]["color"] == 2


def test_without_images_there_are_no_colors_and_the_card_says_so(voc, tmp_path):
    prepare("voc", [voc], tmp_path / "out", progress=False)
    ship, _ = records(tmp_path / "out" / "region.jsonl")
    assert "color" not in ship["regions"][0]["attributes"]
    assert (ship["width"], ship["height"]) == (200, 100)
    found = card(tmp_path / "out")
    assert not found["images_at_hand"]
    assert found["attributes"]["left_out"]["color"] == "needs the images, which were not at hand"


def test_what_is_lost_with_an_image_is_counted_by_kind(voc, tmp_path):
    (voc / "b.xml").write_text((voc / "a.xml").read_text().replace("a.png", "gone.png"))
    prepare("voc", [voc], tmp_path / "out", images=tmp_path / "images", progress=False)
    assert dropped(tmp_path / "out") == [("b", "image", "image gone.png does not exist")]
    assert [entry["file"] for entry in records(tmp_path / "out" / "dropped.ndjson")] == ["voc/b.xml"]
    lost = card(tmp_path / "out")["lost_with_image"]
    assert {kind: number for kind, number in lost.items() if number} == {"images": 1, "objects": 2}
    assert "Lost with images that were dropped" in (tmp_path / "out" / "report.md").read_text()
