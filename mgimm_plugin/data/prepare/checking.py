"""What a reader yields, made fit for records: images that are what they should be, boxes inside, nothing twice."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject, Dialogue
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.record_parsing import has_lone_surrogate
from mgimm_plugin.errors import BoxError, ImageError, RecordError
from mgimm_plugin.geometry import clip_boxes

CLIPPED = "box partly outside its image: clipped (its polygon is kept as it was)"


class Pixels:
    """An image of a folder, opened when it is first looked at."""

    def __init__(self, folder: Path, file_name: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._path, self._name, self._max_pixels = folder / file_name, file_name, max_pixels

    @cached_property
    def image(self) -> Image.Image:
        """The image, RGB.

        Raises:
            ImageError: It cannot be read.
        """
        try:
            return open_image(self._path, max_pixels=self._max_pixels)
        except ImageError as error:
            raise ImageError(error.message.replace(str(self._path), self._name)) from error


class Checker:
    """Checks image after image of one conversion.

    Args:
        images: Folder of the images, or None where they are not at hand.
        losses: Where what is dropped or changed is accounted for.
        max_pixels: A larger image is dropped.
    """

    def __init__(self, images: Path | None, losses: Losses, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._images, self._losses, self._max_pixels = images, losses, max_pixels
        self._seen: set[tuple[str, str]] = set()
        self._sizes: dict[str, tuple[int, int]] = {}  # of the image files that can be read

    def check(
        self, image: AnnotatedImage, *, has_texts: bool, source: str = ""
    ) -> tuple[AnnotatedImage, Pixels | None] | None:
        """Make an image fit for records.

        Args:
            image: What a reader yielded.
            has_texts: Whether another source has a text about it.
            source: Which of several sources it is of; an id is unique in its own.

        Returns:
            The image, with the boxes that lie in it, and its pixels where they are at hand; None where it is dropped.
        """
        try:
            self._check_name(image, source)
            image, pixels = self._with_size(image)
        except RecordError as error:
            self._losses.drop(error.at(record=image.source_id, field="image"))
            return None
        if not (has_texts or image.objects or image.captions or image.descriptions or image.dialogues):
            self._drop(image, "has no object, no caption, no description and no dialogue: nothing to make a record of")
            return None
        return self._with_good_objects(image, has_texts), pixels

    def _check_name(self, image: AnnotatedImage, source: str) -> None:
        if has_lone_surrogate(f"{image.source_id}{image.file_name}"):
            raise RecordError("is named by a file whose name is no UTF-8: rename the file", field="image")
        before = len(self._seen)
        self._seen.add((source, image.source_id))
        if len(self._seen) == before:
            raise RecordError("an image of this id came before; this one is left out", field="image")

    def _with_size(self, image: AnnotatedImage) -> tuple[AnnotatedImage, Pixels | None]:
        if self._images is None or image.file_name is None:
            return image, None
        pixels = Pixels(self._images, image.file_name, self._max_pixels)
        if image.file_name not in self._sizes:
            # Opened in full: a header says nothing of a file that ends too early, and training would refuse it.
            self._sizes[image.file_name] = pixels.image.size
        width, height = self._sizes[image.file_name]
        if image.width is not None and (image.width, image.height) != (width, height):
            raise RecordError(
                f"the annotation says {image.width}x{image.height}, the image has {width}x{height} pixels: "
                "its boxes may be in another frame",
                field="width",
            )
        return replace(image, width=width, height=height), pixels

    def _with_good_objects(self, image: AnnotatedImage, has_texts: bool) -> AnnotatedImage:
        spoken_of = {number for dialogue in image.dialogues for number in dialogue.objects}
        guides = has_texts or bool(image.captions or image.descriptions)
        places: dict[int, int] = {}
        kept: list[AnnotatedObject] = []
        seen: dict[object, int] = {}
        is_complete = image.is_complete
        for number, item in enumerate(self._clipped(image)):
            if item is None:
                x1, y1, x2, y2 = image.objects[number].bbox
                # One that lies outside is not in the image; a bad one may be.
                is_complete &= -math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf
                continue
            if item.category is None and item.phrase is None and not guides and number not in spoken_of:
                self._drop(image, "has neither a category nor a phrase", item.source_id)
                is_complete = False
                continue
            # The split belongs to it: official counts hold even where a source has an object in two parts.
            what = (item.bbox, item.category, item.phrase, item.polygon, item.split)
            first = seen.setdefault(what, number)
            if first != number and number not in spoken_of:
                name = image.objects[first].source_id
                self._drop(image, f"is object {name} again: the same box, category and phrase", item.source_id)
                continue
            places[number] = len(kept)
            kept.append(item)
        dialogues = tuple(self._dialogues(image, places))
        return replace(image, objects=tuple(kept), is_complete=is_complete, dialogues=dialogues)

    def _clipped(self, image: AnnotatedImage) -> Iterable[AnnotatedObject | None]:
        """The objects with their boxes cut at the image; None for one that lies outside."""
        if not (image.width and image.height):
            return image.objects
        boxes = [item.bbox for item in image.objects]
        if all(x1 >= 0 and y1 >= 0 and x2 <= image.width and y2 <= image.height for x1, y1, x2, y2 in boxes):
            return image.objects
        try:
            clipped, count = clip_boxes(boxes, image.width, image.height)
        except BoxError:
            return [self._clipped_alone(image, item) for item in image.objects]
        self._losses.change(CLIPPED, count)
        rows: list[list[float]] = clipped.tolist()
        return [
            replace(item, bbox=(x1, y1, x2, y2)) for item, (x1, y1, x2, y2) in zip(image.objects, rows, strict=True)
        ]

    def _clipped_alone(self, image: AnnotatedImage, item: AnnotatedObject) -> AnnotatedObject | None:
        try:
            clipped, count = clip_boxes([item.bbox], image.width or 0, image.height or 0)
        except BoxError as error:
            self._drop(image, error.message, item.source_id, kind=BoxError)
            return None
        self._losses.change(CLIPPED, count)
        x1, y1, x2, y2 = clipped[0].tolist()
        return replace(item, bbox=(x1, y1, x2, y2)) if count else item

    def _dialogues(self, image: AnnotatedImage, places: dict[int, int]) -> Iterable[Dialogue]:
        for number, dialogue in enumerate(image.dialogues):
            if all(place in places for place in dialogue.objects):
                yield replace(dialogue, objects=tuple(places[place] for place in dialogue.objects))
            else:
                self._drop(image, "speaks of an object that was left out", field=f"dialogues[{number}]")

    def _drop(
        self,
        image: AnnotatedImage,
        message: str,
        item: str | None = None,
        *,
        field: str | None = None,
        kind: type[RecordError] = RecordError,
    ) -> None:
        place = field if item is None else "objects"
        self._losses.drop(kind(message, record=image.source_id if item is None else item, field=place))
