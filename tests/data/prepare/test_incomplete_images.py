"""An image of which an object was dropped: nothing is made that the dropped one would make false."""

import json

import pytest
from PIL import Image

from mgimm_plugin.commands.prepare import prepare
from tests.data.prepare.sample_files import as_json
from tests.data.prepare.samples_of_boxes import feature, geotiff, voc_xml

SHIP, HARBOR, OTHER = (10, 10, 30, 30), (40, 10, 60, 30), (20, 60, 30, 70)
REVERSED, OUTSIDE = (60, 40, 50, 60), (200, 200, 220, 220)
SIZE = (100, 80)
CORNER = (733601, 3725139)  # of the raster, with pixels of half a meter


def voc(*objects):
    corners = ((name, (x1 + 1, y1 + 1, x2, y2), "") for name, (x1, y1, x2, y2) in objects)
    return {"a.xml": voc_xml("a.png", *corners, size="100 80")}


def yolo(*objects):
    numbers = {"ship": 0, "harbor": 1, "nameless": 7}
    return {
        "a.txt": "".join(
            f"{numbers[name]} {(x1 + x2) / 200} {(y1 + y2) / 160} {(x2 - x1) / 100} {(y2 - y1) / 80}\n"
            for name, (x1, y1, x2, y2) in objects
        ).encode()
    }


def dota(*objects):
    lines = (f"{x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2} {name}\n" for name, (x1, y1, x2, y2) in objects)
    bad = f"1 1 9 1 9 nan 1 9 {objects[-1][0]}\n" if objects[-1][1] == REVERSED else ""
    return {"a.txt": ("".join(list(lines)[: -1 if bad else None]) + bad).encode()}


def coco(*objects):
    numbers = {"ship": 1, "harbor": 2, "nameless": 7}
    entries: list[dict] = []
    for name, (x1, y1, x2, y2) in objects:
        entry = {"image_id": 1, "category_id": numbers[name], "bbox": [x1, y1, x2 - x1, y2 - y1]}
        # One that is there twice has its id twice, too.
        same = [other["id"] for other in entries if entry.items() <= other.items()]
        entries.append({"id": same[0] if same else len(entries), **entry})
    categories = [{"id": 1, "name": "ship"}, {"id": 2, "name": "harbor"}]
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    return {"a.json": as_json({"images": images, "categories": categories, "annotations": entries})}


def vrsbench(*objects):
    entries = [
        {"obj_id": number, "obj_cls": name, "obj_coord": [x1 / 100, y1 / 80, x2 / 100, y2 / 80]}
        for number, (name, (x1, y1, x2, y2)) in enumerate(objects)
    ]
    return {"a.json": as_json({"image": "a.png", "objects": entries})}


def table(*objects):
    ids = [objects.index(item) for item in objects]
    rows = (
        f"{number},a.png,{name},{','.join(map(str, box))}\n" for number, (name, box) in zip(ids, objects, strict=True)
    )
    return {"a.csv": ("id,image,label,x1,y1,x2,y2\n" + "".join(rows)).encode()}


def dior(*objects):
    return {f"Annotations/{name}": text for name, text in voc(*objects).items()}


def geojson(*objects):
    features = []
    for name, (x1, y1, x2, y2) in objects:
        x1, x2, y1, y2 = CORNER[0] + x1 / 2, CORNER[0] + x2 / 2, CORNER[1] - y1 / 2, CORNER[1] - y2 / 2
        points = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]][: 2 if x2 < x1 else 4]
        item = feature(points, category=name)
        same = [other["id"] for other in features if item.items() <= other.items()]
        features.append({"id": same[0] if same else len(features), **item})
    crs = {"type": "name", "properties": {"name": "EPSG:32616"}}
    value = {"type": "FeatureCollection", "crs": crs, "features": features}
    return {"other.geojson": as_json(value), "a.tif": geotiff(*SIZE)}


WRITERS = {
    "voc": voc, "yolo": yolo, "dota": dota, "coco": coco, "vrsbench": vrsbench, "table": table, "dior-rsvg": dior,
    "geojson": geojson,
}  # fmt: skip
GOOD = ("ship", SHIP), ("harbor", HARBOR)


def prepared(folder, name, *objects):
    """Records of a set by file, and its card."""
    for path, content in WRITERS[name](*objects).items():
        (folder / "labels" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "labels" / path).write_bytes(content)
    images = None
    if name != "geojson":
        images = folder / "images"
        images.mkdir()
        Image.new("RGB", SIZE).save(images / "a.png")
    (folder / "classes.txt").write_text("ship\nharbor\n")
    classes = folder / "classes.txt" if name == "yolo" else None
    prepare(name, [folder / "labels"], folder / "out", images=images, classes=classes, progress=False)
    paths = sorted((folder / "out").glob("**/*.jsonl"))
    files = {path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in paths}
    return files, json.loads((folder / "out" / "dataset.json").read_text())


def relations(files):
    return [record["regions"][0]["attributes"].get("relation") for record in files["region.jsonl"]]


@pytest.mark.parametrize("name", [*WRITERS])
def test_where_a_bad_object_was_dropped_nothing_is_counted_and_none_is_the_one(tmp_path, name):
    files, card = prepared(tmp_path, name, *GOOD, ("ship", REVERSED))
    assert sum(card["dropped"].values()) == 1
    assert relations(files) == ["left of a harbor", "right of a ship"]
    assert "image.jsonl" not in files, "a count would be false"
    assert "referring.jsonl" not in files, "an expression may fit the other ship"
    (reason,) = card["changed"]
    assert reason.startswith("image of which an object was dropped: no description")


@pytest.mark.parametrize("name", ["yolo", "coco"])
def test_an_object_whose_class_has_no_name_may_be_of_any_class(tmp_path, name):
    files, _ = prepared(tmp_path, name, *GOOD, ("nameless", OTHER))
    assert "image.jsonl" not in files
    assert relations(files)[0] == "left of a harbor"


@pytest.mark.parametrize("name", [*WRITERS])
def test_an_object_that_is_there_twice_and_one_outside_are_missed_by_no_sentence(tmp_path, name):
    # DIOR-RSVG is read here as boxes alone: without sentences it is made of them, too.
    files, card = prepared(tmp_path, name, *GOOD, GOOD[0], ("ship", OUTSIDE))
    assert sum(card["dropped"].values()) == 2
    (image,) = files["image.jsonl"]
    assert "one" in image["conversations"][1]["value"].lower()
    assert len(files["referring.jsonl"]) == 2
    assert relations(files) == ["left of the harbor", "right of the ship"]


@pytest.mark.parametrize(("category", "is_described"), [("road", True), ("ship", False)])
def test_points_and_lines_are_missing_from_counts_of_their_own_category_alone(tmp_path, category, is_described):
    collection = json.loads(geojson(*GOOD)["other.geojson"])
    line = {"type": "LineString", "coordinates": [list(CORNER), [CORNER[0] + 20, CORNER[1] - 20]]}
    collection["features"].append({"type": "Feature", "properties": {"category": category}, "geometry": line})
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "other.geojson").write_bytes(as_json(collection))
    (folder / "a.tif").write_bytes(geotiff(*SIZE))
    prepare("geojson", [folder], tmp_path / "out", progress=False)
    assert any((tmp_path / "out").glob("**/image.jsonl")) is is_described


def test_features_of_another_image_are_missing_from_no_count_of_the_only_raster(tmp_path):
    collection = json.loads(geojson(*GOOD)["other.geojson"])
    for item in collection["features"]:
        item["properties"]["image"] = "a.tif"
    other = {**collection["features"][0], "id": "other", "properties": {"category": "ship", "image": "b.tif"}}
    collection["features"].append(other)
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "other.geojson").write_bytes(as_json(collection))
    (folder / "a.tif").write_bytes(geotiff(*SIZE))
    prepare("geojson", [folder], tmp_path / "out", progress=False)
    assert any((tmp_path / "out").glob("**/image.jsonl"))
