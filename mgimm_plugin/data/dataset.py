"""The data set of both tuning stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_MAX_PIXELS, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.encoding import ImageEncoder, Item, RecordEncoder
from mgimm_plugin.data.feature_store import FeatureStore
from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.formats import REGION_INSTRUCTION, format_of
from mgimm_plugin.data.mixture import DataSource, Mixture, replay_counts, weighted_counts
from mgimm_plugin.data.records import Record, parse_record
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.data.skips import SharedCounter, SkipList
from mgimm_plugin.errors import ImageError, MgimmError, RecordError

logger = logging.getLogger(__name__)


class InstructionDataset(Dataset[Item]):
    """Region, image and plain LLaVA records as items of a batch, read when they are asked for.

    Everything random is a pure function of seed, epoch and index, so that a resumed run sees what an uninterrupted one
    sees, with any number of worker processes.

    Args:
        sources: Files of records with their weights.
        image_folder: Where the paths of images start.
        tokenizer: The language model's tokenizer.
        image_processor: The vision tower's ``CLIPImageProcessor``.
        template: Name of the conversation template.
        image_aspect_ratio: ``pad``, ``resize``, ``square`` or ``anyres``.
        context_length: Positions of the language model.
        tokens_per_image: Positions that an image takes (each view of it, for anyres).
        regions: How the model takes regions.
        region_subsets: Show image-instruction records with random subsets of their regions, a new one every epoch.
        region_replay: Files of region records mixed in, so that the image stage does not forget the region stage.
        region_replay_fraction: The share of all items that these make, in [0, 1).
        seed: Seed of everything random.
        on_error: ``raise`` a record that cannot be used, or ``skip`` it: then the next good record of its file takes
            its place, and it is listed.
        skipped_path: The list of records left out; needed for ``skip``.
        max_pixels: Larger images are refused.
        image_grid_pinpoints: Canvases of ``anyres``.
        patch_merge_type: How its views are laid out.

    Raises:
        RecordError: A file is missing, holds no records, or is an array that is no JSON.
        MgimmError: A setting makes no sense.
    """

    def __init__(
        self,
        sources: Sequence[DataSource],
        *,
        image_folder: str | Path,
        tokenizer: Any,
        image_processor: Any,
        template: str,
        image_aspect_ratio: str,
        context_length: int,
        tokens_per_image: int,
        regions: RegionInput = RegionInput(),  # noqa: B008 - frozen
        region_subsets: bool = False,
        region_replay: Sequence[DataSource] = (),
        region_replay_fraction: float = 0.25,
        seed: int = 0,
        on_error: Literal["raise", "skip"] = "raise",
        skipped_path: str | Path | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        image_grid_pinpoints: Any = None,
        patch_merge_type: str = "flat",
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise MgimmError(f"on_error is {on_error!r}; it must be raise or skip")
        if on_error == "skip" and skipped_path is None:
            raise MgimmError("on_error skip needs skipped_path, where the records left out are listed")
        if not sources:
            raise MgimmError("there is no data: name at least one file of records")
        self.image_folder = Path(image_folder)
        self.region_subsets = region_subsets
        self.seed = seed
        images = ImageEncoder(image_processor, image_aspect_ratio, image_grid_pinpoints, patch_merge_type, max_pixels)
        self.encoder = RecordEncoder(images, tokenizer, template, context_length, tokens_per_image, regions)
        self.files = [open_source(source) for source in (*sources, *region_replay)]
        self._first_replay = len(sources)
        self.mixture = self._mix(sources, region_replay, region_replay_fraction)
        self._skip_list = SkipList(skipped_path) if on_error == "skip" and skipped_path is not None else None
        self._clipped = SharedCounter()
        # In shared memory, so that persistent workers see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._record_summaries: _Summaries | None = None

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, index: int) -> Item:
        """Return an item of this epoch.

        Raises:
            RecordError: The record cannot be used (with ``on_error="raise"``), or no record of its file can.
        """
        epoch = int(self._epoch)
        source, first = self.mixture.locate(epoch, index)
        size = len(self.files[source])
        for step in range(size):
            try:
                return self._item(source, (first + step) % size, epoch, index)
            except RecordError as error:
                if self._skip_list is None:
                    raise
                self._skip_list.add(error)
        raise RecordError("not one of its records can be used", file=self.files[source].path)

    def image_files(self) -> list[Path]:
        """The distinct images of all records in the order of the files; records that cannot be used are passed over."""
        return [self.image_folder / name for name in self._summarize().image_names]

    def use_features(self, features: FeatureStore) -> None:
        """Give items the features of their image (``image``) from now on, and decode none."""
        self.encoder = replace(self.encoder, features=features)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the Trainer calls it before each one."""
        self._epoch.fill_(int(epoch))

    @property
    def skipped(self) -> int:
        """Number of records left out so far, by all processes and by the run that this one resumes."""
        return 0 if self._skip_list is None else len(self._skip_list)

    @property
    def clipped_boxes(self) -> int:
        """Number of boxes so far that stuck out of their image and were clipped, each time they were read."""
        return self._clipped.total

    @property
    def lengths(self) -> list[int]:
        """An estimate of each item's length, without decoding images: words for text, tokens for the rest."""
        return [abs(length) for length in self.modality_lengths]

    @property
    def modality_lengths(self) -> list[int]:
        """As ``lengths``, but negative where the language model reads no whole image: LLaVA's sampler groups by both.

        Region records are so short that beside an image record most of their row would be padding.
        """
        return self._of_items(self._summarize().lengths)

    @property
    def image_numbers(self) -> list[int]:
        """For each item a number that tells its image, -1 for none."""
        return self._of_items(self._summarize().images)

    def _of_items(self, values: list[NDArray[np.int64]]) -> list[int]:
        """What belongs to the record of each item of this epoch; ``values`` has it by file and record."""
        places = (self.mixture.locate(int(self._epoch), index) for index in range(len(self)))
        return [int(values[source][place]) for source, place in places]

    def _summarize(self) -> _Summaries:
        """A summary of all records; every record is read once for it."""
        if self._record_summaries is None:
            lengths, images, numbers = [], [], dict[str, int]()
            for source, file in enumerate(self.files):
                found = [self._summary(source, index) for index in range(len(file))]
                lengths.append(np.array([length for length, _ in found], dtype=np.int64))
                image_numbers = (-1 if name is None else numbers.setdefault(name, len(numbers)) for _, name in found)
                images.append(np.fromiter(image_numbers, dtype=np.int64))
            self._record_summaries = _Summaries(lengths, images, list(numbers))
        return self._record_summaries

    def record(self, source: int, index: int) -> Record:
        """Return a record of a file, checked.

        Raises:
            RecordError: It is none, or breaks the rules of its format.
        """
        file = self.files[source]
        record = parse_record(file.load(index), file=file.path, index=index)
        record_format = format_of(record)
        record_format.check(record)
        if source >= self._first_replay and record_format.name != REGION_INSTRUCTION:
            message = f"its format is {record_format.name}; region_replay takes {REGION_INSTRUCTION}"
            raise RecordError(message, file=file.path, index=index, record=record.id)
        return record

    def _mix(self, sources: Sequence[DataSource], replay: Sequence[DataSource], fraction: float) -> Mixture:
        sizes = [len(file) for file in self.files]
        counts = weighted_counts(sizes[: len(sources)], [source.weight for source in sources])
        replayed = replay_counts(sizes[len(sources) :], [source.weight for source in replay], sum(counts), fraction)
        return Mixture(sizes, [*counts, *replayed], self.seed)

    def _item(self, source: int, record_index: int, epoch: int, index: int) -> Item:
        file = self.files[source].path
        record: Record | None = None
        try:
            record = self.record(source, record_index)
            rng = np.random.default_rng((self.seed, epoch, index)) if self.region_subsets else None
            presentation = format_of(record).present(record, rng)
            item, clipped = self.encoder.encode(record, presentation, self.image_folder)
        except RecordError as error:
            field = "image" if isinstance(error, ImageError) else None
            name = None if record is None else record.id
            raise error.at(file=file, index=record_index, record=name, field=field) from error
        if clipped:
            if self.clipped_boxes == 0:
                logger.warning(
                    "record %s of %s has boxes outside its image, or where it is cropped; they are clipped",
                    record.id,
                    file,
                )
            self._clipped.add(clipped)
        return item

    def _summary(self, source: int, index: int) -> tuple[int, str | None]:
        """Length as in ``modality_lengths``, and image of a record."""
        try:
            record = self.record(source, index)
            text = " ".join(self.encoder.regions.shown([turn.value for turn in record.conversations]))
        except RecordError:
            return 1, None  # it will be raised, or another record take its place, when it is its turn
        words = len(text.replace(DEFAULT_IMAGE_TOKEN, " ").replace(DEFAULT_REGION_TOKEN, " ").split())
        length = words + self.encoder.regions.tokens_per_region * text.count(DEFAULT_REGION_TOKEN)
        if DEFAULT_IMAGE_TOKEN in text:
            return length + self.encoder.tokens_per_image, record.image
        return -max(1, length), record.image


class _Summaries(NamedTuple):
    """What samplers want to know of the records, in arrays: worker processes share these, and would copy objects."""

    lengths: list[NDArray[np.int64]]
    """For each file ``[records]``, as in ``modality_lengths``."""
    images: list[NDArray[np.int64]]
    """For each file ``[records]``: the place of the record's image in ``image_names``, -1 for none."""
    image_names: list[str]


def open_source(source: DataSource) -> RecordFile:
    """Open the file of a source.

    Raises:
        RecordError: It is missing, holds no records, or is an array that is no JSON.
    """
    file = RecordFile(source.path)
    if not len(file):
        raise RecordError("holds no records", file=source.path)
    return file
