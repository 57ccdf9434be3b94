"""Fill a cache of vision features before training: the tower is frozen, so what it makes of an image never changes."""

from __future__ import annotations

import ast
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mgimm_plugin.data.dataset import InstructionDataset
from mgimm_plugin.data.encoding import ImageEncoder
from mgimm_plugin.data.feature_store import (
    CachedImage,
    FeatureShards,
    FeatureStore,
    write_shard,
)
from mgimm_plugin.data.image_identity import IDENTITY, DigestIndex, unchanged
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import ImageError, MgimmError
from mgimm_plugin.model.partitioned import whole
from mgimm_plugin.model.saving import barrier, is_first_rank
from mgimm_plugin.model.vision_features import encode_vision
from mgimm_plugin.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)

INDEX_FILE, SETTINGS_FILE = "images.jsonl", "settings.json"
IMAGES_PER_SHARD = 128
"""151 MB of ViT-L features at 336 pixels in half precision; what an interrupted rank has to encode again at most."""
IMAGES_PER_PASS = 32


def cache_features(folder: Path, tower: Any, datasets: Sequence[InstructionDataset], args: TrainingArguments) -> Tensor:
    """Make the data sets give features for images, encoding those that the cache lacks. All ranks call it.

    Args:
        folder: The cache: a folder that all ranks see. Several runs may share it, whatever their towers and settings.
        tower: LLaVA's ``CLIPVisionTower``, on its device and in the precision of training.
        datasets: Data sets with the same settings for images.
        args: Rank, device, and number of loader workers.

    Returns:
        ``[0, T, C]``, the features of no image.

    Raises:
        MgimmError: The disk has no room, or something in the cache cannot be read.
    """
    images = datasets[0].encoder.images
    folder.mkdir(parents=True, exist_ok=True)
    files = list(dict.fromkeys(file for data in datasets for file in data.image_files()))
    identities = _identify(files, DigestIndex(folder / INDEX_FILE), args)
    with whole(*tower.parameters()):
        shards = _filled(folder, tower, _Pictures(images, files, identities), args)
    store = FeatureStore(shards, files, identities)
    for data in datasets:
        data.use_features(store)
    return torch.empty((0, tower.num_patches, tower.hidden_size), dtype=tower.dtype)


def _filled(folder: Path, tower: Any, pictures: _Pictures, args: TrainingArguments) -> FeatureShards:
    """The shards of this tower and preprocessing, with features of all pictures that can be read."""
    settings = cache_settings(tower, pictures.images)
    text = json.dumps(settings, indent=2, sort_keys=True)
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    folder = folder / key
    folder.mkdir(exist_ok=True)
    shards = FeatureShards(folder, key)
    digests, first = np.unique(pictures.identities["digest"], return_index=True)
    digests, first = digests[digests != b""], first[digests != b""]
    # As the first rank sees it: another run may be writing to the same folder.
    present = _sum_over_ranks(shards.holds(digests) * np.int64(is_first_rank()), args) > 0
    expected = present
    if not present.all():
        missing = np.sort(first[~present])  # in the order of the files
        _check_room(folder, len(missing), tower, pictures.images)
        barrier()  # before the first shard takes some of that room
        if is_first_rank():
            write_whole(folder / SETTINGS_FILE, text + "\n")
        expected = present | (_fill(folder, key, tower, pictures, missing, args)[first] > 0)
    shards = FeatureShards(folder, key)  # with what other ranks, and other runs, have written since
    lost = _sum_over_ranks((expected & ~shards.holds(digests)).astype(np.int64), args) > 0  # all ranks end together
    if lost.any():
        raise MgimmError(f"{folder}: lacks {lost.sum()} images that other ranks have there; all have to see one folder")
    return shards


def cache_settings(tower: Any, images: ImageEncoder) -> dict[str, Any]:
    """All that features depend on beside the image, as JSON has it."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tower.vision_tower.state_dict(keep_vars=True).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    unrelated = ("_name_or_path", "transformers_version", "dtype", "architectures")
    config = {name: value for name, value in tower.config.to_dict().items() if name not in unrelated}
    settings = {
        "format": 1,
        "weights": digest.hexdigest(),
        "dtype": str(tower.dtype),
        "tower": config,
        "mm_vision_select_layer": tower.select_layer,
        "mm_vision_select_feature": tower.select_feature,
        "image_aspect_ratio": images.image_aspect_ratio,
        "image_grid_pinpoints": images.image_grid_pinpoints if images.image_aspect_ratio == "anyres" else None,
        "image_processor": images.image_processor.to_dict(),
    }
    return json.loads(json.dumps(settings, default=str))


def _identify(files: Sequence[Path], index: DigestIndex, args: TrainingArguments) -> NDArray[np.void]:
    """``[N]`` identities, each rank reading its share of the files."""
    identities = np.zeros(len(files), IDENTITY)
    mine = range(args.process_index, len(files), args.world_size)
    for i in tqdm(mine, desc="looking at images", unit="image", disable=_is_quiet(args)):
        identities[i] = index.identify(files[i])
    identities = _sum_over_ranks(identities.view(np.int64), args).view(IDENTITY)
    if is_first_rank():
        index.remember(files, identities)
    return identities


def _check_room(folder: Path, count: int, tower: Any, images: ImageEncoder) -> None:
    views = 1
    if images.image_aspect_ratio == "anyres":
        views = _most_views(images.image_grid_pinpoints, tower.config.image_size)
    needed = count * views * tower.num_patches * tower.hidden_size * tower.dtype.itemsize
    free = shutil.disk_usage(folder).free
    room = f"{count:,} images, {'up to ' if views > 1 else ''}{needed / 1e9:.3g} GB; {free / 1e9:.3g} GB are free"
    if needed > free:
        raise MgimmError(f"--vision_feature_cache: no room in {folder} for the features of {room}")
    if is_first_rank():
        logger.info("caching vision features in %s: %s", folder, room)


def _most_views(grid_pinpoints: Any, side: int) -> int:
    canvases = ast.literal_eval(grid_pinpoints) if isinstance(grid_pinpoints, str) else grid_pinpoints
    return 1 + max((width // side) * (height // side) for width, height in canvases)


class _Picture(NamedTuple):
    place: int
    pixels: Tensor
    size: tuple[int, int]


class _Pictures(Dataset[_Picture | None]):
    """Images as the tower takes them; None for one that cannot be used, which is told when its record is."""

    def __init__(self, images: ImageEncoder, files: Sequence[Path], identities: NDArray[np.void]) -> None:
        self.images, self.files, self.identities = images, files, identities

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> _Picture | None:
        try:
            image = self.images.open(self.files[place])
            pixels = self.images.encode_image(image)
            same = unchanged(self.files[place], self.identities[place])
        except (ImageError, OSError):
            return None
        return _Picture(place, pixels, image.size) if same else None


def _fill(
    folder: Path, key: str, tower: Any, pictures: _Pictures, missing: NDArray[np.int64], args: TrainingArguments
) -> NDArray[np.int64]:
    """Encode and write the missing pictures, each rank its share; returns 1 for each picture that some rank wrote."""
    written = np.zeros(len(pictures), np.int64)
    waiting: list[CachedImage] = []
    for place, image in _encoded(tower, pictures, missing[args.process_index :: args.world_size].tolist(), args):
        waiting.append(image)
        written[place] = 1
        if len(waiting) == IMAGES_PER_SHARD:
            write_shard(folder, key, waiting)
            waiting = []
    if waiting:
        write_shard(folder, key, waiting)
    return _sum_over_ranks(written, args)


def _encoded(
    tower: Any, pictures: _Pictures, places: list[int], args: TrainingArguments
) -> Iterator[tuple[int, CachedImage]]:
    loader = DataLoader(
        pictures,
        batch_size=IMAGES_PER_PASS,
        sampler=places,
        num_workers=args.dataloader_num_workers,
        collate_fn=list,
    )
    with tqdm(total=len(places), desc="caching vision features", unit="image", disable=_is_quiet(args)) as bar:
        for batch in loader:
            readable = [picture for picture in batch if picture is not None]
            if readable:
                pixels = [picture.pixels.to(args.device) for picture in readable]
                features = encode_vision(tower, torch.stack(pixels) if pixels[0].ndim == 3 else pixels)
                of_images = features.base if features.views is None else features.views.split(features.view_counts)
                for picture, own in zip(readable, of_images, strict=True):
                    digest = bytes(pictures.identities[picture.place]["digest"])
                    yield picture.place, CachedImage(digest, own.cpu(), picture.size)
            bar.update(len(batch))


def _sum_over_ranks(numbers: NDArray[np.int64], args: TrainingArguments) -> NDArray[np.int64]:
    """Put together what each rank has of an array that is zero elsewhere; returns when all ranks are here."""
    if not dist.is_initialized():
        return numbers
    tensor = torch.from_numpy(numbers).to(args.device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


def _is_quiet(args: TrainingArguments) -> bool:
    return bool(args.disable_tqdm) or not is_first_rank()
