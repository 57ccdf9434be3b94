"""Opening images and turning them into what the vision tower takes."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, UnidentifiedImageError

from mgimm_plugin.constants import ASPECT_RATIO_MODES, DEFAULT_MAX_PIXELS
from mgimm_plugin.errors import ImageError, ImageTooLargeError, MgimmError
from mgimm_plugin.geometry import shortest_edge_size

if TYPE_CHECKING:
    import torch

_RAISE_THE_LIMIT = "raise max_pixels (--max-pixels) if that is right, or cut it into tiles"
_limit_lock = threading.RLock()

SENT_FORMATS = ("JPEG", "PNG", "TIFF")
"""What is read of strangers, by content. Pillow has formats that start programs (EPS), or were written for few eyes."""

_EIGHT_BIT_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)


def check_image_folder(folder: Path | None) -> None:
    """Say once that a folder which the user named is not there, where each record would say it again.

    Raises:
        MgimmError: It is no folder.
    """
    if folder is not None and not folder.is_dir():
        raise MgimmError(f"the image folder {folder} {'is a file' if folder.exists() else 'does not exist'}")


def open_image(path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Read an image file as RGB.

    Pixels are kept as they are stored: an EXIF orientation is not applied, because boxes are drawn on stored pixels.

    Args:
        path: The file.
        max_pixels: Refuse an image with more pixels than this before it is decoded.

    Raises:
        ImageError: The file is missing, no image, truncated, too large, or has more than 8 bits a channel.
    """
    with _opened(path, max_pixels) as image:
        return to_rgb(image, name=str(path))


def decode_image(content: bytes, *, name: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Read the bytes of an image file that a stranger sent as RGB: one of ``SENT_FORMATS``, else as ``open_image``.

    Args:
        content: The file's bytes.
        name: What errors call it.
        max_pixels: Refuse an image with more pixels than this before it is decoded.

    Raises:
        ImageError: As ``open_image``.
    """
    with _opened(io.BytesIO(content), max_pixels, name=name, formats=SENT_FORMATS) as image:
        return to_rgb(image, name=name)


def image_size(path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) in pixels of the image that ``open_image`` reads, without decoding it.

    Args:
        path: The file.
        max_pixels: Refuse an image with more pixels than this.

    Raises:
        ImageError: The file is missing, no image, or too large.
    """
    with _opened(path, max_pixels) as image:
        return image.size


@contextmanager
def _opened(
    file: str | Path | io.BytesIO, max_pixels: int, *, name: str | None = None, formats: tuple[str, ...] | None = None
) -> Iterator[Image.Image]:
    """An image file whose pixels are decoded when they are asked for; whatever is wrong with it is an ImageError."""
    path = file if name is None else name
    try:
        with _limit_of_pillow(max_pixels), Image.open(file, formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageTooLargeError(
                    f"image {path} has {width}x{height} pixels, more than the limit of {max_pixels}",
                    advice=_RAISE_THE_LIMIT,
                )
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"image {path} does not exist") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(
            f"image {path} has more pixels than the limit of {max_pixels} ({error})", advice=_RAISE_THE_LIMIT
        ) from error
    except UnidentifiedImageError as error:
        wanted = (
            f"an image of a kind that is taken ({', '.join(formats)})" if formats else "an image that Pillow can read"
        )
        raise ImageError(f"image {path} is not {wanted}; or it is truncated, or not 8 bits a channel") from error
    # What Pillow's decoders raise on broken files: OSError and SyntaxError by contract, the others by omission.
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, struct.error) as error:
        raise ImageError(f"image {path} cannot be read: {error}") from error


def to_rgb(image: Image.Image, *, name: str = "") -> Image.Image:
    """Return an image as RGB; transparency is dropped.

    Raises:
        ImageError: It has more than 8 bits a channel; what its numbers mean is for its owner to say.
    """
    kind = image.mode
    if kind in _EIGHT_BIT_MODES and _is_squeezed(image):
        kind = f"16-bit {kind}"
    if kind not in _EIGHT_BIT_MODES:
        raise ImageError(f"image {name} has pixels of type {kind}, not 8 bits a channel; convert it to 8-bit RGB")
    return image.convert("RGB")


def _is_squeezed(image: Image.Image) -> bool:
    """Whether Pillow keeps the upper 8 of 16 bits alone, as it does of color; the mode says 8 bits all the same."""
    bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, ())
    # Known until the pixels are decoded: what is decoded has no tiles left.
    return max(bits, default=8) > 8 or any(";16B" in str(args) for *_, args in getattr(image, "tile", ()))


@contextmanager
def _limit_of_pillow(max_pixels: int) -> Iterator[None]:
    """Lift Pillow's own limit on the number of pixels while a larger one of ours holds.

    Pillow has no argument for it: its limit is a documented setting of the process, looked at on opening and, for TIFF,
    again on decoding.
    """
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        # Our own limit says the same as an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        if before is None or max_pixels <= 2 * before:
            yield
            return
        with _limit_lock:
            Image.MAX_IMAGE_PIXELS = None
            try:
                yield
            finally:
                Image.MAX_IMAGE_PIXELS = before


def frame_size_of(image_processor: Any) -> int:
    """Return the side in pixels of the square that a ``CLIPImageProcessor`` hands to the tower.

    Raises:
        MgimmError: It does not resize to the square that it crops, so that no rule says where a box lands.
    """
    crop = image_processor.crop_size
    shortest_edge = image_processor.size["shortest_edge"]
    if not crop["height"] == crop["width"] == shortest_edge:
        raise MgimmError(
            f"the image processor resizes the shorter side to {shortest_edge} and crops "
            f"{crop['width']}x{crop['height']}; the three must be one number"
        )
    return int(shortest_edge)


def preprocess_image(
    image: Image.Image,
    image_processor: Any,
    mode: str,
    grid_pinpoints: Any = None,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> torch.Tensor:
    """Turn an image into the vision tower's input; ``geometry.frame_for`` says where its pixels land.

    Args:
        image: An RGB image.
        image_processor: A ``CLIPImageProcessor``.
        mode: ``pad``, ``resize``, ``square`` or ``anyres``, as in ``geometry.frame_for``.
        grid_pinpoints: ``(width, height)`` of the canvases ``anyres`` may choose from (LLaVA's name for them).
        max_pixels: Refuse an image so elongated that padding or resizing it would need more pixels than this.

    Returns:
        ``[3, S, S]`` float32, or ``[V, 3, S, S]`` for ``anyres``, the base view first.

    Raises:
        ImageError: The image is too elongated for this mode.
        MgimmError: The mode is unknown, or ``anyres`` lacks its ``grid_pinpoints``.
    """
    size = frame_size_of(image_processor)
    if mode == "pad":
        _check_work(image, (max(image.size), max(image.size)), mode, max_pixels)
        return _apply(image_processor, _pad_to_square(image, image_processor.image_mean))
    if mode == "resize":
        return _apply(image_processor, image.resize((size, size), Image.Resampling.BICUBIC))
    if mode == "square":
        _check_work(image, shortest_edge_size(*image.size, size), mode, max_pixels)
        return _apply(image_processor, image)
    if mode == "anyres":
        if not grid_pinpoints:
            raise MgimmError("image_aspect_ratio anyres needs image_grid_pinpoints in the model's config")
        from llava.mm_utils import process_anyres_image

        # A text such as "[(336, 672)]" or a list, but no tuple, is what LLaVA takes.
        canvases = grid_pinpoints if isinstance(grid_pinpoints, str) else list(grid_pinpoints)
        return process_anyres_image(image, image_processor, canvases)
    raise MgimmError(f"image_aspect_ratio is {mode!r}; it must be one of {', '.join(ASPECT_RATIO_MODES)}")


def _apply(image_processor: Any, image: Image.Image) -> torch.Tensor:
    return image_processor.preprocess(image, return_tensors="pt")["pixel_values"][0]


def _pad_to_square(image: Image.Image, image_mean: tuple[float, ...]) -> Image.Image:
    """Centre the image on a square canvas of the processor's mean colour, which the tower sees as zeros."""
    if image.width == image.height:
        return image
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), tuple(int(mean * 255) for mean in image_mean))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def _check_work(image: Image.Image, needed_size: tuple[int, int], mode: str, max_pixels: int) -> None:
    width, height = needed_size
    if width * height > max(max_pixels, image.width * image.height):
        raise ImageTooLargeError(
            f"an image of {image.width}x{image.height} pixels is too elongated for image_aspect_ratio {mode}, "
            f"which makes it {width}x{height}, more than the limit of {max_pixels} pixels",
            advice=_RAISE_THE_LIMIT,
        )
