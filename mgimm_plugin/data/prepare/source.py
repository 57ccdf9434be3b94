"""What a reader is given: its inputs, the images, the user's settings, and a place to account for what is dropped."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from PIL import ExifTags, Image

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.errors import MgimmError, RecordError, SettingError

_T = TypeVar("_T")

_ORIENTATION: Final = ExifTags.Base.Orientation
_TURNING: Final = range(2, 9)  # 1 is as stored; other numbers mean nothing


@dataclass(slots=True)
class Losses:
    """Everything that did not go in as it was. Nothing is left out without an entry here.

    Attributes:
        dropped: What was left out, in the order in which it was met.
        changed: How often something went in changed, by what was done (``box clipped to the image``).
        notes: What a user of the result has to know besides, in sentences; they go into the card.
        fractions_of: Images at hand whose boxes are fractions, and whether an EXIF orientation turns them.
    """

    dropped: list[RecordError] = field(default_factory=list)
    changed: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    fractions_of: dict[str, bool] = field(default_factory=dict)

    def drop(self, error: RecordError) -> None:
        """Account for something that is left out: a file, an image, an object, a sentence."""
        self.dropped.append(error)

    def change(self, what: str, count: int = 1) -> None:
        """Account for something that goes in changed."""
        if count:
            self.changed[what] += count

    def note(self, sentence: str) -> None:
        """Tell the user of the result something; said twice, it is kept once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_turned(self) -> None:
        """Tell of images whose boxes are in fractions, which may be those of the image as a viewer turns it."""
        turned = [name for name, is_turned in self.fractions_of.items() if is_turned]
        if turned:
            self.note(
                f"Images that an EXIF orientation turns or mirrors, with boxes in fractions: {len(turned)}, the first "
                f"{turned[0]}. Their boxes were taken to be fractions of the pixels as stored, in which images are "
                "read. If your labelling tool showed them turned, these boxes are in the wrong place: turn the stored "
                "pixels (ImageMagick: mogrify -auto-orient) and convert again."
            )


@dataclass(frozen=True, slots=True)
class Source:
    """A conversion's input.

    Attributes:
        inputs: Files and folders, as the user gave them.
        images: Folder of the images, where it is at hand.
        classes: Names of classes by their number, where the source has numbers (``--classes``).
        columns: Which column of a table holds what (``--column bbox=box``).
        image_size: Width and height of all images, for a source of fractions whose images are not at hand.
        losses: Where readers account for what they leave out or change.
    """

    inputs: Sequence[Path]
    images: Path | None = None
    classes: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    losses: Losses = field(default_factory=Losses)

    def size_of(self, file_name: str) -> tuple[int, int] | None:
        """Width and height of an image, from its header; ``image_size``, or None, where it is not at hand."""
        found = None if self.images is None else header_size(self.images / file_name)
        return found or self.image_size

    def take_fractions(self, file_name: str) -> None:
        """Account for an image whose boxes are fractions: ``Losses.note_turned`` tells of those that are turned."""
        if self.images is not None and file_name not in self.losses.fractions_of:
            self.losses.fractions_of[file_name] = is_turned(self.images / file_name)


def header_size(path: Path) -> tuple[int, int] | None:
    """Width and height of an image, from its header; None where that cannot be read."""
    return _of_header(path, lambda image: image.size)


def is_turned(path: Path) -> bool:
    """Whether viewers turn or mirror an image, by the EXIF orientation in its header; not where it cannot be read."""
    # Without that entry, Pillow would decode a PNG to look behind its pixels. A TIFF it turns itself.
    orientation = _of_header(path, lambda image: image.getexif().get(_ORIENTATION) if "exif" in image.info else 1)
    return orientation in _TURNING


def _of_header(path: Path, look: Callable[[Image.Image], _T]) -> _T | None:
    try:
        with warnings.catch_warnings():
            # How large an image may be is for those to say who decode it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return look(image)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """A foreign format.

    Attributes:
        name: How the command line calls it.
        title: What it is, in a few words, for ``--help``.
        read: Yields the images of a source. A bad file, image or object goes to ``losses.drop`` and costs that alone;
            only a source that cannot be read at all is raised, as RecordError.
        citation: Whose data it is, and on which terms, where that is known; goes into the card.
    """

    name: str
    title: str
    read: Callable[[Source], Iterator[AnnotatedImage]]
    citation: str = ""


_formats: Final[dict[str, SourceFormat]] = {}


def register_source_format(source_format: SourceFormat) -> None:
    """Add a format under its name; a name that is taken is an error."""
    if _formats.setdefault(source_format.name, source_format) != source_format:
        raise MgimmError(f"a source format {source_format.name!r} is registered already")


def get_source_format(name: str) -> SourceFormat:
    """Return the format of a name.

    Raises:
        MgimmError: There is none; the message lists those that exist.
    """
    if name not in source_formats():
        raise SettingError(f"no source format {name!r}; there are {', '.join(sorted(_formats))}")
    return _formats[name]


def source_formats() -> Mapping[str, SourceFormat]:
    """All formats by name."""
    from mgimm_plugin.data.prepare import readers  # its modules register themselves

    assert readers
    return _formats
