"""Requests that are wrong, one way each, and what has to be said of them."""

import base64
import io
import json
import struct
import zlib

from PIL import Image

from mgimm_plugin.serve.settings import Limits
from tests.serve.conftest import data_url, user

LIMITS = Limits(
    body_bytes=200_000,
    body_values=20_000,
    image_bytes=40_000,
    pixels=100_000,
    boxes=8,
    prompt_chars=4_000,
    messages=9,
    new_tokens=64,
)
PICTURE = data_url(Image.new("RGB", (40, 30), "green"))
GOOD = {"model": "tiny", "messages": [user("What?", PICTURE)], "max_tokens": 4}


def with_image(content, kind="png"):
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {**GOOD, "messages": [user("What?", url)]}


def with_url(url):
    return {**GOOD, "messages": [user("What?", url)]}


def with_boxes(*boxes, text="What?"):
    return {**GOOD, "regions": list(boxes), "messages": [user(text, PICTURE)]}


def chunk(kind, content):
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_says(width, height):
    """A PNG whose header promises more pixels than it has bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def png_that_ends_with(kind, content=b""):
    """A sound PNG with a broken chunk after its pixels."""
    return stored("PNG")[:-12] + chunk(kind, content) + chunk(b"IEND", b"")


def stored(kind, image=None, **options):
    content = io.BytesIO()
    (image or Image.effect_noise((40, 30), 60).convert("RGB")).save(content, kind, **options)
    return content.getvalue()


TURN = {"role": "user", "content": "Hello?"}
SAID = {"role": "assistant", "content": "Yes."}
URL = "messages[0].content[1].image_url.url"
BOX = "regions[0].bbox"

# name: (request, status, the field or words that the reason has)
REQUESTS = {
    "no model": ({"messages": [TURN]}, 400, "model is missing"),
    "another model": ({**GOOD, "model": "gpt-4o"}, 404, "tiny"),
    "model is a number": ({**GOOD, "model": 7}, 400, "model"),
    "no messages": ({"model": "tiny"}, 400, "messages is missing"),
    "empty messages": ({**GOOD, "messages": []}, 400, "messages"),
    "messages is text": ({**GOOD, "messages": "hello"}, 400, "messages"),
    "message is text": ({**GOOD, "messages": ["hello"]}, 400, "messages[0]"),
    "message without role": ({**GOOD, "messages": [{"content": "a"}]}, 400, "messages[0].role is missing"),
    "message without content": ({**GOOD, "messages": [{"role": "user"}]}, 400, "messages[0].content is missing"),
    "content is null": ({**GOOD, "messages": [{"role": "user", "content": None}]}, 400, "messages[0].content"),
    "content is empty": ({**GOOD, "messages": [{"role": "user", "content": ""}]}, 400, "no text"),
    "content has no parts": ({**GOOD, "messages": [{"role": "user", "content": []}]}, 400, "messages[0].content"),
    "unknown part": (
        {**GOOD, "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400, "messages[0].content[0]"
    ),
    "unknown role": ({**GOOD, "messages": [{"role": "tool", "content": "a"}]}, 400, "messages[0].role"),
    "assistant first": ({**GOOD, "messages": [SAID]}, 400, "messages[0].role"),
    "two of the user": ({**GOOD, "messages": [TURN, TURN]}, 400, "messages[1].role"),
    "assistant last": ({**GOOD, "messages": [TURN, SAID]}, 400, "messages must end"),
    "system alone": ({**GOOD, "messages": [{"role": "system", "content": "a"}]}, 400, "messages must end"),
    "system later": ({**GOOD, "messages": [TURN, {"role": "system", "content": "a"}]}, 400, "messages[1].role"),
    "tool calls": ({**GOOD, "messages": [TURN, {**SAID, "tool_calls": [{"id": "a"}]}, TURN]}, 400, "tool_calls is not"),
    "a refusal": ({**GOOD, "messages": [TURN, {**SAID, "refusal": "No."}, TURN]}, 400, "messages[1].refusal is not"),
    "too many messages": ({**GOOD, "messages": [TURN, SAID] * 5 + [TURN]}, 400, "limit of 9"),
    "too many characters": ({**GOOD, "messages": [user("a" * 4001)]}, 400, "limit of 4000"),
    "too many tokens": ({**GOOD, "messages": [user("ŷ" * 600)]}, 400, "messages: the question takes"),
    "too many tokens in all": ({**GOOD, "messages": [user("ŷ" * 600)]}, 400, "context has 512; send less of the "
        "conversation or lower max_tokens"),
    "too many completion tokens": ({**GOOD, "messages": [user("ŷ" * 600)], "max_completion_tokens": 9}, 400,
        "lower max_completion_tokens"),
    "unknown field": ({**GOOD, "tools": []}, 400, "tools is not supported"),
    "several answers": ({**GOOD, "n": 2}, 400, "n:"),
    "temperature is text": ({**GOOD, "temperature": "0.2"}, 400, "temperature"),
    "temperature below zero": ({**GOOD, "temperature": -1}, 400, "temperature"),
    "temperature too high": ({**GOOD, "temperature": 99}, 400, "temperature"),
    "temperature too low": ({**GOOD, "temperature": 1e-300}, 400, "temperature: use 0 for greedy, or at least 0.01"),
    "top_p": ({**GOOD, "top_p": 0.5}, 400, "top_p"),
    "max_tokens is zero": ({**GOOD, "max_tokens": 0}, 400, "max_tokens"),
    "max_tokens is a fraction": ({**GOOD, "max_tokens": 1.5}, 400, "max_tokens"),
    "max_tokens is true": ({**GOOD, "max_tokens": True}, 400, "max_tokens"),
    "max_tokens too high": ({**GOOD, "max_tokens": 65}, 400, "limit of 64"),
    "too many stops": ({**GOOD, "stop": ["a"] * 5}, 400, "stop"),
    "empty stop": ({**GOOD, "stop": ""}, 400, "stop"),
    "stop is a number": ({**GOOD, "stop": 3}, 400, "stop"),
    "stream is text": ({**GOOD, "stream": "yes"}, 400, "stream"),
    "two images": ({**GOOD, "messages": [{"role": "user", "content": [
        *user("a", PICTURE)["content"], user("b", PICTURE)["content"][1]]}]}, 400, "2 images"),
    "image by the assistant": ({**GOOD, "messages": [
        TURN, {**user("a", PICTURE), "role": "assistant"}, TURN]}, 400, "messages[1].content[1].image_url.url"),
    "image_url is text": ({**GOOD, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": PICTURE}]}]}, 400, "messages[0].content[0].image_url"),
    "image without words": ({**GOOD, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": PICTURE}}]}]}, 400, "no text"),
    "image token without image": ({**GOOD, "messages": [user("<image>\nWhat?")]}, 400, "no image"),
    "two image tokens": ({**GOOD, "messages": [user("<image><image>", PICTURE)]}, 400, "2 <image> tokens"),
    "region token by the assistant": (
        {**GOOD, "messages": [TURN, {**SAID, "content": "<region>"}, TURN]}, 400, "messages[1].content"
    ),
    "file": (with_url("file:///etc/passwd"), 400, URL),
    "bare path": (with_url("/etc/passwd"), 400, URL),
    "relative path": (with_url("../../images/a.png"), 400, URL),
    "windows path": (with_url("C:\\images\\a.png"), 400, URL),
    "path of an example": (with_url("playground/examples/images/000000.jpg"), 400, URL),
    "ftp": (with_url("ftp://example.com/a.png"), 400, URL),
    "web while it is off": (with_url("https://example.com/a.png"), 400, "from the web"),
    "metadata address": (with_url("http://169.254.169.254/latest"), 400, URL),
    "empty url": (with_url(""), 400, URL),
    "data of text": (with_url("data:text/plain;base64,aGVsbG8="), 400, URL),
    "pixels as fractions": ({**with_boxes([0, 0, 5, 5]), "box_units": "fractions"}, 400, BOX),
    "data without base64": (with_url("data:image/png,abc"), 400, URL),
    "broken base64": (with_url("data:image/png;base64,@@@@"), 400, "base64"),
    "nothing in it": (with_url("data:image/png;base64,"), 400, "no image"),
    "no image at all": (with_image(b"hello, this is no image"), 400, URL),
    "truncated PNG": (with_image(stored("PNG")[:900]), 400, URL),
    "truncated JPEG": (with_image(stored("JPEG")[:500], "jpeg"), 400, URL),
    "truncated TIFF": (with_image(stored("TIFF")[:60], "tiff"), 400, URL),
    "GIF named PNG": (with_image(stored("GIF")), 400, URL),
    "SVG named PNG": (with_image(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 400, URL),
    "EPS named PNG": (with_image(stored("EPS")), 400, URL),
    "16 bits a channel": (with_image(stored("PNG", Image.new("I;16", (9, 9)))), 400, "8 bits"),
    "PNG with an empty gAMA": (with_image(png_that_ends_with(b"gAMA")), 400, URL),
    "PNG with an empty tRNS": (with_image(png_that_ends_with(b"tRNS")), 400, URL),
    "PNG with an odd cHRM": (with_image(png_that_ends_with(b"cHRM", b"abc")), 400, URL),
    "bomb": (with_image(stored("PNG", Image.new("L", (4000, 4000)))), 400, "limit of 100000; send it smaller, or cut"),
    "promised bomb": (with_image(png_that_says(60_000, 60_000)), 400, "limit of 100000"),
    "too elongated": (with_image(stored("PNG", Image.new("L", (50_000, 1)))), 400, "pixels; send it smaller, or cut"),
    "image too large": (with_image(b"\x89PNG" + b"\0" * 41_000), 413, "40000 bytes"),
    "box of three": (with_boxes([1, 2, 3]), 400, BOX),
    "box of five": (with_boxes([1, 2, 3, 4, 5]), 400, BOX),
    "box of text": (with_boxes(["a", 2, 3, 4]), 400, f"{BOX}[0]"),
    "box of nulls": (with_boxes([None] * 4), 400, f"{BOX}[0]"),
    "box is text": (with_boxes("1,2,3,4"), 400, "regions[0]"),
    "box without numbers": (with_boxes({"label": "tank"}), 400, f"{BOX} is missing"),
    "box with more": (with_boxes({"bbox": [1, 2, 3, 4], "angle": 3}), 400, "regions[0].angle"),
    "label too long": (with_boxes({"bbox": [1, 2, 3, 4], "label": "a" * 201}), 400, "regions[0].label"),
    "reversed box": (with_boxes([9, 2, 3, 4]), 400, "x1 < x2"),
    "empty box": (with_boxes([3, 2, 3, 4]), 400, "x1 < x2"),
    "box outside": (with_boxes([400, 2, 500, 4]), 400, "outside the 40x30 image"),
    "second box outside": (with_boxes([1, 2, 3, 4], [400, 2, 500, 4]), 400, "regions[1].bbox"),
    "huge box": (with_boxes([0, 0, 10**400, 4]), 400, BOX),
    "too many boxes": (with_boxes(*[[1, 2, 3, 4]] * 9), 400, "limit of 8"),
    "fewer tokens than boxes": (with_boxes([1, 2, 3, 4], [1, 2, 5, 6], text="<region>\nWhat?"), 400, "2 boxes"),
    "more tokens than boxes": (with_boxes([1, 2, 3, 4], text="<region> and <region>?"), 400, "1 boxes"),
    "boxes without image": ({**GOOD, "messages": [TURN], "regions": [[1, 2, 3, 4]]}, 400, "boxes"),
    "unknown unit": ({**with_boxes([1, 2, 3, 4]), "box_units": "feet"}, 400, "box_units"),
}  # fmt: skip


NAN = json.dumps({**GOOD, "regions": [[0, 0, 9, 9]]}).replace("[[0,", "[[NaN,")
DEEP = '{"model": "tiny", "messages": ' + "[" * 50_000 + "]" * 50_000 + "}"

# name: (body, content type, status, reason)
BODIES = {
    "not JSON": (b"hello", "application/json", 400, "not JSON"),
    "nothing": (b"", "application/json", 400, "not JSON"),
    "cut off": (b'{"model": "ti', "application/json", 400, "not JSON"),
    "a list": (b"[]", "application/json", 400, "the body"),
    "null": (b"null", "application/json", 400, "the body"),
    "not UTF-8": (b'{"model": "\xff\xfe"}', "application/json", 400, "not JSON"),
    "NaN": (NAN.encode(), "application/json", 400, BOX),
    "infinity": (NAN.replace("NaN", "-Infinity").encode(), "application/json", 400, BOX),
    "deep": (b'{"model": ' + b"[" * 5_000, "application/json", 400, "not JSON"),
    "deeper": (DEEP.encode(), "application/json", 413, "commas and brackets"),
    "many wrong messages": (b'{"messages": [' + b"[]," * 60_000 + b"[]]}", "application/json", 413, "commas"),
    "many boxes": (b'{"regions": [' + b"[0,0,9,9]," * 10_000 + b"[]]}", "application/json", 413, "commas"),
    "giant": (b'"' + b"a" * 200_001, "application/json", 413, "200000 bytes"),
    "text": (json.dumps(GOOD).encode(), "text/plain", 415, "application/json"),
    "form": (b"model=tiny", "application/x-www-form-urlencoded", 415, "application/json"),
    "no type": (json.dumps(GOOD).encode(), "", 415, "application/json"),
}
