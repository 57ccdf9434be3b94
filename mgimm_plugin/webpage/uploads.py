"""Images that visitors send: read within the limits, and handed to the drawing component without loss."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from mgimm_plugin.data.images import decode_image
from mgimm_plugin.errors import ImageError, ImageTooLargeError
from mgimm_plugin.webpage.session import Limits

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HIDDEN = "browsers do not show it"


def is_shown_by_browsers(image: Image.Image) -> bool:
    """Whether the file that ``open_upload`` read is one that browsers show: TIFF is not."""
    return not image.info.get(_HIDDEN)


def open_upload(path: str, limits: Limits) -> Image.Image:
    """Read an upload as RGB, turned as a browser shows it.

    Args:
        path: The file that the page's server keeps; visitors are told its name only.
        limits: What the page takes; they hold before a pixel is decoded.

    Raises:
        ImageError: It is gone, of another format, too large or broken.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageError("the image is no longer here, uploads are kept for half an hour: open it again") from error
    name = Path(path).name
    try:
        image = decode_image(content, name=name, max_pixels=limits.pixels)
    except ImageTooLargeError as error:  # its advice is for a command line
        raise ImageError(f"image {name} has more than {limits.pixels:,} pixels: cut it into tiles") from error
    # Pillow raises much on broken EXIF data; the picture is sound, only how it is turned is not known.
    with suppress(Exception):
        image = ImageOps.exif_transpose(image)
    image.info[_HIDDEN] = content.startswith(_TIFF)
    return image


class BodyLimit:
    """ASGI middleware that refuses a body larger than one upload may be: gradio limits each file, not their number.

    Args:
        app: What requests go on to.
        most: Bytes of a body.
    """

    def __init__(self, app: Any, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 411 or 413."""
        refusal = None
        if scope["type"] == "http" and scope["method"] == "POST":
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit():
                refusal = "a request needs its length", 411
            elif int(length) > self._most:
                refusal = f"a request may have {self._most:,} bytes", 413
        if refusal is None:
            await self._app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        await PlainTextResponse(refusal[0], status_code=refusal[1])(scope, receive, send)


@contextmanager
def as_png(image: Image.Image) -> Iterator[str]:
    """The image as a file, for as long as it takes gradio to copy it."""
    with tempfile.TemporaryDirectory(prefix="mgimm-image-") as folder:
        path = Path(folder) / "image.png"
        image.save(path, compress_level=1)
        yield str(path)
