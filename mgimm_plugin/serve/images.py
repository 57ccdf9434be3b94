"""The image of a request: from a data URL, or from the web where that is allowed. Never from a file of this machine."""

from __future__ import annotations

import base64
import binascii
import re

from PIL import Image
from starlette.concurrency import run_in_threadpool

from mgimm_plugin.data.images import decode_image
from mgimm_plugin.serve.remote import load_remote
from mgimm_plugin.serve.settings import Limits, RequestRefused

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
"""Of any type: the content tells what it is."""


async def image_bytes(url: str, field: str, limits: Limits, *, allow_remote: bool) -> bytes:
    """The bytes of an image file.

    Args:
        url: A data URL, or http(s).
        field: Where the request has it.
        limits: The server's limits.
        allow_remote: Whether http(s) is followed.

    Raises:
        RequestRefused: Anything else, or more than the limits allow.
    """
    scheme = url.partition(":")[0].lower() if ":" in url else ""
    if scheme == "data":
        return await run_in_threadpool(_decoded, url, field, limits)
    if scheme in ("http", "https"):
        if not allow_remote:
            raise RequestRefused(
                f"{field}: this server loads no images from the web; send the image as a data URL", param=field
            )
        return await load_remote(url, field, limits)
    raise RequestRefused(
        f"{field} is no data URL; send data:image/png;base64,... (files of the server are never opened)", param=field
    )


def open_request_image(content: bytes, field: str, limits: Limits) -> Image.Image:
    """Decode an image file as RGB, by its content: what the client says of its type is not relied on.

    Raises:
        ImageError: It cannot be read, is of another format, or has too many pixels.
    """
    return decode_image(content, name=field, max_pixels=limits.pixels)


def _decoded(url: str, field: str, limits: Limits) -> bytes:
    head = _DATA_URL.match(url[:64])
    if head is None:
        raise RequestRefused(
            f"{field} must start with data:image/jpeg;base64, (or png, or tiff)", param=field, code="invalid_image_url"
        )
    if (len(url) - head.end()) * 3 // 4 > limits.image_bytes + 2:
        raise RequestRefused(
            f"{field}: the image has more than {limits.image_bytes} bytes; send a smaller one",
            status=413, param=field, code="image_too_large",
        )  # fmt: skip
    try:
        content = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestRefused(f"{field} is not base64: {error}", param=field, code="invalid_base64") from error
    if not content:
        raise RequestRefused(f"{field} holds no image: nothing follows 'base64,'", param=field)
    return content
