"""Bad records with what is said about them, and programs run as a user runs them."""

import json
import logging
import struct
import zlib
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from mgimm_plugin.cli import app

WIDTH, HEIGHT = 90, 60
GOOD_BOX = [5, 5, 40, 30]


def png_header(width, height):
    """A few bytes that announce a picture of this size."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def record(name="good", image="good.png", box=GOOD_BOX, answer="A red tank.", question="What is it?"):
    return {
        "id": name,
        "image": image,
        "regions": [{"bbox": box, "attributes": {"color": "red", "position": "left"}}],
        "conversations": [
            {"from": "human", "value": f"<region>\n{question}"},
            {"from": "gpt", "value": answer},
        ],
    }


def without(name):
    return {key: value for key, value in record("bad").items() if key != name}


BAD_RECORDS = {
    "missing image": (record("bad", image="gone.png"), "field image: image {folder}/gone.png does not exist"),
    "truncated image": (record("bad", image="cut.png"), "field image: image {folder}/cut.png cannot be read: "),
    "no image at all": (record("bad", image="text.png"), "field image: image {folder}/text.png is not an image"),
    "image bomb": (record("bad", image="bomb.png"), "field image: image {folder}/bomb.png has more pixels than the"),
    "box beside the image": (
        record("bad", box=[95, 5, 99, 9]),
        "field regions[0].bbox: box [95, 5, 99, 9] lies outside the 90x60 image",
    ),
    "another size": (
        record("bad") | {"width": WIDTH * 2, "height": HEIGHT * 2},
        "field width: says 180x120, but image good.png has 90x60 pixels: its boxes may be in another frame",
    ),
    "box of NaN": (record("bad", box=[float("nan"), 5, 9, 9]), "field regions[0].bbox: has the number nan"),
    "reversed box": (record("bad", box=[40, 5, 5, 30]), "field regions[0].bbox: box [40, 5, 5, 30] encloses nothing"),
    "no conversation": (without("conversations"), "field conversations: is missing or empty"),
    "wrong type": (record("bad", image=7), "field image: must be a text, not 7"),
    "more tokens than regions": (
        record("bad", question="<region>?"),
        "field regions: the questions have 2 <region> tokens and there are 1 regions",
    ),
    "sequence too long": (
        record("bad", answer="tank " * 600, question="Why? " * 600),
        "tokens, images and regions included, but the model's context has 512; shorten the record",
    ),
}
EVERY_BAD_RECORD = pytest.mark.parametrize("bad", BAD_RECORDS)


def write(path, records):
    path.write_text("".join(json.dumps(item) + "\n" for item in records))
    return path


@contextmanager
def own_logging():
    """Let a program set up its logging, as it does in a process of its own; pytest's is put back."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def mgimm(*args):
    with own_logging():
        return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="mgimm")


def last_line(stderr):
    """What is said of a failure: one line, beside progress bars and warnings, and never a traceback."""
    assert "Traceback" not in stderr
    lines = [line.strip() for line in stderr.replace("\r", "\n").splitlines()]
    told = [line for line in lines if line.startswith(("error: ", "mgimm ")) or "Error: " in line]
    assert len(told) == 1, stderr
    return told[0]


def failure(result, status=1):
    assert result.exit_code == status, result.output
    return last_line(result.stderr)
