import pytest

from mgimm_plugin.errors import RecordError
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_boxes import voc_xml


def test_corners_inside_the_box_become_continuous_edges(tmp_path):
    images, losses = read("voc", tmp_path)
    assert [(image.source_id, image.file_name, image.width, image.height) for image in images] == [
        ("a", "a.png", 60, 40),
        ("b", "b.png", 60, 40),
    ]
    assert boxes(images[0]) == [("ship", (10, 5, 30, 20)), ("harbor", (0, 0, 60, 40))]
    assert boxes(images[1]) == [("plane", (6, 6, 7, 7))]
    assert images[0].objects[0].extra == {"difficult": 1, "pose": "Left"}
    assert not losses.dropped


def test_a_bad_object_costs_that_object_and_a_bad_file_that_file(tmp_path):
    good = ("ship", (11, 6, 30, 20), "")
    files = {
        "labels/a.xml": voc_xml("a.png", ("reversed", (30, 6, 11, 20), ""), good),
        "labels/b.xml": b"<annotation><filename>b.png</filename>",
        "labels/c.xml": voc_xml("c.png", good, size="0 0"),
        "labels/d.xml": b"<html/>",
    }
    images, losses = read("voc", tmp_path, files)
    assert [boxes(image) for image in images] == [[("ship", (10, 5, 30, 20))]] * 2
    assert images[1].width is None
    reversed_box, broken, html = losses.dropped
    assert (reversed_box.record, reversed_box.field) == ("a-0", "bndbox")
    assert "reversed" in str(reversed_box)
    assert (broken.file.name, html.file.name) == ("b.xml", "d.xml")
    assert "line 1 is not valid XML" in str(broken)


def test_the_place_of_a_tag_does_not_matter_and_a_missing_file_name_is_that_of_the_file(tmp_path):
    text = b"""<annotation><object><bndbox><xmax>30.5</xmax><ymax>20</ymax><ymin>6</ymin><xmin>11</xmin></bndbox>
    <part><bndbox><xmin>1</xmin></bndbox></part><name>ship</name></object></annotation>"""
    ((image,), losses) = read("voc", tmp_path, {"labels/00138.xml": text})
    assert image.file_name == "00138.jpg"
    assert boxes(image) == [("ship", (10, 5, 30.5, 20))]
    assert not losses.dropped


def test_files_of_one_name_in_two_folders_have_two_ids(tmp_path):
    files = {"labels/train/1.xml": voc_xml("1.png"), "labels/val/1.xml": voc_xml("1.png"), "labels/2.xml": voc_xml("2")}
    images, _ = read("voc", tmp_path, files)
    assert [image.source_id for image in images] == ["2", "train/1", "val/1"]


def test_a_path_out_of_the_image_folder_is_cut_and_counted(tmp_path):
    files = {"labels/1.xml": voc_xml("C:\\data\\1.png"), "labels/2.xml": voc_xml("../../etc/2.png")}
    images, losses = read("voc", tmp_path, files)
    assert [image.file_name for image in images] == ["1.png", "2.png"]
    assert losses.changed == {"image path that leads out of the image folder: its file name alone is used": 2}


def test_inputs_without_xml_are_an_error(tmp_path):
    with pytest.raises(RecordError, match=r"no file that ends in \.xml"):
        read("voc", tmp_path, {"labels/a.txt": b""})
