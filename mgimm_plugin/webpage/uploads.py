"""Images that visitors send: read within the limits, and handed to the drawing component without loss."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps

from mgimm_plugin.data.images import decode_image
from mgimm_plugin.errors import ImageError
from mgimm_plugin.webpage.session import Limits


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
    image = decode_image(content, name=Path(path).name, max_pixels=limits.pixels)
    return ImageOps.exif_transpose(image)


@contextmanager
def as_png(image: Image.Image) -> Iterator[str]:
    """The image as a file, for as long as it takes gradio to copy it."""
    with tempfile.TemporaryDirectory(prefix="mgimm-image-") as folder:
        path = Path(folder) / "image.png"
        image.save(path, compress_level=1)
        yield str(path)
