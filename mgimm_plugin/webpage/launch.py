"""Starting the page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mgimm_plugin
from mgimm_plugin.errors import MissingExtraError
from mgimm_plugin.serve.hosts import check_address, host_guards, is_loopback
from mgimm_plugin.webpage.models import ModelShelf
from mgimm_plugin.webpage.session import Limits
from mgimm_plugin.webpage.theme import css, theme
from mgimm_plugin.webpage.uploads import BodyLimit

logger = logging.getLogger(__name__)

_FORM_BYTES = 1_000_000
"""Of a request, beside the file that it uploads."""


def launch(
    models: Sequence[str] = (),
    *,
    base: str | None = None,
    device: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    corrections: Path,
    blocking: bool = True,
) -> tuple[Any, str]:
    """Serve the page; the first model is loaded meanwhile.

    Args:
        models: Folders or Hub ids that a visitor may choose from; the bundled model where there are none.
        base: Base model of adapter and LoRA checkpoints.
        device: Such as ``cpu`` or ``cuda``.
        host: Address to listen at.
        port: None takes the first free one from 7860.
        corrections: JSONL file that corrected answers are appended to.
        blocking: Return only when the page is stopped.

    Returns:
        The page, to be closed, and its address.

    Raises:
        MissingExtraError: Gradio or its drawing component is not installed.
        MgimmError: The address is taken.
    """
    mgimm_plugin.register()
    try:
        import gradio_image_annotation  # noqa: F401  (told before a model is loaded)
    except ImportError as error:
        raise MissingExtraError(error.name or "gradio", "demo", "mgimm playground") from error
    if not is_loopback(host):
        logger.warning("everybody who reaches %s may use the page: it has no password", host)
    check_address(host, port or 0)

    from starlette.middleware import Middleware

    from mgimm_plugin.webpage.page import build

    limits = Limits()
    shelf = ModelShelf(models, base=base, device=device, max_pixels=limits.pixels)
    page = build(shelf, limits, corrections.resolve())
    page.queue(max_size=limits.waiting, default_concurrency_limit=1, api_open=False)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        max_file_size=limits.image_bytes,
        css=css(limits),
        theme=theme(),
        quiet=True,
        share=False,
        footer_links=[],
        run_history=False,  # else what one visitor asked stays in a browser that the next one may use
        enable_monitoring=False,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [*host_guards(host), Middleware(BodyLimit, most=limits.image_bytes + _FORM_BYTES)]},
    )
    shelf.warm_up()  # only now: the page is there before the model
    if blocking:
        print(f"MGIMM playground running on {address} (Ctrl+C ends it)", flush=True)
        page.block_thread()
    return page, address
