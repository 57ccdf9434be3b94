"""Broken annotation files of every format end in good boxes or in a named error, whatever was done to them.

``MGIMM_FUZZ=10000 pytest tests/data/prepare/test_fuzz.py`` tries that many; each is the same in every run.
"""

import json
import math
import os
import random
import re
from pathlib import Path

import pytest

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.building import FILES as FILE_OF_FORMAT
from mgimm_plugin.data.prepare.converting import Conversion, convert
from mgimm_plugin.data.prepare.source import get_source_format, source_formats
from mgimm_plugin.data.records import read_records
from mgimm_plugin.errors import MgimmError, RecordError
from tests.data.prepare.samples import SAMPLES

FORMATS = sorted(source_formats())
FILE_NAMES = frozenset(FILE_OF_FORMAT.values())
COUNT = max(1, int(os.environ.get("MGIMM_FUZZ", "600")) // len(FORMATS))

VALUES = (
    None, True, False, 0, -1, 1, 3.5, -0.0, 1e308, -1e308, 5e-324, 10**400, -(10**30), math.nan, math.inf, -math.inf,
    "", " ", "NaN", "1e999", "-5", "٣", "<region>", "<image>", "\ud800", "\0", "../../x", "/", "..", "C:", "é" * 300,
    [], {}, [[]], [None], [1, 2, 3, 4], [4, 3, 2, 1], [[1, 2], [3, 4]], {"id": 1}, [[[[[1]]]]], {"": {"": ""}},
)  # fmt: skip
WORDS = (
    b"nan", b"inf", b"-inf", b"1e400", b"-99999999999999999999", b"", b"0", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"<", b">", b"&x;", b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"[" * 3000, b'{"a":' * 3000, b"<a>" * 3000, b"9" * 5000,
    b"{<1><2><3><4>", b"<box>[[1,2,3,4]]</box>", b"<p>", b"</p>", b"[SEG]", b"<delim>", b"\r", b"\x0b",
    b"\xe2\x80\xa8", b'"', b"'", b",", b"\n",
)  # fmt: skip
FILES = (b"", b"\n", b"\x89PNG\r\n\x1a\n", b"null", b"[]", b"{}", b"[{}]", b"<a/>", b"<annotation/>")


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_or_doubled(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[start:end] * rng.choice((0, 2)) + data[end:]


def inserted(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(WORDS) + data[place:]


def replaced_number(data: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not numbers:
        return b""
    match = rng.choice(numbers)
    return data[: match.start()] + rng.choice(WORDS) + data[match.end() :]


def swapped(data: bytes, rng: random.Random) -> bytes:
    """Two words, tags or numbers change places."""
    parts = re.split(rb"([\w.\-]+)", data)
    if len(parts) > 4:
        first, second = (rng.randrange(1, len(parts), 2) for _ in range(2))
        parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts)


def recoded(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "cp500", "utf-7", "utf-8-sig")), "replace")


def garbage(data: bytes, rng: random.Random) -> bytes:
    return rng.choice(
        (b"", b"\n", rng.randbytes(rng.randrange(400)), b"\x89PNG\r\n\x1a\n", b"null", b"[]", b"{}", b"<a/>")
    )


def json_value(data: bytes, rng: random.Random) -> bytes:
    """A value of the JSON, anywhere in it, becomes another."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        lines = data.split(b"\n")
        if len(lines) < 2 or b"{" not in data:
            return swapped(data, rng)
        place = rng.randrange(len(lines))
        return b"\n".join([*lines[:place], json_value(lines[place], rng), *lines[place + 1 :]])
    places = []
    below = [root]
    while below:
        holder = below.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                below.append(holder[key])
    for _ in range(rng.choice((1, 1, 1, 3))):
        holder, key = rng.choice(places)
        if isinstance(holder, dict) and rng.random() < 0.2:
            holder[str(rng.choice(VALUES))] = holder.pop(key, None)
        else:
            other, other_key = rng.choice(places)
            value = rng.choice((rng.choice(VALUES), _value(other, other_key)))
            if isinstance(holder, dict) or key < len(holder):
                holder[key] = json.loads(json.dumps(value))
    return json.dumps(root[0]).encode()


def _value(holder, key):
    try:
        return holder[key]
    except (KeyError, IndexError):
        return None


MUTATIONS = (
    truncated,
    flipped,
    cut_or_doubled,
    inserted,
    replaced_number,
    swapped,
    recoded,
    garbage,
    json_value,
    json_value,
    replaced_number,
)


def mutated(name: str, number: int) -> tuple[str, dict[str, bytes]]:
    """The files of a sample with one of them changed; what was done to which."""
    rng = random.Random(f"{name} {number}")
    files = dict(SAMPLES[name].files)
    victim = rng.choice(sorted(files))
    done = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        mutation = rng.choice(MUTATIONS)
        files[victim] = mutation(files[victim], rng)
        done.append(mutation.__name__)
    return f"{victim}: {', '.join(done)}", files


def check(image: AnnotatedImage) -> None:
    """What is promised of everything that a reader yields."""
    assert image.source_id
    assert image.source_id.encode()
    assert (image.width is None) == (image.height is None)
    assert image.width is None or (image.width > 0 and image.height > 0)
    if image.file_name is not None:
        assert not image.file_name.startswith("/")
        assert ".." not in image.file_name.split("/")
    for item in image.objects:
        x1, y1, x2, y2 = item.bbox
        assert all(map(math.isfinite, item.bbox))
        assert x1 < x2
        assert y1 < y2
        assert max(map(abs, item.bbox)) < 1e8
        points = item.polygon
        assert points is None or len(points) >= 3
        assert all(abs(coordinate) < 1e8 for point in points or () for coordinate in point)
    for dialogue in image.dialogues:
        tokens = sum(turn.value.count("<region>") for turn in dialogue.turns)
        assert tokens == len(dialogue.objects)
        assert all(0 <= place < len(image.objects) for place in dialogue.objects)
    extras = [holder.extra for holder in (image, *image.objects, *image.dialogues)]
    json.dumps([image.captions, image.descriptions, *extras], allow_nan=False, ensure_ascii=False).encode()


def test_every_format_has_a_sample():
    assert sorted(SAMPLES) == FORMATS


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"dior-rsvg", "mgimm"}))
def test_every_format_is_described(name):
    text = Path(__file__).parents[3].joinpath("docs", "source_formats.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_file_ends_in_good_boxes_or_in_a_named_error(name, tmp_path):
    for number in range(COUNT):
        what, files = mutated(name, number)
        shown = f"{name} {number}: {what}: {files[what.split(': ')[0]][:3000]!r}"
        source = SAMPLES[name].write(tmp_path / str(number), files)
        try:
            for image in get_source_format(name).read(source):
                check(image)
        except RecordError:
            continue
        except Exception as error:
            raise AssertionError(shown) from error
        assert all(isinstance(error, RecordError) and str(error) for error in source.losses.dropped), shown


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_file_is_converted_or_refused_by_name(name, tmp_path):
    for number in range(0, COUNT, 10):
        what, files = mutated(name, number)
        source = SAMPLES[name].write(tmp_path / str(number), files)
        output = tmp_path / f"{number}.set"
        try:
            convert(Conversion(source_format=name, source=source, output=output, progress=False))
        except MgimmError:
            continue
        except Exception as error:
            raise AssertionError(f"{name} {number}: {what}: {files[what.split(': ')[0]][:3000]!r}") from error
        for path in output.rglob("*.jsonl"):
            if path.name in FILE_NAMES:
                assert list(read_records(path))
