"""Self-contained HTML pages: their templates, and the pictures inside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from PIL import Image

from mgimm_plugin.errors import MissingExtraError

_JPEG_QUALITY = 82


def load_template(package: str, name: str, *, extra: str, purpose: str, **filters: Callable[..., Any]) -> Any:
    """Load a template that escapes what it is given and refuses names that it is not given.

    Args:
        package: Where the file is.
        name: The file.
        extra: The extra that brings jinja2 for this page.
        purpose: What needs it, for the error.
        **filters: The template's own filters.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", extra, purpose) from error
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= filters
    return environment.from_string(files(package).joinpath(name).read_text(encoding="utf-8"))


def jpeg_url(picture: Image.Image) -> str:
    """An RGB picture as a URL that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
