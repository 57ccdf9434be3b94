#!/usr/bin/env python
"""Read every text of a generated set back and hold it against the ground truth in the records.

    python scripts/check_scenes.py DIR

Prints each contradiction, then how many texts of how many scenes were read; exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from mgimm_plugin.data.scenes.overhead.text.claims import check_scene
from mgimm_plugin.data.scenes.scene import Scene, SceneObject, SceneTexts

Records = list[dict[str, Any]]


def main() -> int:
    """Check a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what mgimm scenes wrote")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    options = parser.parse_args()
    count = sum(1 for _ in (options.folder / "image.jsonl").open())
    wrong = texts = 0
    with ProcessPoolExecutor(options.workers) as pool:
        for read, problems in tqdm(pool.map(check, scenes_in(options.folder), chunksize=50), total=count, unit="scene"):
            texts += read
            wrong += len(problems)
            for problem in problems:
                print(problem)
    print(f"{texts} texts about {count} scenes were read back: {wrong} contradictions")
    return 1 if wrong else 0


def scenes_in(folder: Path) -> Iterator[tuple[dict[str, Any], Records, Records]]:
    """The image record, region records and referring records of each scene."""
    regions, referring = (_by_image(folder / f"{name}.jsonl") for name in ("region", "referring"))
    waiting = next(referring, None)
    for line, (name, about) in zip((folder / "image.jsonl").open(), regions, strict=True):
        image = json.loads(line)
        assert image["image"] == name, "the files are not of one set"
        short: Records = []
        if waiting is not None and waiting[0] == name:
            short, waiting = waiting[1], next(referring, None)
        yield image, about, short


def _by_image(path: Path) -> Iterator[tuple[str, Records]]:
    records = (json.loads(line) for line in path.open())
    for name, group in groupby(records, key=lambda record: str(record["image"])):
        yield name, list(group)


def check(records: tuple[dict[str, Any], Records, Records]) -> tuple[int, list[str]]:
    """The number of texts of a scene, and what is wrong with them."""
    image, regions, referring = records
    objects = tuple(_object(region) for region in image["regions"])
    scene = Scene(
        setting=image["setting"],
        objects=objects,
        image=Image.new("L", (image["width"], image["height"])),
        facts={name: image[name] for name in ("features", "counts")},
    )
    short: list[list[str]] = [[] for _ in objects]
    for record in referring:
        short[int(record["id"].rpartition("-r")[2])] = _answers(record)
    texts = SceneTexts([_answers(record) for record in regions], _answers(image), short)
    problems = [f"{image['id']}: {problem}" for problem in check_scene(scene, texts)]
    return sum(map(len, (*texts.regions, *texts.referring, texts.image))), problems


def _object(region: dict[str, Any]) -> SceneObject:
    facts = {name: region[name] for name in ("surface", "relations")}
    return SceneObject(**region["attributes"], box=tuple(region["bbox"]), facts=facts)


def _answers(record: dict[str, Any]) -> list[str]:
    return [record["conversations"][1]["value"], *record["references"]]


if __name__ == "__main__":
    sys.exit(main())
