"""Whether an annotation and an image of the same file name may belong together, by the folders that they are in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from mgimm_plugin.data.prepare.splits import split_of


class ImageFolders:
    """The folders of a source's annotations and of its images.

    Folders above both tell nothing: a set may lie in a folder named ``test``.

    Args:
        inputs: Files and folders of the source.
        images: Folder of the images.
        names: The images, relative to that folder.
    """

    def __init__(self, inputs: Sequence[Path], images: Path, names: Iterable[str]) -> None:
        folders = [os.path.abspath(item if item.is_dir() else item.parent) for item in inputs]
        root = os.path.abspath(images)
        above = os.path.commonpath([*folders, root])
        # An input may be one part of a set (labels/val), and so may the folder of images: their own names count.
        self._annotations = max(os.path.commonpath([os.path.dirname(folder) for folder in folders]), above, key=len)
        self._before = Path(os.path.relpath(root, max(os.path.dirname(root), above, key=len))).parts
        parents = {PurePosixPath(name).parent for name in names}
        self._known = {part for parent in parents for part in (*self._before, *parent.parts)}

    def of_annotation(self, path: Path) -> tuple[str, ...]:
        """The folders that an annotation file lies in, as far as they tell something."""
        return Path(os.path.relpath(os.path.abspath(path.parent), self._annotations)).parts

    def contradict(self, told: Sequence[str], name: str) -> bool:
        """Whether an image is another than the one that an annotation is about.

        It is where the folders are of different parts (``labels/val`` and ``images/train``), and where a folder of the
        annotation is there among the images, but does not hold this one (``labels/harbor`` and ``images/city``, beside
        an ``images/harbor``).

        Args:
            told: Folders that the annotation lies in or names.
            name: The image, relative to the folder of images.
        """
        folders = (*self._before, *PurePosixPath(name).parent.parts)
        parts = {split_of(told), split_of(folders)} - {None}
        return len(parts) > 1 or any(folder in self._known and folder not in folders for folder in told)
