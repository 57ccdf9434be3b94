from dataclasses import replace

import pytest

from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.errors import RecordError
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_boxes import YOLO


def test_dota_keeps_the_oriented_box_beside_the_one_around_it(tmp_path):
    images, losses = read("dota", tmp_path)
    first, second = images
    assert (first.file_name, first.width, first.height) == ("P0001.png", 60, 40)
    assert boxes(first) == [("small-vehicle", (10, 5, 30, 20)), ("large-vehicle", (12, 2, 30, 18.25))]
    assert first.objects[1].polygon == ((20.5, 2), (30, 10), (22, 18.25), (12, 9))
    assert [item.extra for item in first.objects] == [{}, {"difficult": 1}]
    assert first.extra == {"imagesource": "GoogleEarth", "gsd": "0.5"}
    assert (second.file_name, second.width, second.extra) == ("P0002.png", None, {"imagesource": "GF"})
    assert boxes(second) == [("plane", (1, 1, 9, 8))]
    assert not losses.dropped


def test_a_label_file_taken_for_a_list_is_noted_and_read_where_it_is_given(tmp_path):
    line = b"1 1 9 1 9 8 1 8 plane 0\n"
    files = {"labels/P1.txt": line, "labels/test.txt": line, "labels/Source.txt": line}
    ((image,), losses) = read("dota", tmp_path, files)
    assert image.source_id == "P1"
    assert "not for labels: Source.txt, test.txt." in losses.notes[0]
    source = Source([tmp_path / "labels" / "test.txt"])
    assert [image.source_id for image in get_source_format("dota").read(source)] == ["test"]
    assert not source.losses.notes


def test_notes_of_an_export_are_no_labels(tmp_path):
    note = b"Provided by a user\n"
    files = {**YOLO.files, "labels/README.roboflow.txt": note, "labels/README.dataset.txt": note}
    images, losses = read("yolo", tmp_path, files)
    assert [image.source_id for image in images] == ["a", "b"]
    assert not losses.dropped
    assert "README.dataset.txt, README.roboflow.txt" in losses.notes[0]


@pytest.mark.parametrize(
    "lists", [{"classes.txt": b"car\nlong vehicle\n"}, {"labels/data.yaml": b"names: [car, long vehicle]"}]
)
@pytest.mark.parametrize("name", ["street_names", "labels", "my.classes"])
def test_labels_are_labels_whatever_their_files_are_called(tmp_path, name, lists):
    files = {"labels/a.txt": YOLO.files["labels/a.txt"], f"labels/{name}.txt": b"1 .5 .5 .5 .5\n", **lists}
    source = replace(YOLO, images={**YOLO.images, f"{name}.png": (60, 40)}).write(tmp_path, files)
    first, second = get_source_format("yolo").read(source)
    assert [category for category, _ in boxes(first)] == ["car", "long vehicle"]
    assert (second.source_id, boxes(second)) == (name, [("long vehicle", (15, 10, 45, 30))])
    assert (source.losses.notes, source.losses.dropped) == ([], [])


def test_the_list_called_classes_comes_before_one_whose_name_only_ends_so_and_what_is_passed_over_is_named(tmp_path):
    files = {
        "labels/a.txt": YOLO.files["labels/a.txt"],
        "labels/street_names.txt": b"High Street\nMill Lane\n",
        "classes.txt": b"car\nlong vehicle\n",
    }
    ((image,), losses) = read("yolo", tmp_path, files)
    assert [category for category, _ in boxes(image)] == ["car", "long vehicle"]
    assert "not for labels: street_names.txt." in losses.notes[0]


@pytest.mark.parametrize("other", [b"names: [person, bicycle]", b"\xff\xff"])
def test_a_list_of_classes_comes_before_yaml_of_any_name(tmp_path, other):
    files = {
        "labels/a.txt": YOLO.files["labels/a.txt"],
        "labels/my-classes.txt": b"car\nlong vehicle\n",
        "labels/training.yaml": other,
        "coco.yaml": other,
    }
    ((image,), losses) = read("yolo", tmp_path, files)
    assert [category for category, _ in boxes(image)] == ["car", "long vehicle"]
    assert not losses.dropped


def test_a_file_called_a_list_that_cannot_be_read_costs_that_file_where_the_classes_are_given(tmp_path):
    files = {"labels/a.txt": YOLO.files["labels/a.txt"], "labels/street_names.txt": b"\xff\xff"}
    sample = replace(YOLO, images={**YOLO.images, "street_names.png": (60, 40)}, options={"classes": ["car", "truck"]})
    source = sample.write(tmp_path, files)
    assert [image.source_id for image in get_source_format("yolo").read(source)] == ["a"]
    assert [(error.file.name, error.message) for error in source.losses.dropped] == [
        ("street_names.txt", "is not UTF-8")
    ]


def test_dota_corners_outside_the_image_are_kept_as_they_are(tmp_path):
    line = b"1100 700 1112 700 1112 720 1100 720 small-vehicle 0\n"
    ((image,), losses) = read("dota", tmp_path, {"labels/P0706.txt": line})
    assert boxes(image) == [("small-vehicle", (1100, 700, 1112, 720))]
    assert not losses.dropped


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1 2 3 4 5 6 7 ship 0", "must be a number, not 'ship'"),
        (b"1 2 3 4 ship 0", "eight numbers"),
        (b"1 2 3 4 5 6 7 nan ship 0", "finite"),
        (b"1 1 1 1 1 1 1 1 ship 0", "encloses nothing"),
        (b"1 1 9 1 9 9 1 1e9 ship 0", "outside any image"),
    ],
)
def test_a_bad_line_of_dota_costs_that_line(tmp_path, line, message):
    good = b"gsd:1\n1 1 9 1 9 8 1 8 plane 0\n"
    ((image,), losses) = read("dota", tmp_path, {"labels/P1.txt": good + line})
    assert boxes(image) == [("plane", (1, 1, 9, 8))]
    (error,) = losses.dropped
    assert (error.index, error.record) == (2, "P1-1")
    assert message in str(error)


def test_vhr10_has_corners_inside_and_class_numbers(tmp_path):
    ((image,), losses) = read("vhr10", tmp_path)
    assert "no corner of the published files is 0" in losses.notes[0]
    assert (image.source_id, image.file_name) == ("001", "001.jpg")
    assert boxes(image) == [("airplane", (10, 5, 30, 20)), ("vehicle", (0, 0, 60, 40))]
    assert not losses.dropped


def test_vhr10_refuses_what_is_no_such_line_and_numbers_without_a_class(tmp_path):
    text = b"(11,6),(30,20),11\n(11,6),(30,20)\n(11,6),(30,20),0\n(11,6),(30,20),10\n"
    ((image,), losses) = read("vhr10", tmp_path, {"labels/001.txt": text})
    assert boxes(image) == [("vehicle", (10, 5, 30, 20))]
    assert [error.index for error in losses.dropped] == [0, 1, 2]


def test_yolo_takes_sizes_from_the_images_and_classes_from_the_list_beside_the_labels(tmp_path):
    images, losses = read("yolo", tmp_path)
    assert [(image.source_id, image.file_name) for image in images] == [("a", "a.png"), ("b", "b.png")]
    assert boxes(images[0]) == [("car", (15, 15, 45, 25)), ("long vehicle", (0, 0, 12, 16))]
    assert images[0].objects[1].extra == {"confidence": 0.93}
    assert boxes(images[1]) == [("long vehicle", (10, 8, 50, 40))]
    assert images[1].objects[0].polygon == ((10, 8), (50, 8), (50, 40))
    assert not losses.dropped


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("simd-classes.txt", "car\ntruck\n\n"),
        ("labels/obj.names", "car\ntruck"),
        ("data.yaml", "nc: 2\nnames: ['car', \"truck\"]  # two\nval: x\n"),
        ("data.yaml", "names: [car, truck,]\n"),
        ("data.yaml", "names:\n  0: car\n  # more\n  1: truck\nnc: 2\n"),
        ("data.yaml", "names:\n- car\n- truck\n"),
    ],
)
def test_yolo_classes_are_found_in_the_usual_lists(tmp_path, name, content):
    source = replace(YOLO, options={"image_size": (100, 100)}, images={}).write(
        tmp_path, {"labels/a.txt": b"1 .5 .5 .5 .5\n", name: content.encode()}
    )
    (image,) = get_source_format("yolo").read(source)
    assert boxes(image) == [("truck", (25, 25, 75, 75))]


def test_a_blank_line_among_classes_is_refused_where_it_would_shift_the_others(tmp_path):
    files = {**YOLO.files, "labels/classes.txt": b"car\n\nlong vehicle\n"}
    with pytest.raises(RecordError, match=r"classes\.txt: line 2 is blank"):
        read("yolo", tmp_path, files)


def test_an_empty_name_in_yaml_keeps_its_number(tmp_path):
    files = {name: text for name, text in YOLO.files.items() if "classes" not in name}
    files["data.yaml"] = b"names: [ , long vehicle]\n"
    images, losses = read("yolo", tmp_path, files)
    assert [category for image in images for category, _ in boxes(image)] == ["long vehicle"] * 2
    assert [(error.record, error.field) for error in losses.dropped] == [("a-0", "category")]


def test_hidden_copies_of_labels_lists_and_images_are_passed_over(tmp_path):
    copies = {"labels/.ipynb_checkpoints/a.txt": b"0 .1 .1 .1 .1\n", "labels/._classes.txt": b"\0\5\x16\7"}
    images = {**YOLO.images, ".ipynb_checkpoints/a.png": (7, 7), "._b.png": (7, 7)}
    source = replace(YOLO, images=images).write(tmp_path, {**YOLO.files, **copies})
    read_images = list(get_source_format("yolo").read(source))
    assert [(image.file_name, image.width) for image in read_images] == [("a.png", 60), ("b.png", 100)]
    assert not source.losses.dropped


def test_yolo_without_classes_or_sizes_says_what_is_missing(tmp_path):
    labels = {"labels/a.txt": b"0 .5 .5 .5 .5\n"}
    with pytest.raises(RecordError, match="--classes"):
        read("yolo", tmp_path, labels)
    no_images = replace(YOLO, images={})
    with pytest.raises(RecordError, match="--image-size"):
        list(get_source_format("yolo").read(no_images.write(tmp_path)))
    with_classes = replace(YOLO, options={"classes": ["ship"]})
    (image,) = get_source_format("yolo").read(with_classes.write(tmp_path / "other", {"labels/a.txt": b"0 .5 .5 1 1"}))
    assert boxes(image) == [("ship", (0, 0, 60, 40))]


def test_an_image_of_yolo_that_is_not_at_hand_costs_its_file(tmp_path):
    images, losses = read("yolo", tmp_path, {**YOLO.files, "labels/z.txt": b"0 .5 .5 .5 .5\n"})
    assert len(images) == 2
    (error,) = losses.dropped
    assert error.file.name == "z.txt"
    assert "the size of z.jpg is not known" in str(error)


def test_fractions_are_not_rounded_before_they_are_pixels(tmp_path):
    source = replace(YOLO, images={}, options={"image_size": (10_000, 10_000), "classes": ["car"]}).write(
        tmp_path, {"labels/a.txt": b"0 0.10001 0.10002 0.50003 0.1 0.5 0.50004\n0 0.500005 0.5 0.00001 0.1\n"}
    )
    (image,) = get_source_format("yolo").read(source)
    assert image.objects[0].polygon == ((1000.1, 1000.2), (5000.3, 1000), (5000, 5000.4))
    assert image.objects[1].bbox == (5000, 4500, 5000.1, 5500)
