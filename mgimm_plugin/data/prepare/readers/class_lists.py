"""Names of classes as they lie beside labels: ``classes.txt``, ``*.names``, ``data.yaml``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mgimm_plugin.data.prepare.reading import is_hidden, read_text
from mgimm_plugin.errors import RecordError

_NUMBERED: Final = re.compile(r"\s*['\"]?(\d{1,6})['\"]?\s*:\s*(.*)", flags=re.DOTALL)
_LIST: Final = re.compile(r"(^|[-_.])(classes|labels|class_names|names)$")


def is_class_list(path: Path) -> bool:
    """Whether a text file is a list of classes: by its name, ``classes.txt`` or ``simd-classes.txt``, and its lines.

    Raises:
        RecordError: It has such a name, and cannot be read.
    """
    return _is_named_so(path) and not _has_labels(read_text(path))


def find_classes(inputs: Sequence[Path]) -> list[str]:
    """Names of classes by their number, from a list in the folders of the inputs or one above; or nothing.

    What is called just as lists are (``classes.txt``, ``*.names``, ``data.yaml``) comes before what is called nearly so
    (``simd-classes.txt``), and that before any other YAML; of equals, the nearest folder's. A file of labels is no
    list, whatever its name.

    Raises:
        RecordError: The list cannot be read, or has a blank line among its names.
    """
    folders = [path if path.is_dir() else path.parent for path in inputs]
    places = dict.fromkeys(place for near in folders for place in (near, near.absolute().parent))
    lists: list[Path] = []
    for place in places:
        named = (path for path in place.glob("*") if is_yaml(path) or _is_named_so(path))
        beside = [path for path in named if path.is_file() and not is_hidden(path.name)]
        lists += sorted(beside, key=lambda path: (is_yaml(path), path))
    for path in sorted(lists, key=_rank):
        text = read_text(path)
        if not is_yaml(path) and _has_labels(text):
            continue
        names = (yaml_names if is_yaml(path) else class_lines)(text, path)
        if names:
            return names
    return []


def _is_named_so(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix == ".names" or (suffix == ".txt" and _LIST.search(path.stem.lower()) is not None)


def _rank(path: Path) -> int:
    """0 for the very names of lists, 1 for those that end so (``street_names.txt``, too), 2 for YAML of any name."""
    if is_yaml(path):
        return 0 if path.stem.lower() == "data" else 2
    return 0 if path.suffix.lower() == ".names" or _LIST.fullmatch(path.stem.lower()) else 1


def _has_labels(text: str) -> bool:
    """Whether some line has the numbers of a box, which no list of classes has."""
    return any(sum(map(_is_number, re.split(r"[\s,()]+", line))) >= 4 for line in text.splitlines())


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, flags=re.I) is not None


def class_lines(text: str, path: Path) -> list[str]:
    """Names of classes, one a line, by their number from 0; blank lines at the end are none.

    Lines may have their number before the name (``0: ship``), then all of them.

    Raises:
        RecordError: A line before the end is blank, or some lines have numbers and others none: what number the names
            have is not known.
    """
    names = [line.strip() for line in text.rstrip().splitlines()]
    if "" in names:
        number = names.index("") + 1
        raise RecordError(
            f"line {number} is blank, so that the numbers of the classes after it are not known: remove the line, or "
            "write a name there",
            file=path,
        )
    numbered = [_NUMBERED.fullmatch(name) is not None for name in names]
    if not any(numbered):
        return names
    if not all(numbered):
        number = numbered.index(False) + 1
        raise RecordError(
            f"line {number} has no number before its name, and others have: number all or none", file=path
        )
    return _by_number(names, path)


def is_yaml(path: Path) -> bool:
    """Whether a file is YAML, by its name."""
    return path.suffix.lower() in (".yaml", ".yml")


def yaml_names(text: str, path: Path) -> list[str]:
    """The list ``names`` of a YOLO data file: in brackets, one a line, or one a line with its number before it.

    Returns:
        Names by their number; nothing where the file has no such list.

    Raises:
        RecordError: The numbers have a gap.
    """
    found = re.search(r"^names[ \t]*:[ \t]*(\[[^\]]*\]|\{[^}]*\})?", text, flags=re.MULTILINE)
    if found is None:
        return []
    if found[1]:
        items = found[1][1:-1].split(",")
        if not items[-1].strip():  # a comma after the last
            items.pop()
    else:
        items = []
        for line in text[found.end() :].splitlines()[1:]:
            if line.strip() and not re.match(r"\s+\S|-", line):
                break
            if line.strip() and not line.lstrip().startswith("#"):
                items.append(re.sub(r"^-\s*", "", line.strip()))
    return [re.sub(r"\s#.*", "", name).strip().strip("'\"") for name in _by_number(items, path)]


def _by_number(items: Sequence[str], path: Path) -> list[str]:
    """Names by the number before them, or else by their place."""
    names: dict[int, str] = {}
    for position, item in enumerate(items):
        match = _NUMBERED.fullmatch(item)
        number, name = (int(match[1]), match[2]) if match else (position, item)
        names[number] = name
    if sorted(names) != list(range(len(items))):
        raise RecordError("the classes are not numbered from 0 without a gap, each once", file=path)
    return [names[number] for number in range(len(names))]
