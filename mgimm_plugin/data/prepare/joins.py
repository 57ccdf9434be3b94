"""Texts of other sources about the same images: ``--join FORMAT=PATH``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.drafting import Sourced
from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.data.prepare.splits import image_name
from mgimm_plugin.errors import RecordError


class Joined:
    """The captions and descriptions of other sources, by the name of their image; kept in memory.

    Args:
        sources: The sources by the name of their format; they share one ``Losses``.

    Attributes:
        read: Number of images read.
        matched: Number of them whose image the first source has too.
        confused: Number of images that share texts, or their name, with an image in another folder of their source.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._by_name: dict[str, list[Sourced]] = {}
        self._sources = sources
        self._taken: dict[str, str | None] = {}
        self.read = self.matched = self.confused = 0
        for name, source in sources.items():
            for image in get_source_format(name).read(source):
                self.read += 1
                self._by_name.setdefault(image_name(image), []).append(Sourced(name, image))

    def take(self, image: AnnotatedImage) -> list[Sourced]:
        """The texts about an image; each is handed out once.

        What else the other sources say of it (boxes, dialogues) is left out, and accounted for.
        """
        name = image_name(image)
        found = self._by_name.pop(name, [])
        files = {(sourced.source_format, sourced.image.file_name) for sourced in found}
        self.confused += len(files) - len({source_format for source_format, _ in files})
        if found:
            self._taken[name] = image.file_name
        elif self._taken.get(name, image.file_name) != image.file_name:
            self.confused += 1
        self.matched += len(found)
        return [sourced for sourced in found if self._has_text(sourced)]

    def rest(self) -> Iterator[Sourced]:
        """The images that nobody took, with everything that their own source says of them."""
        while self._by_name:
            yield from self._by_name.pop(next(iter(self._by_name)))

    def _has_text(self, sourced: Sourced) -> bool:
        image, losses = sourced.image, self._sources[sourced.source_format].losses
        place: dict[str, Any] = {"file": image.file, "index": image.index, "record": image.source_id}
        losses.change("box of a joined source left out: its image has those of the first source", len(image.objects))
        for number, _ in enumerate(image.dialogues):
            error = "is not joined: only captions and descriptions are"
            losses.drop(RecordError(error, **place, field=f"dialogues[{number}]"))
        if image.captions or image.descriptions:
            return True
        if not image.dialogues:
            losses.drop(RecordError("has no caption and no description to join", **place))
        return False
