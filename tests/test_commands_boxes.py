"""Boxes are read from what people have: text, lists, COCO, records."""

import json

import pytest

from mgimm_plugin.commands.boxes import parse_box, parse_regions, read_boxes_file
from mgimm_plugin.errors import BoxError, MgimmError

BOX = (1.0, 2.0, 30.5, 40.0)
SIZE = (100, 80)
RECORD = {"id": "a", "image": "folder/scene.jpg", "regions": [{"bbox": list(BOX)}, {"bbox": [0, 0, 5, 5]}]}
OTHER = {"id": "b", "image": "other.jpg", "regions": [{"bbox": [7, 7, 8, 8]}]}
COCO = {
    "images": [{"id": 1, "file_name": "scene.jpg"}, {"id": 2, "file_name": "other.jpg"}],
    "annotations": [{"image_id": 1, "bbox": [1, 2, 29.5, 38]}, {"image_id": 2, "bbox": [7, 7, 1, 1]}],
}


def read(tmp_path, content, image="scene.jpg"):
    path = tmp_path / "boxes"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_boxes_file(path, tmp_path / image, SIZE)


@pytest.mark.parametrize(
    "content",
    [
        "1 2 30.5 40\n",
        "# made by hand\n\n1, 2, 30.5, 40  # the field\n",
        [list(BOX)],
        list(BOX),
        [{"bbox": list(BOX)}],
        {"bbox": list(BOX), "category": "ship"},
        COCO,
        {"annotations": COCO["annotations"][:1]},
    ],
    ids=["lines", "comments", "list", "one box", "objects", "one object", "coco", "coco without images"],
)
def test_every_form_gives_the_same_box(tmp_path, content):
    assert read(tmp_path, content) == [BOX]


@pytest.mark.parametrize("as_lines", [True, False])
def test_records_give_the_boxes_of_the_image_each_once(tmp_path, as_lines):
    records = [RECORD, OTHER, {**RECORD, "note": "a\u2028b"}]
    content = "\n".join(json.dumps(record, ensure_ascii=False) for record in records) if as_lines else records
    assert read(tmp_path, content) == [BOX, (0.0, 0.0, 5.0, 5.0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2 3\n", "four numbers"),
        ("0 0 5 5\n9 9 1 1\n", "index 1.*encloses nothing"),
        ([[1, 2, "x", 4]], "entry 0.*not a box"),
        ([{"name": "ship", "regions": 3}], "entry 0"),
        ([OTHER], r"no box for .*/scene\.jpg"),
        ("", r"no box for .*/scene\.jpg"),
        ("[1, 2", "not valid JSON"),
        ({"annotations": [{"bbox": [1, 2, 0, 5]}]}, "annotation 0 encloses nothing"),
        (
            [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 29, 38], "score": 0.9}],
            "entry 0 has image_id, .*may be x, y, width, height; give the COCO file",
        ),
        ({"category_id": 3, "bbox": [1, 2, 29, 38]}, "entry 0 has category_id"),
        ({"annotations": COCO["annotations"]}, "annotations of several images, and no images to tell which"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, content, message):
    with pytest.raises(MgimmError, match=message):
        read(tmp_path, content)


def named(form, *names):
    """Boxes of images, one each, with the place of the name as their left edge."""
    if form == "objects":
        return [{"image": name, "bbox": [number, 0, 9, 9]} for number, name in enumerate(names)]
    if form == "records":
        return [{"image": name, "regions": [{"bbox": [number, 0, 9, 9]}]} for number, name in enumerate(names)]
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [{"image_id": number, "bbox": [number, 0, 9 - number, 9]} for number in range(len(names))],
    }


@pytest.mark.parametrize("form", ["objects", "records", "COCO"])
@pytest.mark.parametrize(
    ("names", "image", "chosen"),
    [
        (["a/1.jpg", "b/1.jpg"], "set/b/1.jpg", 1),
        (["set/a/1.jpg", "set\\b\\1.jpg"], "b/1.jpg", 1),
        (["x/a/1.jpg", "y/a/1.jpg"], "y/a/1.jpg", 1),
        (["a/1.jpg", "1.jpg"], "c/1.jpg", 1),
        (["elsewhere/1.jpg", "elsewhere/2.jpg"], "c/1.jpg", 0),
    ],
)
def test_of_images_of_one_name_the_one_in_the_same_folder_is_meant(tmp_path, form, names, image, chosen):
    assert read(tmp_path, named(form, *names), image) == [(chosen, 0, 9, 9)]


@pytest.mark.parametrize("form", ["objects", "records", "COCO"])
def test_images_of_one_name_that_no_folder_tells_apart_are_an_error(tmp_path, form):
    with pytest.raises(MgimmError, match=r"boxes of a/1\.jpg and of b/1\.jpg, and does not tell which .*/c/1\.jpg"):
        read(tmp_path, named(form, "a/1.jpg", "b/1.jpg"), "c/1.jpg")


def test_annotations_of_images_that_are_not_listed_are_of_no_listed_image(tmp_path):
    images = [COCO["images"][0], {"id": 3}]
    annotations = [{"image_id": number, "bbox": [1, 2, 29.5, 38 + number]} for number in (1, 2, 3)]
    assert read(tmp_path, {"images": images, "annotations": annotations}) == [(1, 2, 30.5, 41)]


@pytest.mark.parametrize("form", ["record", "COCO"])
def test_boxes_of_an_image_of_another_size_are_refused(tmp_path, form):
    def content(width, height):
        size = {"width": width, "height": height}
        if form == "record":
            return [RECORD | size, OTHER | {"width": 7, "height": 7}]
        return COCO | {"images": [{**COCO["images"][0], **size}, {**COCO["images"][1], "width": 7, "height": 7}]}

    assert BOX in read(tmp_path, content(*SIZE))
    with pytest.raises(MgimmError, match=r"boxes file .*boxes of an image of 200x160 pixels; this one has 100x80"):
        read(tmp_path, content(200, 160))


def test_a_box_on_the_command_line_is_four_numbers():
    assert parse_box(" 1,2,30.5,40 ") == BOX
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "5,5,1,9", "nan,0,1,1"):
        with pytest.raises(BoxError):
            parse_box(text)


def test_a_grid_covers_the_image():
    assert parse_regions("grid:1x2", 10, 6) == [(0, 0, 5, 6), (5, 0, 10, 6)]
    for text in ("grid", "grid:", "circle:2x2", "grid:0x2"):
        with pytest.raises(MgimmError):
            parse_regions(text, 10, 6)
