"""Scenes as files: JPEG images, region-instruction records and image-instruction records."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN, IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.scenes.grammar import image_description, region_phrases
from mgimm_plugin.data.scenes.layout import SceneObject
from mgimm_plugin.data.scenes.scene import DEFAULT_SIZE, Scene, generate_scene, random_source
from mgimm_plugin.errors import MgimmError

REFERENCES = 5
"""Right answers per question: the conversation's own and four more."""

_JPEG_QUALITY = 90


class SceneRecords(NamedTuple):
    """The JSON records of one scene: one per object, and one for the image."""

    regions: list[dict[str, Any]]
    image: dict[str, Any]


def scene_records(scene: Scene, seed: int, index: int) -> SceneRecords:
    """Records of scene ``index`` of the set ``seed``; their image is ``images/<index>.jpg``."""
    rng = random_source(seed, index, 2)
    name = f"{index:06d}"
    common = {"image": f"images/{name}.jpg", "width": scene.image.width, "height": scene.image.height}
    regions, entries = [], []
    for number, item in enumerate(scene.objects):
        phrases = region_phrases(item, rng)[:REFERENCES]
        entries.append(_region_entry(item, phrases[0]))
        question = f"{DEFAULT_REGION_TOKEN}\n{REGION_QUESTION}"
        regions.append({"id": f"{name}-{number}", **common, "regions": [entries[-1]], **_answers(question, phrases)})
    descriptions = [image_description(scene.setting, scene.objects, rng) for _ in range(REFERENCES)]
    question = f"{DEFAULT_IMAGE_TOKEN}\n{DEFAULT_REGION_TOKEN * len(entries)}\n{IMAGE_QUESTION}"
    return SceneRecords(regions, {"id": name, **common, "regions": entries, **_answers(question, descriptions)})


def _region_entry(item: SceneObject, phrase: str) -> dict[str, Any]:
    return {"bbox": list(item.box), "category": item.category, "phrase": phrase, "attributes": item.attributes}


def _answers(question: str, answers: list[str]) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answers[0]}]
    return {"conversations": turns, "references": answers[1:]}


def _write_scene(index: int, *, folder: Path, seed: int, size: int) -> SceneRecords:
    scene = generate_scene(seed, index, size=size)
    records = scene_records(scene, seed, index)
    scene.image.save(folder / records.image["image"], quality=_JPEG_QUALITY)
    return records


def write_scenes(
    output: Path,
    *,
    count: int,
    seed: int,
    size: int = DEFAULT_SIZE,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write a set of scenes: ``images/*.jpg``, ``region.jsonl`` and ``image.jsonl``.

    The same arguments give the same bytes, whatever the number of workers. The set is written next to ``output`` and
    moved there when it is complete; only what an earlier set left there is replaced.

    Args:
        output: Folder of the set; created.
        count: Number of scenes.
        seed: Seed of the set; sets with different seeds have no scene in common.
        size: Side of the images in pixels.
        workers: Processes; all available cores by default.
        progress: Whether to show a line of progress on standard error.

    Raises:
        ValueError: If ``count`` or ``size`` is too small to draw anything.
        MgimmError: If worker processes cannot start.
    """
    if count < 1 or size < 32:
        raise ValueError(f"cannot write {count} scenes of {size} px: at least 1 scene of 32 px is needed")
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    folder = output / f".partial-{os.getpid()}"
    (folder / "images").mkdir(parents=True)
    try:
        with (folder / "region.jsonl").open("w") as regions, (folder / "image.jsonl").open("w") as images:
            write = partial(_write_scene, folder=folder, seed=seed, size=size)
            drawn = _in_order(write, count, workers)
            for records in tqdm(drawn, total=count, unit="scene", desc="scenes", disable=not progress):
                regions.writelines(json.dumps(record) + "\n" for record in records.regions)
                images.write(json.dumps(records.image) + "\n")
        shutil.rmtree(output / "images", ignore_errors=True)
        for name in ("images", "region.jsonl", "image.jsonl"):
            (folder / name).replace(output / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_order(write: partial[SceneRecords], count: int, workers: int | None) -> Iterator[SceneRecords]:
    processes = min(workers or len(os.sched_getaffinity(0)), count)
    if processes == 1:
        yield from map(write, range(count))
        return
    # spawn: forking a process that has loaded torch may hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(write, range(count), chunksize=8)
        except BrokenProcessPool as error:
            raise MgimmError(
                "the processes that draw could not start; in a script of your own, call write_scenes under "
                "if __name__ == '__main__':, or pass workers=1"
            ) from error
