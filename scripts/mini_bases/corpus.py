"""The training scenes: small pictures, the words of the sentences about them as indices, and the texts themselves."""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mgimm_plugin.data.measures import POSITIONS, SIZES
from mgimm_plugin.data.scenes import generate_scene
from mgimm_plugin.data.scenes.overhead.text.texts import texts as texts_of
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, SETTINGS, SHAPES
from mgimm_plugin.data.scenes.scene import Scene, random_source
from mgimm_plugin.data.whole_files import written_whole

WORDS: dict[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "color": tuple(COLORS),
    "shape": SHAPES,
    "size": SIZES,
    "position": tuple(word for row in POSITIONS for word in row),
}
"""The words of each attribute; ``SceneArrays.words`` holds indices into these, in this order."""

TRAINING_SEED = 20_240
PROBE_SEED = 20_241
"""Seeds of the scenes the bases are trained and probed on; every other seed gives scenes they never saw."""

FEW = 6_000
"""Scenes that are enough for the language model, and for the tower to find objects by. Shapes need more."""

_SHARD = 500
"""Scenes in one file of the cache: what a killed run loses at most."""


class SceneArrays(NamedTuple):
    """Scenes of one seed.

    Attributes:
        images: ``[N, S, S, 3]`` uint8, as the vision tower sees them.
        settings: ``[N]`` indices into ``SETTINGS``.
        owner: ``[M]`` scene of each object.
        words: ``[M, 5]`` what the text says of each object: indices into ``WORDS``.
    """

    images: NDArray[np.uint8]
    settings: NDArray[np.int64]
    owner: NDArray[np.int64]
    words: NDArray[np.int64]

    def first(self, count: int) -> SceneArrays:
        """Some of the scenes."""
        kept = self.owner < count
        return SceneArrays(self.images[:count], self.settings[:count], self.owner[kept], self.words[kept])


def load_scenes(cache: Path, *, seed: int, count: int, side: int, workers: int) -> SceneArrays:
    """Scenes as arrays, from the cache folder; those that are not there yet are drawn first."""
    images = np.empty((count, side, side, 3), np.uint8)  # filled shard by shard: twice of it might not fit
    parts: list[SceneArrays] = []
    for begin in range(0, count, _SHARD):
        with np.load(_shard(cache, seed, begin, side, workers), allow_pickle=False) as arrays:
            part = SceneArrays(**{name: arrays[name] for name in SceneArrays._fields}).first(count - begin)
        images[begin : begin + len(part.images)] = part.images
        parts.append(part._replace(images=part.images[:0], owner=part.owner + begin))
    return SceneArrays(images, *(np.concatenate(columns) for columns in list(zip(*parts, strict=True))[1:]))


def load_texts(cache: Path, *, seed: int, count: int, side: int, workers: int) -> Iterator[dict[str, Any]]:
    """What is said about each scene: ``setting``, ``features``, ``objects`` (attributes), ``regions``, ``image``."""
    for begin in range(0, count, _SHARD):
        file = _shard(cache, seed, begin, side, workers).with_suffix(".jsonl")
        yield from map(json.loads, file.read_text().splitlines()[: count - begin])


def _shard(cache: Path, seed: int, begin: int, side: int, workers: int) -> Path:
    """The file of the scenes from ``begin`` on, which is written if it is not there; their texts are beside it."""
    file = cache / "scenes" / f"{seed}-{side}-{begin:06d}.npz"
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    draw = partial(_drawn, seed=seed, side=side)
    indices = range(begin, begin + _SHARD)
    if workers == 1:
        drawn = list(map(draw, indices))
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            drawn = pool.map(draw, indices, chunksize=16)
    images, texts = zip(*drawn, strict=True)
    _write(file, images, texts)
    print(f"scenes of seed {seed}: {begin + _SHARD}", flush=True)
    return file


def _write(file: Path, images: Sequence[NDArray[np.uint8]], texts: Sequence[dict[str, Any]]) -> None:
    file.with_suffix(".jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    objects = [item for text in texts for item in text["objects"]]
    with written_whole(file) as partial_file, partial_file.open("wb") as opened:
        np.savez(
            opened,
            images=np.stack(images),
            settings=np.array([SETTINGS.index(text["setting"]) for text in texts]),
            owner=np.repeat(np.arange(len(texts)), [len(text["objects"]) for text in texts]),
            words=np.array([[WORDS[name].index(item[name]) for name in WORDS] for item in objects]),
        )


def _drawn(index: int, *, seed: int, side: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    scene = generate_scene(seed, index)
    stored = io.BytesIO()
    scene.image.save(stored, "JPEG", quality=90)  # as ``mgimm scenes`` stores them
    image = Image.open(stored).convert("RGB")
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image), _text(scene, seed, index)


def _text(scene: Scene, seed: int, index: int) -> dict[str, Any]:
    said = texts_of(scene, random_source(seed, index, 2))
    return {
        "setting": scene.setting,
        "features": scene.facts["features"],
        "objects": [{**item.attributes, "surface": item.facts["surface"]} for item in scene.objects],
        "regions": said.regions,
        "image": said.image,
    }
