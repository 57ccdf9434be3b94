"""Scenes as files: JPEG images, region-instruction records and image-instruction records."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

import mgimm_plugin
from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.cores import available_cores
from mgimm_plugin.data.question_templates import load_questions
from mgimm_plugin.data.scenes.overhead import DEFAULT_SIZE, generate_scene
from mgimm_plugin.data.scenes.overhead.picture.nuisances import NUISANCES
from mgimm_plugin.data.scenes.overhead.styles import STYLES
from mgimm_plugin.data.scenes.overhead.text.texts import texts as texts_of
from mgimm_plugin.data.scenes.scene import Scene, SceneObject, random_source, split_of
from mgimm_plugin.errors import MgimmError, look_up

REFERENCES = 5
"""Right answers per question: the conversation's own and four more."""

CARD_FILE = "dataset.json"
MADE_BY = "mgimm scenes"
_FILES = ("region.jsonl", "image.jsonl", "referring.jsonl")
_JPEG_QUALITY = 90


class SceneRecords(NamedTuple):
    """The JSON records of one scene: one per object, one for the image, and again one per object that refers to it."""

    regions: list[dict[str, Any]]
    image: dict[str, Any]
    referring: list[dict[str, Any]]

    def by_file(self) -> tuple[list[dict[str, Any]], ...]:
        """The records of each of the three files."""
        return self.regions, [self.image], self.referring


def image_file(index: int) -> str:
    """Path of the image of scene ``index``, relative to its set."""
    return f"images/{index:06d}.jpg"


def scene_records(scene: Scene, seed: int, index: int) -> SceneRecords:
    """Records of scene ``index`` of the set ``seed``; their image is ``images/<index>.jpg``, six digits or more."""
    texts = texts_of(scene, random_source(seed, index, 2))
    questions = load_questions()
    name = f"{index:06d}"
    common = {"image": image_file(index), "width": scene.image.width, "height": scene.image.height}
    entries = [
        # An object that no words tell from its twin has no referring expression.
        _region_entry(item, (*short, *long)[0])
        for item, short, long in zip(scene.objects, texts.referring, texts.regions, strict=True)
    ]

    def about_regions(task: str, answers: list[list[str]], mark: str, omit: str = "") -> list[dict[str, Any]]:
        return [
            {
                "id": f"{name}-{mark}{number}",
                **common,
                "regions": [{key: value for key, value in entries[number].items() if key != omit}],
                **_answers(f"{DEFAULT_REGION_TOKEN}\n{questions.choose(task, f'{name}-{number}', seed=seed)}", said),
            }
            for number, said in enumerate(answers)
            if said
        ]

    head = f"{DEFAULT_IMAGE_TOKEN}\n{DEFAULT_REGION_TOKEN * len(entries)}"
    image = {"id": name, **common, "regions": entries, **scene.facts}
    image |= _answers(f"{head}\n{questions.choose('image', name, seed=seed)}", texts.image)
    return SceneRecords(
        about_regions("region", texts.regions, ""),
        image,
        # An expression need not name every attribute, and is not to be scored as if it had to.
        about_regions("referring", texts.referring, "r", omit="attributes"),
    )


def _region_entry(item: SceneObject, phrase: str) -> dict[str, Any]:
    entry = {"bbox": list(item.box), "category": item.category, "phrase": phrase, "attributes": item.attributes}
    if item.polygon is not None:
        entry["polygon"] = [list(point) for point in item.polygon]
    return {**entry, **item.facts}


def _answers(question: str, answers: list[str]) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answers[0]}]
    return {"conversations": turns, "references": answers[1:REFERENCES]}


def _write_scene(index: int, *, folder: Path, seed: int, size: int, style: str, nuisance: str) -> SceneRecords:
    scene = generate_scene(seed, index, size=size, style=style, nuisance=nuisance)
    records = scene_records(scene, seed, index)
    scene.image.save(folder / records.image["image"], quality=_JPEG_QUALITY)
    return records


def write_scenes(
    output: Path,
    *,
    count: int,
    seed: int,
    size: int = DEFAULT_SIZE,
    style: str = "standard",
    nuisance: str = "mild",
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write a set of scenes: ``images/*.jpg``, records (``region.jsonl``, ``image.jsonl``, ``referring.jsonl``), card.

    The same arguments give the same bytes, whatever the number of workers. The set is written next to ``output`` and
    moved there when it is complete; only what an earlier set left there is replaced, other files in ``images`` stay. A
    folder with a card is complete.

    Args:
        output: Folder of the set; created.
        count: Number of scenes.
        seed: Seed of the set; sets with different seeds have no scene in common.
        size: Side of the images in pixels.
        style: A name of ``styles.STYLES``.
        nuisance: A name of ``nuisances.NUISANCES``.
        workers: Processes; all available cores by default.
        progress: Whether to show a line of progress on standard error.

    Raises:
        ValueError: If ``count`` or ``size`` is too small to draw anything.
        MgimmError: If there is no such style or nuisance, if the folder has files of the same name that are of no
            earlier set, or if worker processes cannot start.
    """
    if count < 1 or size < 64:
        raise ValueError(f"cannot write {count} scenes of {size} px: at least 1 scene of 64 px is needed")
    look_up(STYLES, style, "style")  # refused before anything is touched
    look_up(NUISANCES, nuisance, "nuisance")
    output = Path(output)
    earlier = _check_own(output, count)
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=output))
    (folder / "images").mkdir()
    try:
        write = partial(_write_scene, folder=folder, seed=seed, size=size, style=style, nuisance=nuisance)
        card: dict[str, Any] = {
            "made_by": MADE_BY, "style": style, "nuisance": nuisance, "seed": seed, "split": split_of(seed),
            "size": size, "text": "made from the ground truth", "version": mgimm_plugin.__version__,
        }  # fmt: skip
        counts = {name: Counter[str]() for name in ("files", "categories", "settings")}
        with ExitStack() as stack:
            opened = [stack.enter_context((folder / name).open("w")) for name in _FILES]
            drawn = _in_order(write, count, workers)
            for records in tqdm(drawn, total=count, unit="scene", desc="scenes", disable=not progress):
                for name, file, lines in zip(_FILES, opened, records.by_file(), strict=True):
                    file.writelines(json.dumps(record) + "\n" for record in lines)
                    counts["files"][name] += len(lines)
                counts["categories"].update(region["category"] for region in records.image["regions"])
                counts["settings"].update([records.image["setting"]])
        card |= {name: dict(sorted(counter.items())) for name, counter in counts.items()}
        (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
        (output / CARD_FILE).unlink(missing_ok=True)
        (output / "images").mkdir(exist_ok=True)
        for index in range(count, earlier):
            (output / image_file(index)).unlink(missing_ok=True)
        for name in (*map(image_file, range(count)), *_FILES, CARD_FILE):
            (folder / name).replace(output / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_own(output: Path, count: int) -> int:
    """What is in the way must be an earlier set's, and not somebody's images. How many scenes the earlier set has."""
    try:
        card = json.loads((output / CARD_FILE).read_bytes())
        earlier = int(card["files"]["image.jsonl"]) if card["made_by"] == MADE_BY else None
    except (OSError, ValueError, LookupError, TypeError):
        earlier = None
    # Of an earlier set are the images that it counts; those beyond may be somebody's.
    names = ("images", *_FILES, CARD_FILE) if earlier is None else map(image_file, range(earlier, count))
    strangers = [name for name in names if (output / name).exists()]
    if strangers:
        raise MgimmError(f"{output} already has {strangers[0]}, which is of no earlier set; choose another folder")
    return earlier or 0


def _in_order(write: partial[SceneRecords], count: int, workers: int | None) -> Iterator[SceneRecords]:
    processes = min(workers or available_cores(), count)
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
