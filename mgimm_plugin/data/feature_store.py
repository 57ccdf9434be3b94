"""Patch features of images on disk, read through a memory map that all processes of a machine share.

A folder holds the features of one tower and one preprocessing, whose key every shard carries. Shards are safetensors
files, written aside and moved into place, so that one that is there is whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mgimm_plugin.data.image_identity import DIGEST, DIGEST_BYTES, unchanged
from mgimm_plugin.data.whole_files import written_whole
from mgimm_plugin.errors import ImageError, MgimmError

_PLACE = np.dtype([("digest", DIGEST), ("shard", "<i4"), ("first", "<i4"), ("count", "<i4"), ("size", "<i4", 2)])
"""Where features are: ``count`` rows of a shard from ``first`` on, and (width, height) of the image in pixels."""

_VIEWS = "views"
"""How many rows each image has; shards of images in one view each, whose features have no such dimension, lack it."""


class CachedImage(NamedTuple):
    """What is kept of an image."""

    digest: bytes
    """Of the file's bytes."""
    features: Tensor
    """``[T, C]``, or ``[V, T, C]`` for anyres, the base view first; as the tower gives them, before the projector."""
    size: tuple[int, int]
    """(width, height) of the original image in pixels."""


def write_shard(folder: Path, key: str, images: Sequence[CachedImage]) -> Path:
    """Write the features of some images, all in one file that appears when it is whole; returns its path."""
    features = [image.features for image in images]
    tensors = {
        "digests": torch.tensor([list(image.digest.ljust(DIGEST_BYTES, b"\0")) for image in images], dtype=torch.uint8),
        "sizes": torch.tensor([image.size for image in images], dtype=torch.int32),
    }
    if features[0].ndim == 2:
        tensors["features"] = torch.stack(features)
    else:
        tensors["features"] = torch.cat(features)
        tensors[_VIEWS] = torch.tensor([len(views) for views in features], dtype=torch.int32)
    name = hashlib.blake2b(b"".join(image.digest for image in images), digest_size=DIGEST_BYTES).hexdigest()
    path = folder / f"{name}.safetensors"
    try:
        with written_whole(path) as partial:
            save_file(tensors, partial, metadata={"key": key})
    except (OSError, SafetensorError) as error:
        raise MgimmError(f"{path}: cannot be written: {error}") from error
    return path


class FeatureShards:
    """The shards of a folder, as they are when this is made.

    Args:
        folder: The folder.
        key: What its shards have to be marked with.

    Raises:
        MgimmError: A file is cut short, or has features of something else.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.key = key
        self.files = sorted(folder.glob("*.safetensors"))
        self._open: dict[int, tuple[Tensor, bool]] = {}
        places = [self._places(number) for number in range(len(self.files))]
        joined = np.concatenate([np.empty(0, _PLACE), *places])
        self._places_by_digest = joined[np.unique(joined["digest"], return_index=True)[1]]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # another process maps its own

    def find(self, digests: NDArray[np.bytes_]) -> NDArray[np.void]:
        """Places of images, in the order of ``digests``; ``count`` is 0 where there are no features."""
        known = self._places_by_digest
        found = np.zeros(len(digests), _PLACE)
        if len(known):
            at = np.searchsorted(known["digest"], digests).clip(max=len(known) - 1)
            hit = known["digest"][at] == digests
            found[hit] = known[at[hit]]
        return found

    def holds(self, digests: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Which images have features."""
        return self.find(digests)["count"] > 0

    def read(self, place: np.void) -> Tensor:
        """Features at a place: ``[T, C]``, of the mapped file and not to be written to, or ``[V, T, C]``, a copy.

        Views are sent from a loader's worker as they are, and what is sent of a mapped file is all of it.
        """
        number, first, count = (int(place[name]) for name in ("shard", "first", "count"))
        if number not in self._open:
            with _opened(self.files[number], self.key) as shard:
                self._open[number] = shard.get_tensor("features"), _VIEWS in shard.keys()  # noqa: SIM118 - no mapping
        features, has_views = self._open[number]
        return features[first : first + count].clone() if has_views else features[first]

    def _places(self, number: int) -> NDArray[np.void]:
        with _opened(self.files[number], self.key) as shard:
            digests, sizes = shard.get_tensor("digests"), shard.get_tensor("sizes")
            views = shard.get_tensor(_VIEWS).numpy() if _VIEWS in shard.keys() else 1  # noqa: SIM118 - no mapping
        places = np.empty(len(digests), _PLACE)
        places["digest"] = np.ascontiguousarray(digests.numpy()).view(DIGEST).reshape(-1)
        places["size"] = sizes.numpy()
        places["shard"] = number
        places["count"] = views
        places["first"] = places["count"].cumsum() - places["count"]
        return places


class FeatureStore:
    """Features of the images of a run, by path.

    Its tables are arrays without a Python object an image, and the features stay in the mapped files, so that loader
    workers share all of it.

    Args:
        shards: Where the features are.
        files: The images, as their paths will be asked for.
        identities: ``[N]`` IDENTITY of these files.
    """

    def __init__(self, shards: FeatureShards, files: Sequence[Path], identities: NDArray[np.void]) -> None:
        paths = np.array([os.fsencode(file) for file in files], dtype=np.bytes_)
        order = paths.argsort()
        self._paths, self._identities = paths[order], identities[order]
        self._places = shards.find(self._identities["digest"])
        self._shards = shards

    def read(self, file: Path) -> tuple[Tensor, tuple[int, int]] | None:
        """Return features (see ``CachedImage``) and (width, height) of an image; None where it has none.

        Raises:
            ImageError: The image is not what it was when the run began.
            MgimmError: Its shard cannot be read.
        """
        name = os.fsencode(file)
        at = int(np.searchsorted(self._paths, name))
        if at == len(self._paths) or self._paths[at] != name or not self._places[at]["count"]:
            return None
        try:
            if not unchanged(file, self._identities[at]):
                raise ImageError(f"image {file} has changed since this run began; start the run again")
        except OSError as error:
            raise ImageError(f"image {file} cannot be read: {error.strerror or error}") from error
        place = self._places[at]
        try:
            width, height = place["size"].tolist()
            return self._shards.read(place), (width, height)
        except MgimmError as error:
            raise MgimmError(f"features of image {file}: {error}") from error


@contextmanager
def _opened(file: Path, key: str) -> Iterator[Any]:
    """A shard, checked: whole, and of this tower and preprocessing."""
    try:
        with safe_open(file, framework="pt") as shard:
            found = (shard.metadata() or {}).get("key")
            if found != key:
                raise MgimmError(f"{file}: holds features of another tower or preprocessing ({found}); remove it")
            yield shard
    except (OSError, SafetensorError) as error:
        raise MgimmError(
            f"{file}: is no whole file of features ({error}); remove it, and what is missing will be encoded again"
        ) from error
