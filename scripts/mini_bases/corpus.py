"""The training scenes as arrays: small pictures, and the words of the sentences about them as indices."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mgimm_plugin.data.scenes import generate_scene
from mgimm_plugin.data.scenes.mini.vocabulary import CATEGORIES, COLORS, POSITIONS, SHAPE_WORDS, SIZES

WORDS: dict[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "color": tuple(COLORS),
    "shape": SHAPE_WORDS,
    "size": SIZES,
    "position": tuple(word for row in POSITIONS for word in row),
}
"""The words of each attribute; ``SceneArrays.words`` holds indices into these, in this order."""

TRAINING_SEED = 20_240
PROBE_SEED = 20_241
"""Seeds of the scenes the bases are trained and probed on; every other seed gives scenes they never saw."""


class SceneArrays(NamedTuple):
    """Scenes of one seed.

    Attributes:
        images: ``[N, S, S, 3]`` uint8, as the vision tower sees them.
        owner: ``[M]`` scene of each object.
        words: ``[M, 5]`` what the text says of each object: indices into ``WORDS``.
        boxes: ``[M, 4]`` xyxy in [0, 1]. Only the probe reads them.
    """

    images: NDArray[np.uint8]
    owner: NDArray[np.int64]
    words: NDArray[np.int64]
    boxes: NDArray[np.float32]


def _scene(index: int, *, seed: int, side: int) -> tuple[NDArray[np.uint8], list[list[int]], list[list[float]]]:
    scene = generate_scene(seed, index, world="mini")
    words = [[WORDS[name].index(item.attributes[name]) for name in WORDS] for item in scene.objects]
    boxes = [[value / scene.image.width for value in item.box] for item in scene.objects]
    return np.asarray(scene.image.resize((side, side), Image.Resampling.BICUBIC)), words, boxes


def load_scenes(cache: Path, *, seed: int, count: int, side: int) -> SceneArrays:
    """Scenes from the cache folder, drawn first if they are not there yet."""
    file = cache / f"scenes-{seed}-{count}-{side}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
            images, words, boxes = [], [], []
            for done, (image, its_words, its_boxes) in enumerate(
                pool.imap(partial(_scene, seed=seed, side=side), range(count), chunksize=32), 1
            ):
                images.append(image)
                words.append(its_words)
                boxes.append(its_boxes)
                if done % 1000 == 0:
                    print(f"scenes of seed {seed}: {done}/{count}", flush=True)
        partial_file = file.with_suffix(".partial.npz")
        np.savez(
            partial_file,
            images=np.stack(images),
            owner=np.repeat(np.arange(count), [len(its_words) for its_words in words]),
            words=np.concatenate([np.asarray(w, dtype=np.int64) for w in words]),
            boxes=np.concatenate([np.asarray(b, dtype=np.float32) for b in boxes]),
        )
        partial_file.replace(file)
    with np.load(file, allow_pickle=False) as arrays:
        return SceneArrays(**{name: arrays[name] for name in SceneArrays._fields})
