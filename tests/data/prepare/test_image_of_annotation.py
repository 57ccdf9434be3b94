"""An annotation gets the image that it is about, or none: never another one of the same name."""

import pytest
from PIL import Image

from mgimm_plugin.data.prepare.source import Source, get_source_format
from tests.data.prepare.sample_files import as_json
from tests.data.prepare.samples_of_boxes import voc_xml

YOLO_LINE = b"0 0.5 0.5 0.5 0.25\n"


def paired(folder, name, files, images, *, inputs=("labels",), root="images"):
    """Which image each annotation got, by the annotation's id, and the reasons of those that are dropped."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for path in images:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40)).save(folder / path)
    source = Source([folder / item for item in inputs], images=folder / root, classes=["ship"])
    found = {image.source_id: image.file_name for image in get_source_format(name).read(source)}
    return found, [str(error) for error in source.losses.dropped]


def yolo(folder, labels, images, **options):
    return paired(folder, "yolo", {f"{name}.txt": YOLO_LINE for name in labels}, images, **options)


@pytest.mark.parametrize("root", ["images", "images/train"])
def test_an_image_of_train_is_not_that_of_an_annotation_of_val(tmp_path, root):
    labels = ["labels/train/0001", "labels/val/0001"]
    found, (reason,) = yolo(tmp_path, labels, ["images/train/0001.jpg"], root=root)
    assert {name: file.rpartition("/")[2] for name, file in found.items()} == {"train/0001": "0001.jpg"}
    assert "val/0001.txt" in reason
    assert "0001.jpg has the name, but the annotation's folders (labels/val) tell another" in reason


def test_the_name_of_the_input_and_that_of_the_image_folder_count(tmp_path):
    found, reasons = yolo(tmp_path, ["labels/val/1"], ["images/train/1.jpg"], inputs=["labels/val"], root="images")
    assert (found, len(reasons)) == ({}, 1)
    found, reasons = yolo(tmp_path, ["labels/val/1"], [], inputs=["labels/val/1.txt"], root="images/train")
    assert (found, len(reasons)) == ({}, 1)


def test_an_image_of_another_scene_is_not_taken_where_the_scene_is_known(tmp_path):
    labels = ["labels/harbor/0001", "labels/harbor/0002", "labels/city/0002"]
    found, (reason,) = yolo(tmp_path, labels, ["images/harbor/0001.jpg", "images/city/0002.jpg"])
    assert found == {"0001": "harbor/0001.jpg", "city/0002": "city/0002.jpg"}
    assert "harbor/0002.txt" in reason


def test_labels_of_two_parts_do_not_share_an_image_without_a_folder(tmp_path):
    found, (reason,) = yolo(tmp_path, ["labels/train/1", "labels/val/1"], ["images/1.jpg"])
    assert found == {"train/1": "1.jpg"}
    assert "1.jpg is the image of an annotation of train already, and this one is of val" in reason


@pytest.mark.parametrize(
    ("written", "annotations"),
    [("0001.jpg", ("labels/train/0001.xml", "labels/val/0001.xml")), ("val/0001.jpg", ("labels/0001.xml",))],
)
def test_folders_of_a_file_that_names_its_image_count_as_well(tmp_path, written, annotations):
    xml = voc_xml(written, ("ship", (11, 6, 30, 20), ""))
    found, (reason,) = paired(tmp_path, "voc", dict.fromkeys(annotations, xml), ["images/train/0001.jpg"])
    assert list(found.values()) == ["train/0001.jpg"] * (len(annotations) - 1)
    assert "tell another" in reason


def test_files_that_name_their_image_without_its_folder_get_that_of_their_part(tmp_path):
    xml = voc_xml("0001.jpg", ("ship", (11, 6, 30, 20), ""))
    parts = ("train", "val")
    images = [f"images/{part}/0001.jpg" for part in parts]
    found, reasons = paired(tmp_path, "voc", {f"labels/{part}/0001.xml": xml for part in parts}, images)
    assert found == {f"{part}/0001": f"{part}/0001.jpg" for part in parts}
    assert reasons == []


@pytest.mark.parametrize("image", ["images/train/0001.jpg", "images/0001.jpg"])
def test_names_of_a_list_do_not_land_on_the_image_of_another_part(tmp_path, image):
    images = [{"id": number, "file_name": f"{part}/0001.jpg"} for number, part in enumerate(("train", "val"))]
    found, (reason,) = paired(tmp_path, "coco", {"labels/a.json": as_json({"images": images})}, [image])
    assert found == {"0": image.removeprefix("images/")}
    assert "record 1" in reason


def test_labels_and_images_on_another_disk_are_found_through_links(tmp_path):
    (tmp_path / "disk" / "labels").mkdir(parents=True)
    for kind in ("labels", "images"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "val").symlink_to(tmp_path / "disk" / kind)
    assert yolo(tmp_path, ["disk/labels/1"], ["disk/images/1.jpg"]) == ({"1": "val/1.jpg"}, [])


LAYOUTS = {
    "YOLO": ("labels/train/a.txt", "images/train/a.jpg", "labels", "images"),
    "YOLO with years": ("labels/train2017/a.txt", "images/train/a.jpg", "labels", "images"),
    "one folder for both": ("set/a.txt", "set/a.jpg", "set", "set"),
    "Roboflow": ("set/train/labels/a.txt", "set/train/images/a.jpg", "set", "set"),
    "labels in parts, images in none": ("labels/val/a.txt", "images/a.jpg", "labels", "images"),
    "images in parts, labels in none": ("labels/a.txt", "images/val/a.jpg", "labels", "images"),
    "other names": ("labels/Annotations_val/a.txt", "images/JPEGImages-val/a.jpg", "labels", "images"),
    "trainval": ("Annotations/Oriented/a.txt", "JPEGImages-trainval/a.jpg", "Annotations", "JPEGImages-trainval"),
    "DOTA": ("train/labelTxt/a.txt", "train/images/part1/a.png", "train/labelTxt", "train/images"),
    "a set in a folder named test": ("test/labels/a.txt", "test/images/train/a.jpg", "test", "test/images/train"),
    "labels in a folder named test": ("test/labels/a.txt", "train/a.jpg", "test/labels", "."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_usual_layouts_find_their_images(tmp_path, layout):
    label, image, given, root = LAYOUTS[layout]
    found, reasons = paired(tmp_path, "yolo", {label: YOLO_LINE}, [image], inputs=[given], root=root)
    assert ([tmp_path / root / name for name in found.values()], reasons) == ([tmp_path / image], [])


def test_images_of_one_name_in_several_parts_are_told_by_the_folders_around_them(tmp_path):
    places = ("train/part1", "train/part2", "valid/part1")
    found, reasons = yolo(
        tmp_path,
        [f"{place}/labels/0" for place in places],
        [f"{place}/images/0.jpg" for place in places],
        inputs=["."],
        root=".",
    )
    assert found == {f"{place}/labels/0": f"{place}/images/0.jpg" for place in places}
    assert reasons == []


def test_images_that_no_folder_tells_apart_are_not_guessed(tmp_path):
    found, (reason,) = yolo(tmp_path, ["labels/a"], ["images/one/a.jpg", "images/two/a.jpg"])
    assert found == {}
    assert "is there several times among the images: one/a.jpg, two/a.jpg" in reason
