"""Images and boxes as visitors bring them, without a browser: pasted, drawn, uploaded, within the limits."""

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from mgimm_plugin.errors import BoxError, MgimmError
from mgimm_plugin.webpage.boxes_input import parse_boxes
from mgimm_plugin.webpage.examples import canvas_value, examples
from mgimm_plugin.webpage.session import COLORS, DrawnBox, Limits, color_of, ink_on, read_drawing, without_beginnings
from mgimm_plugin.webpage.uploads import as_png, open_upload

LIMITS = Limits(pixels=100_000, boxes=3, pasted=2000, written=20)
XML = """<annotation><filename>a.jpg</filename><object><name>ship</name><bndbox><xmin>11</xmin><ymin>21</ymin>
<xmax>40</xmax><ymax>60</ymax></bndbox><description>a ship</description></object></annotation>"""
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
    "categories": [{"id": 4, "name": "ship"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [10, 20, 30, 40]}],
}
BOX = (10.0, 20.0, 40.0, 60.0)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (XML, "ship"),
        (json.dumps(COCO), "ship"),
        (json.dumps([list(BOX)]), ""),
        (json.dumps([{"bbox": list(BOX), "label": "ship"}]), "ship"),
        (json.dumps([{"image": "b.png", "regions": [{"bbox": list(BOX), "category": "ship"}]}]), "ship"),
        (json.dumps({"annotations": [{"bbox": [10, 20, 30, 40]}]}), ""),
        (json.dumps({"regions": [{"bbox": list(BOX)}]}), ""),
        ("10 20 40 60", ""),
    ],
)
def test_boxes_are_read_from_every_form(text, label):
    assert parse_boxes(text, LIMITS, (100, 80)) == [DrawnBox(BOX, label)]


@pytest.mark.parametrize("declared", ["UTF-16", "ISO-8859-1", "x-unknown"])
def test_pasted_xml_is_read_as_it_is_seen_whatever_encoding_its_file_had(declared):
    text = f'<?xml version="1.0"\n encoding="{declared}"?>\n' + XML.replace(">ship<", ">Küstenschiff 船<")
    assert parse_boxes(text, LIMITS, (100, 80)) == [DrawnBox(BOX, "Küstenschiff 船")]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(COCO),
        XML.replace("<object>", "<size><width>100</width><height>80</height></size><object>", 1),
        json.dumps({"width": 100, "height": 80, "regions": [{"bbox": list(BOX)}]}),
    ],
    ids=["COCO", "XML", "record"],
)
def test_boxes_of_an_image_of_another_size_are_refused(text):
    assert len(parse_boxes(text, LIMITS, (100, 80))) == 1
    with pytest.raises(MgimmError, match="image of 100x80 pixels; this one has 200x160"):
        parse_boxes(text, LIMITS, (200, 160))


def test_a_size_of_zero_is_none_that_is_told():
    text = XML.replace("<object>", "<size><width>0</width><height> 0 </height></size><object>", 1)
    assert parse_boxes(text, LIMITS, (100, 80)) == [DrawnBox(BOX, "ship")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("x" * 2001, "2,001 characters"),
        ("<annotation>", "not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
        ("<annotation></annotation>", "no box"),
        ("[[1, 2, 3]]", "four numbers"),
        ("1 2 3 4\n40 60 10 20", "line 2: .*encloses nothing"),
        ("nan 1 2 3", "line 1: .*not finite"),
        ("{", "not valid JSON"),
        ("[" * 1999, "not valid JSON"),
        ('{"annotations": [1]}', "a list of objects"),
        ('{"regions": 3}', "entry 0: neither a box"),
        ('[{"image_id": 1, "bbox": [1, 2, 30, 40]}]', "may be x, y, width, height"),
        (
            json.dumps({**COCO, "annotations": [{"id": 1, "image_id": 1, "bbox": [1]}]}),
            r"^annotations\[0\]\.bbox: must",
        ),
        (json.dumps({**COCO, "images": [*COCO["images"], 3]}), r"^images\[1\]: must be an object"),
        ('{"annotations": null}', "a list of objects"),
        ('{"images": [1], "annotations": []}', "must|no box|object"),
        (f"[[1{'0' * 400}, 0, 1, 1]]", "not a box|too large"),
        (f"[[{'1' * 1500}]]", "not a box"),
    ],
)
def test_bad_boxes_are_told_without_a_path(text, reason):
    with pytest.raises(MgimmError, match=reason) as caught:
        parse_boxes(text, LIMITS, (100, 80))
    assert "/" not in str(caught.value).replace("</", "")


def value_of(size=(100, 80), boxes=(), **more):
    corners = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in boxes]
    return {"image": Image.new("RGB", size), "boxes": corners, **more}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no image"),
        ({"image": None, "boxes": []}, "no image"),
        (value_of((1000, 200)), "1000x200 pixels"),
        (value_of(boxes=[BOX] * 4), "4 boxes; the most are 3"),
        (value_of(boxes=[(200, 200, 300, 300)]), "box"),
        (value_of(boxes=[(math.nan, 0, 1, 1)]), "box"),
        ({**value_of(), "boxes": [{"xmin": "a"}]}, "four numbers"),
    ],
)
def test_what_is_too_much_or_no_box_is_refused(value, reason):
    with pytest.raises(MgimmError, match=reason):
        read_drawing(value, LIMITS)


def test_boxes_drawn_backwards_or_beyond_the_edge_are_put_right():
    assert read_drawing(value_of(boxes=[(90, 70, 120, 99), (40, 60, 10, 20)]), LIMITS).boxes == (
        DrawnBox(BOX),
        DrawnBox((90.0, 70.0, 100.0, 80.0)),
    )


def test_a_box_keeps_its_color_and_its_number_can_be_read_on_it():
    value = value_of(boxes=[BOX, (0, 0, 9, 9), (5, 5, 9, 9)])
    value["boxes"][0] |= {"color": (0, 191, 255)}
    value["boxes"][1] |= {"color": ("red;}", 1, 2)}
    third, second, first = read_drawing(value, LIMITS).boxes
    assert first.color == "#00bfff"
    assert (second.color, third.color) == ("", "")
    assert [color_of(number, box) for number, box in ((1, first), (1, second), (2, third))] == ["#00bfff", *COLORS[:2]]
    assert canvas_value("image.png", [first])["boxes"][0]["color"] == (0, 191, 255)
    assert [ink_on(color) for color in ("#000000", "#ffffff", "#00bfff", "#7b5cd6")] == [
        "#ffffff",
        "#000000",
        "#000000",
        "#ffffff",
    ]


def stored(folder, image, kind, **options):
    path = folder / f"upload.{kind.lower()}"
    image.save(path, kind, **options)
    return str(path)


def test_uploads_are_read_as_browsers_show_them_and_handed_on_without_loss(tmp_path):
    image, turned = Image.effect_noise((40, 30), 60).convert("RGB"), Image.Exif()
    turned[274] = 6
    with as_png(open_upload(stored(tmp_path, image, "TIFF"), LIMITS)) as png:
        assert Image.open(png).tobytes() == image.tobytes()
    assert not Path(png).exists()
    assert open_upload(stored(tmp_path, image, "JPEG", exif=turned), LIMITS).size == (30, 40)
    assert open_upload(stored(tmp_path, image, "JPEG", exif=b"Exif\0\0broken"), LIMITS).size == (40, 30)


@pytest.mark.parametrize(
    ("kind", "size", "reason"),
    [("EPS", (9, 9), "not an image"), ("GIF", (9, 9), "JPEG, PNG, TIFF"), ("PNG", (2000, 2000), "than 100,000 pixels")],
)
def test_uploads_beyond_the_limits_are_refused_without_a_path(tmp_path, kind, size, reason):
    path = stored(tmp_path, Image.new("RGB", size), kind)
    with pytest.raises(MgimmError, match=reason) as caught:
        open_upload(path, LIMITS)
    assert "/" not in str(caught.value)
    Path(path).unlink()
    with pytest.raises(MgimmError, match="open it again"):
        open_upload(path, LIMITS)


def test_pasted_boxes_narrower_than_a_pixel_stay_boxes():
    image = Image.new("RGB", (100, 80))
    value = canvas_value("image.png", [DrawnBox((10.2, 10.2, 10.4, 10.4)), DrawnBox((99.6, 0, 100, 1))])
    read = read_drawing({**value, "image": image}, LIMITS)
    assert [box.bbox for box in read.boxes] == [(10, 10, 11, 11), (99, 0, 100, 1)]


def test_a_box_that_is_being_begun_is_left_out_and_a_broken_one_is_not():
    begun, whole = ({"xmin": 5, "ymin": 5, "xmax": edge, "ymax": edge} for edge in (5, 9))
    assert without_beginnings({"image": None, "boxes": [begun, whole]}) == {"image": None, "boxes": [whole]}
    with pytest.raises(BoxError, match="four numbers"):
        read_drawing(without_beginnings({**value_of(), "boxes": [{"xmin": 1, "xmax": 2, "ymin": 0}]}), LIMITS)


def test_there_are_eight_examples_with_their_boxes():
    found = examples()
    assert len(found) == 8
    assert all(boxes for _, boxes in found)
