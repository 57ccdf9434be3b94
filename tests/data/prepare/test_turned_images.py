"""Boxes in fractions of images that viewers turn: taken as of the stored pixels, and said."""

import json

import pytest
from PIL import Image

from mgimm_plugin.commands.prepare import prepare
from tests.data.prepare.sample_files import as_json, as_jsonl
from tests.data.prepare.samples_of_texts import turns

TURNED = {"plain.jpg": 1, "rot.jpg": 6, "odd.jpg": 0, "shot.png": 8, "stored.png": None, "scan.tif": 6}


def labels(source_format):
    """A box in fractions on each image, as a format writes it."""
    names = sorted(TURNED)
    if source_format == "yolo":
        return {f"{name.split('.')[0]}.txt": b"0 .25 .25 .25 .25\n0 .5 .5 .1 .1\n" for name in names}
    if source_format == "vrsbench":
        item = {"obj_id": 0, "obj_cls": "ship", "obj_coord": [0.1, 0.1, 0.2, 0.2]}
        return {f"{name.split('.')[0]}.json": as_json({"image": name, "objects": [item]}) for name in names}
    if source_format == "table":
        rows = (f"{name},.1 .1 .2 .2,ship,fractions\n" * 2 for name in names)
        return {"a.csv": ("image,bbox,label,frame\n" + "".join(rows)).encode()}
    said = turns("<image>\nWhere is <p>a ship</p>?", "{<10><10><20><20>|<0>}")
    return {"a.jsonl": as_jsonl(*({"id": name, "image": name, "conversations": said} for name in names))}


def notes(folder, source_format, files):
    (folder / "labels").mkdir()
    (folder / "images").mkdir()
    for name, content in files.items():
        (folder / "labels" / name).write_bytes(content)
    (folder / "classes.txt").write_text("ship\n")
    for name, orientation in TURNED.items():
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        Image.new("RGB", (40, 20), (90, 90, 90)).save(folder / "images" / name, exif=exif)
    classes = folder / "classes.txt" if source_format == "yolo" else None
    options = {"images": folder / "images", "classes": classes, "progress": False}
    summary = prepare(source_format, [folder / "labels"], folder / "out", **options)
    found = json.loads((folder / "out" / "dataset.json").read_text())["notes"]
    assert all(note in summary for note in found)
    return [note for note in found if "EXIF" in note]


@pytest.mark.parametrize("source_format", ["yolo", "vrsbench", "table", "geochat"])
def test_images_that_viewers_turn_are_counted_where_boxes_are_fractions(tmp_path, source_format):
    (note,) = notes(tmp_path, source_format, labels(source_format))
    assert "with boxes in fractions: 2, the first rot.jpg" in note
    assert "the pixels as stored" in note
    assert "mogrify -auto-orient" in note


def test_boxes_in_pixels_need_no_such_note(tmp_path):
    rows = "".join(f"{name},1 1 9 9,ship\n" for name in TURNED)
    assert notes(tmp_path, "table", {"a.csv": f"image,bbox,label\n{rows}".encode()}) == []
