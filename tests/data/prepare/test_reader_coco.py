import json
import re

import pytest

from mgimm_plugin.commands.prepare import prepare
from mgimm_plugin.errors import RecordError
from tests.data.prepare.sample_files import as_json
from tests.data.prepare.samples import boxes, read


def test_captions_and_boxes_of_two_files_go_to_the_same_image(tmp_path):
    (first, second), losses = read("coco", tmp_path)
    assert (first.file_name, first.width, first.height) == ("a.png", 60, 40)
    assert boxes(first) == [("ship", (10, 5, 30, 20))]
    assert first.captions == ("A ship lies in a harbor.", "One ship.")
    assert first.objects[0].polygon == ((10, 5), (30, 5), (30, 20))
    assert boxes(second) == [("ship", (0, 0, 9, 9))]
    assert second.objects[0].extra == {"iscrowd": 1}
    assert losses.changed == {"mask in run-length code left out: the box is kept": 1}
    assert not losses.dropped


def coco(**fields):
    value = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [],
    }
    return {"labels/a.json": as_json({**value, **fields})}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bbox": [1, 2, -3, 4]}, "reversed"),
        ({"bbox": [1, 2, 0, 4]}, "encloses nothing"),
        ({"bbox": None}, "four numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "finite"),
        ({"category_id": 9}, "there is no category"),
        ({"image_id": 9}, "there is no image"),
        ({"image_id": [1]}, "must be a text"),
        ({"id": 1}, "an annotation of this id came before"),
    ],
)
def test_a_bad_annotation_costs_that_annotation(tmp_path, wrong, message):
    good = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 15]}
    ((image,), losses) = read("coco", tmp_path, coco(annotations=[good, {**good, "id": 2, **wrong}, 3]))
    assert boxes(image) == [("ship", (10, 5, 30, 20))]
    error, number = losses.dropped
    assert error.index == 1
    assert error.field.startswith("annotations[1]")
    assert message in str(error)
    assert number.field == "annotations[2]"


def test_the_same_id_twice_is_an_error_and_a_bad_outline_costs_the_outline(tmp_path):
    image = {"id": 1, "file_name": "a.png"}
    annotation = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "segmentation": [[1, 2, 3]]}
    ((read_image,), losses) = read("coco", tmp_path, coco(images=[image, image], annotations=[annotation]))
    assert read_image.objects[0].polygon is None
    assert [error.field for error in losses.dropped] == ["id", "annotations[0].segmentation"]


PARTS = [[10, 5, 20, 5, 20, 9], [22, 9, 30, 9, 30, 20]]


def test_without_a_bbox_the_box_is_around_all_parts_of_the_outline(tmp_path):
    annotation = {"image_id": 1, "category_id": 1, "segmentation": PARTS}
    ((image,), losses) = read("coco", tmp_path, coco(annotations=[annotation, annotation | {"bbox": [0, 0, 5, 5]}]))
    assert boxes(image) == [("ship", (10, 5, 30, 20)), ("ship", (0, 0, 5, 5))]
    assert [item.polygon for item in image.objects] == [None, None]
    assert losses.changed == {
        "mask of several parts left out: the box around them all is kept": 1,
        "mask of several parts left out: the box is kept": 1,
    }
    assert not losses.dropped


@pytest.mark.parametrize(
    ("segmentation", "field", "message"),
    [
        ({"counts": [1, 2], "size": [40, 60]}, "bbox", "run-length code is not read, and there is no bbox"),
        ([*PARTS, [1, 2, 3]], "segmentation", "must be pairs of x and y, not [1, 2, 3]"),
        (5, "segmentation", "must be a list of outlines"),
    ],
)
def test_a_mask_that_gives_no_box_costs_an_annotation_without_one_and_says_so_once(
    tmp_path, segmentation, field, message
):
    annotation = {"image_id": 1, "category_id": 1, "segmentation": segmentation}
    ((image,), losses) = read("coco", tmp_path, coco(annotations=[annotation]))
    (error,) = losses.dropped
    assert (image.objects, error.field, losses.changed) == ((), f"annotations[0].{field}", {})
    assert message in error.message


def test_two_files_that_disagree_on_the_size_of_an_image_are_told(tmp_path):
    small = {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
    annotation = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
    files = coco(images=[small], annotations=[annotation])
    files |= {"labels/b.json": coco(images=[small | {"width": 120}], annotations=[annotation])["labels/a.json"]}
    ((image,), losses) = read("coco", tmp_path, files)
    assert (image.width, len(image.objects)) == (60, 1)
    size, orphan = losses.dropped
    assert (size.file.name, size.index, size.record, size.field) == ("b.json", 0, "1", "width")
    assert "is 120x40 here, and 60x40 in" in size.message
    assert "there is no image" in orphan.message


def test_an_image_knows_its_place_in_its_file(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    found, _ = read("coco", tmp_path, coco(images=images))
    assert [(image.file.name, image.index) for image in found] == [("a.json", 0), ("a.json", 1)]


@pytest.mark.parametrize("name", ["A.json", "results.json"])
@pytest.mark.parametrize("in_list", [True, False])
def test_results_are_joined_to_the_images_of_another_file_wherever_it_stands(tmp_path, name, in_list):
    results = [{"image_id": 1, "caption": "A ship."}]
    files = coco() | {f"labels/{name}": json.dumps(results if in_list else {"annotations": results}).encode()}
    ((image,), losses) = read("coco", tmp_path, files)
    assert image.captions == ("A ship.",)
    assert not losses.dropped


def test_results_for_an_id_that_is_another_image_in_each_file_go_to_neither(tmp_path):
    files = {
        f"labels/{part}.json": coco(images=[{"id": 1, "file_name": f"{part}_1.jpg"}, {"id": 2, "file_name": "b.jpg"}])[
            "labels/a.json"
        ]
        for part in ("train", "val")
    }
    captions = [{"image_id": number, "caption": f"Image {number}."} for number in (1, 2)]
    images, losses = read("coco", tmp_path, files | {"labels/val_captions.json": as_json(captions)})
    assert {image.file_name: image.captions for image in images} == {
        "train_1.jpg": (), "b.jpg": ("Image 2.",), "val_1.jpg": (),
    }  # fmt: skip
    (error,) = losses.dropped
    assert (error.file.name, error.field) == ("val_captions.json", "annotations[0].image_id")
    assert re.search(r"'1' is one image in .*train\.json and another in .*val\.json:", error.message)


def test_an_object_that_two_files_list_under_one_id_is_one_object(tmp_path):
    person = {"id": 11, "image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 15]}
    parts = {
        "instances": coco(annotations=[person, person | {"id": 12, "bbox": [40, 5, 10, 15]}]),
        "person_keypoints": coco(annotations=[person | {"keypoints": [1, 2, 2], "num_keypoints": 1}]),
    }
    for name, files in parts.items():
        (tmp_path / f"{name}.json").write_bytes(files["labels/a.json"])
    prepare("coco", [tmp_path / f"{name}.json" for name in parts], tmp_path / "out", progress=False)
    regions = map(json.loads, (tmp_path / "out" / "region.jsonl").read_text().splitlines())
    assert [record["id"] for record in regions] == ["1-11", "1-12"]
    (whole,) = map(json.loads, (tmp_path / "out" / "image.jsonl").read_text().splitlines())
    assert "two ships" in whole["conversations"][1]["value"]
    (dropped,) = map(json.loads, (tmp_path / "out" / "dropped.ndjson").read_text().splitlines())
    assert (dropped["record"], dropped["reason"]) == ("11", "is object 11 again: the same box, category and phrase")


def test_annotations_without_any_image_are_an_error(tmp_path):
    with pytest.raises(RecordError, match="no input has images"):
        read("coco", tmp_path, {"labels/results.json": b"[]"})


def test_images_of_several_files_are_counted_and_boxes_of_several_are_warned_of(tmp_path):
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
    shared, own = ({"id": number, "file_name": f"{name}.png"} for number, name in enumerate("ab", start=1))
    one = coco(images=[shared, own], annotations=[box, box | {"image_id": 2}])["labels/a.json"]
    caption = coco(images=[shared], annotations=[{"image_id": 1, "caption": "A ship."}])["labels/a.json"]
    files = {"labels/train.json": one, "labels/captions.json": caption}
    _, losses = read("coco", tmp_path / "together", files)
    assert losses.notes == [
        "Images that are listed more than once, in several files or in one: 1. What is said of them went together, by "
        "their file name."
    ]
    other = coco(images=[shared], annotations=[box | {"bbox": [7, 7, 5, 5]}])["labels/a.json"]
    images, losses = read("coco", tmp_path / "mixed", files | {"labels/val.json": other})
    assert [len(image.objects) for image in images] == [2, 1]
    assert "Images with boxes from more than one listing: 1, the first a.png (train.json, val.json)" in losses.notes[1]


def test_boxes_of_one_listing_and_files_of_different_images_have_no_note(tmp_path):
    _, losses = read("coco", tmp_path, coco(annotations=[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}] * 2))
    assert losses.notes == []


@pytest.mark.parametrize(
    ("annotation", "objects", "captions"),
    [
        ({"category_id": 1, "bbox": [10, 5, 20, 15], "caption": "", "segmentation": []}, 1, 0),
        ({"category_id": 1, "bbox": [], "caption": " ", "segmentation": [[10, 5, 30, 5, 30, 20, 10, 20]]}, 1, 0),
        ({"category_id": "", "category": "ship", "bbox": [10, 5, 20, 15], "id": ""}, 1, 0),
        ({"category_id": 1, "bbox": [], "segmentation": [], "caption": "A ship."}, 0, 1),
    ],
)
def test_an_empty_field_is_a_missing_one(tmp_path, annotation, objects, captions):
    image = {"id": 1, "file_name": "a.png", "split": ""}
    ((found,), losses) = read("coco", tmp_path, coco(images=[image], annotations=[{"image_id": 1, **annotation}]))
    assert boxes(found) == [("ship", (10, 5, 30, 20))] * objects
    assert found.captions == ("A ship.",) * captions
    assert [item.phrase for item in found.objects] == [None] * objects
    assert losses.dropped == []


def test_a_caption_that_is_all_there_is_and_is_empty_is_told(tmp_path):
    (_, losses) = read("coco", tmp_path, coco(annotations=[{"image_id": 1, "caption": ""}]))
    assert [error.field for error in losses.dropped] == ["annotations[0].caption"]
