"""Fakes of DIOR-RSVG and DIOR-IDD: the files, counts and splits of the originals, with invented content."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

FILES, OBJECTS, DESCRIPTIONS = 17_402, 38_320, 23_463
SPLITS = {"train": 26_991, "val": 3_829, "test": 7_500}
DESCRIPTION_SPLITS = {"train": 16_424, "val": 2_346, "test": 4_693}
CATEGORIES = (
    "airplane", "airport", "baseballfield", "basketballcourt", "bridge", "chimney", "dam", "Expressway-Service-area",
    "Expressway-toll-station", "golffield", "groundtrackfield", "harbor", "overpass", "ship", "stadium",
    "storagetank", "tenniscourt", "trainstation", "vehicle", "windmill",
)  # fmt: skip
COLORS = ("white", "gray", "green", "brown", "blue")

_OBJECT = """  <object>
    <name>{name}</name>
    <pose>Unspecified</pose>
    <bndbox>
      <xmin>{x1}</xmin>
      <ymin>{y1}</ymin>
      <xmax>{x2}</xmax>
      <ymax>{y2}</ymax>
    </bndbox>
    <description>{phrase}</description>
  </object>
"""
_FILE = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<annotation>
  <filename>{name}.jpg</filename>
  <source>
    <database>DIOR</database>
  </source>
  <size>
    <width>800</width>
    <height>800</height>
    <depth>3</depth>
  </size>
  <segmented>0</segmented>
{objects}</annotation>
"""


def image_names(files: int = FILES, images: int = DESCRIPTIONS) -> list[str]:
    """Names of the images that have boxes: ``files`` of 00001 ... ``images``, not one after the other."""
    return [f"{1 + number * images // files:05d}" for number in range(files)]


def write_dior_rsvg(
    folder: Path, *, files: int = FILES, objects: int = OBJECTS, images: int = DESCRIPTIONS, splits: Path | None = None
) -> None:
    """Write ``Annotations/*.xml`` and the split files.

    Args:
        folder: Where to write.
        files: Number of XML files.
        objects: Number of objects in all of them; each has at least one.
        images: Number of images, of which ``files`` have boxes.
        splits: Folder of the official split files, which are used as they are; made up, of the same counts, without.
    """
    random_source = random.Random(0)
    counts = [1] * files
    for _ in range(objects - files):
        counts[int(random_source.expovariate(1) * files / 4) % files] += 1
    random_source.shuffle(counts)
    (folder / "Annotations").mkdir(parents=True)
    number = 0
    for name, count in zip(image_names(files, images), counts, strict=True):
        text = "".join(_object(random_source, number + position) for position in range(count))
        number += count
        (folder / "Annotations" / f"{name}.xml").write_text(_FILE.format(name=name, objects=text))
    assert number == objects
    places = list(range(objects))
    random_source.shuffle(places)
    for part, share in SPLITS.items():
        count = share * objects // OBJECTS if part != "test" else len(places)
        own, places = sorted(places[:count]), places[count:]
        text = "".join(f"{place}\n" for place in own)
        if splits is not None:
            text = (splits / f"{part}.txt").read_text()
        (folder / f"{part}.txt").write_text(text)


def write_dior_idd(folder: Path, *, files: int = FILES, images: int = DESCRIPTIONS) -> None:
    """Write ``dior-gpg-{train,val,test}.json``: a description of each of the images, of which ``files`` have boxes."""
    random_source = random.Random(1)
    with_boxes = set(image_names(files, images))
    entries = []
    for number in range(1, images + 1):
        name = f"{number:05d}"
        boxes = [[10, 20, 30, 40]] if name in with_boxes else []
        words = " and ".join(random_source.sample(CATEGORIES, 2))
        entries.append(
            {
                "image_id": number, "file_name": f"{name}.jpg", "width": 800, "height": 800, "bbox": boxes,
                "conversations": [
                    {"from": "human", "value": "<image>\nDescribe this remote sensing image in detail."},
                    {"from": "gpt", "value": f"Image {number} shows {words} on {random_source.choice(COLORS)} ground."},
                ],
            }
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    random_source.shuffle(entries)
    for part, share in DESCRIPTION_SPLITS.items():
        count = share * images // DESCRIPTIONS if part != "test" else len(entries)
        own, entries = entries[:count], entries[count:]
        (folder / f"dior-gpg-{part}.json").write_text(json.dumps(own))


def _object(random_source: random.Random, number: int) -> str:
    """An object whose sentence says its number, so that a test can see that it is where it belongs."""
    name, color = random_source.choice(CATEGORIES), random_source.choice(COLORS)
    x1, y1 = random_source.randint(1, 700), random_source.randint(1, 700)
    x2, y2 = (random_source.randint(corner + 5, min(corner + 300, 800)) for corner in (x1, y1))
    return _OBJECT.format(name=name, x1=x1, y1=y1, x2=x2, y2=y2, phrase=f"The {color} {name} of number {number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new folder for DIOR_RSVG/ and DIOR_IDD/")
    parser.add_argument("--splits", type=Path, help="folder of the official train.txt, val.txt and test.txt")
    arguments = parser.parse_args()
    write_dior_rsvg(arguments.folder / "DIOR_RSVG", splits=arguments.splits)
    write_dior_idd(arguments.folder / "DIOR_IDD")


if __name__ == "__main__":
    main()
