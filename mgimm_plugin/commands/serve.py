"""``mgimm serve``: the endpoint, on one address."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from mgimm_plugin.commands.loading import load_predictor
from mgimm_plugin.errors import MissingExtraError
from mgimm_plugin.serve.hosts import check_address, host_guards, is_loopback
from mgimm_plugin.serve.settings import usable_key

logger = logging.getLogger(__name__)


def run(
    model: str | None,
    base: str | None,
    *,
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    api_key: str | None,
    allow_remote_images: bool,
    device: str | None,
    dtype: str | None,
    batch_size: int,
    queue_length: int,
    max_pixels: int,
) -> None:
    """Load a model and serve it until interrupted.

    Args:
        model: Folder or Hub id; None takes the bundled one.
        base: Base model of an adapter or LoRA checkpoint.
        host: Address to listen on.
        port: Port to listen on.
        allowed_hosts: Names that a proxy before the server is known by.
        api_key: Asked of every client.
        allow_remote_images: Whether http(s) images are loaded.
        device: Such as ``cpu`` or ``cuda``.
        dtype: Such as ``float32``.
        batch_size: Requests answered together.
        queue_length: Requests that may wait.
        max_pixels: Larger images are refused.

    Raises:
        MissingExtraError: The packages of ``[serve]`` are not installed.
        SettingError: One of ``allowed_hosts`` is no host name, or the API key is one that no client can send.
        MgimmError: The address is taken, or the model cannot be loaded.
    """
    try:
        import fastapi  # noqa: F401 - told by its extra's name before a model is loaded
        import httpx  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "mgimm serve") from error
    api_key = usable_key(api_key)  # told before a model is loaded
    if not is_loopback(host) and api_key is None:
        logger.warning("everybody who reaches %s may ask: set MGIMM_API_KEY to ask for a key", host)
    guards = host_guards(host, allowed_hosts)
    check_address(host, port)
    predictor, loaded = load_predictor(model, base, device=device, dtype=dtype, max_pixels=max_pixels)

    from mgimm_plugin.serve.app import create_app
    from mgimm_plugin.serve.listening import listen
    from mgimm_plugin.serve.settings import Limits

    # A folder's place is nobody's business. abspath gives "." a name, and leaves a link the one that was chosen for it.
    name = Path(os.path.abspath(loaded)).name if Path(loaded).is_dir() else loaded
    app = create_app(
        predictor,
        name,
        limits=Limits(pixels=max_pixels, batch_size=batch_size, queue_length=queue_length),
        api_key=api_key,
        allow_remote_images=allow_remote_images,
        middleware=guards,
    )
    listen(app, host=host, port=port)
