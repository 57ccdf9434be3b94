"""``mgimm serve``: requests one at a time against as many at once, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mgimm_plugin.bench.measuring import Measurement, in_turns
from mgimm_plugin.bench.workload import records, scenes
from mgimm_plugin.constants import DEFAULT_REGION_TOKEN, IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.records import Record
from mgimm_plugin.errors import MgimmError, MissingExtraError

CLIENTS = 50
_STARTING_SECONDS = 120


def serving(device: torch.device) -> Iterator[Measurement]:
    """Fifty requests, each about another image or region: waited for one by one, or sent at once.

    Raises:
        MissingExtraError: The packages of ``[serve]`` are not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("httpx", "serve", "mgimm bench --only serving") from error

    with _served(device) as address:
        for case, requests, repeats in (
            (f"{CLIENTS} regions", _requests(records("region"), is_region=True), 5),
            (f"{CLIENTS} images", _requests(records("image"), is_region=False), 2),
        ):

            def usual(requests: list[dict[str, Any]] = requests) -> list[str]:
                with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
                    return [_answer(client.post("/v1/chat/completions", json=request)) for request in requests]

            async def at_once(requests: list[dict[str, Any]]) -> list[str]:
                limits = httpx.Limits(max_connections=CLIENTS)
                async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits, trust_env=False) as client:
                    sent = [client.post("/v1/chat/completions", json=request) for request in requests]
                    return [_answer(response) for response in await asyncio.gather(*sent)]

            def ours(requests: list[dict[str, Any]] = requests) -> list[str]:
                return asyncio.run(at_once(requests))

            different = sum(one != other for one, other in zip(usual(), ours(), strict=True))
            times = in_turns(usual, ours, repeats=repeats)
            yield Measurement(
                name="serving", case=f"{case}, one at a time and at once", usual_s=times[0], ours_s=times[1],
                max_difference=float(different), more={"max_difference_is": "answers that differ"},
            )  # fmt: skip


def _requests(about: list[Record], *, is_region: bool) -> list[dict[str, Any]]:
    """As many requests as clients; no two are about the same region, or about one image with the same boxes."""
    if is_region:
        by_image = {record.image: record for record in about}
        chosen = [*by_image.values(), *(record for record in about if by_image[record.image] is not record)][:CLIENTS]
        boxes = [[record.regions[0].bbox] for record in chosen]
        text = f"{DEFAULT_REGION_TOKEN}\n{REGION_QUESTION}"
    else:
        chosen = (about * 2)[:CLIENTS]  # the first ones once more, without their regions
        boxes = [[r.bbox for r in record.regions] if i < len(about) else [] for i, record in enumerate(chosen)]
        text = IMAGE_QUESTION
    return [
        {
            "model": "mgimm-mini",
            "regions": [list(box) for box in of_request],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": text},
                        {"type": "image_url", "image_url": {"url": _data_url(str(record.image))}},
                    ],
                }
            ],
        }
        for record, of_request in zip(chosen, boxes, strict=True)
    ]


def _data_url(image: str) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode((scenes() / image).read_bytes()).decode()}"


def _answer(response: Any) -> str:
    response.raise_for_status()
    return str(response.json()["choices"][0]["message"]["content"])


@contextmanager
def _served(device: torch.device) -> Iterator[str]:
    """The bundled model, served by a process of its own; its address. The user's own key is not asked for."""
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mgimm_plugin", "serve", "--port", str(port), "--device", str(device)]
    server = subprocess.Popen(
        [*command, "--dtype", "float32"],
        env={name: value for name, value in os.environ.items() if name != "MGIMM_API_KEY"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(_STARTING_SECONDS * 10):
            try:
                httpx.get(f"{address}/health", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                if server.poll() is not None:
                    raise MgimmError("mgimm serve ended while it was starting: run it by itself to see why") from None
                time.sleep(0.1)
        else:
            raise MgimmError(f"mgimm serve did not answer within {_STARTING_SECONDS} s")
        yield address
    finally:
        server.terminate()
        server.wait()
