"""The endpoint: OpenAI's chat completions with regions, health and metrics."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mgimm_plugin.predictor import Predictor
from mgimm_plugin.serve.asking import ask, draft
from mgimm_plugin.serve.batching import Batcher, Finished, Job, Piece, Stopped, queue_is_full, server_stops
from mgimm_plugin.serve.bodies import Bodies
from mgimm_plugin.serve.images import image_bytes
from mgimm_plugin.serve.metrics import Metrics
from mgimm_plugin.serve.responses import Completion, sse
from mgimm_plugin.serve.schema import ChatRequest, read_request
from mgimm_plugin.serve.settings import Limits, RequestRefused, error_body, usable_key

_READ_AT_ONCE = 4
"""Images that are decoded at the same time: each may take the memory of the largest that is allowed."""
_NOBODY = 499
"""Status of answers that reach nobody, because the client has gone; known from nginx."""
_FAILED = error_body("the server failed to answer this request; its log says why", status=500, code="server_error")


def create_app(
    predictor: Predictor,
    name: str,
    *,
    limits: Limits | None = None,
    api_key: str | None = None,
    allow_remote_images: bool = False,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Build the endpoint over a model. The model belongs to it from then on.

    Args:
        predictor: The model.
        name: What clients call it.
        limits: What requests may take.
        api_key: Asked of every request but those for ``/health``; white space around it does not count.
        allow_remote_images: Whether http(s) images are loaded, from public addresses only.
        middleware: What requests pass before anything else.

    Returns:
        The endpoint. Through ``app.state.batcher``, ``listening.Server`` ends its work when the server is stopped.

    Raises:
        SettingError: The API key is one that no client can send.
    """
    server = _Server(predictor, name, limits or Limits(), usable_key(api_key), allow_remote_images)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(server.batcher.close)

    # No pages about the endpoint: they would load scripts from elsewhere.
    app = FastAPI(title="mgimm serve", lifespan=lifespan, openapi_url=None, middleware=list(middleware))
    app.state.batcher = server.batcher
    app.add_exception_handler(RequestRefused, server.refuse)
    app.add_exception_handler(HTTPException, server.refuse)
    app.add_exception_handler(Exception, server.fail)
    app.add_api_route("/health", server.health)
    app.add_api_route("/metrics", server.show_metrics)
    app.add_api_route("/v1/models", server.models)
    app.add_api_route("/v1/models/{model:path}", server.model)
    app.add_api_route("/v1/chat/completions", server.chat, methods=["POST"])
    return app


class _Server:
    def __init__(
        self, predictor: Predictor, name: str, limits: Limits, api_key: str | None, allow_remote_images: bool
    ) -> None:
        self.predictor, self.name, self.limits = predictor, name, limits
        self.api_key, self.allow_remote_images = api_key, allow_remote_images
        self.metrics = Metrics(lambda: len(self.batcher))
        self.batcher = Batcher(predictor, limits, self.metrics)
        self.reading = asyncio.Semaphore(_READ_AT_ONCE)
        self.bodies = Bodies(limits)
        self.under_way = 0  # read, and not yet in the queue
        self.started = int(time.time())

    async def health(self) -> Response:
        healthy = self.batcher.healthy
        return JSONResponse({"status": "ok" if healthy else "failed"}, status_code=200 if healthy else 503)

    async def show_metrics(self, request: Request) -> Response:
        self._check_key(request)
        return PlainTextResponse(self.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request, model: str) -> Response:
        self._check_key(request)
        self._check_model(model)
        return JSONResponse(self._card())

    async def chat(self, request: Request) -> Response:
        """Answer; what is wrong with a request is said before anything of it reaches the model."""
        arrived = time.monotonic()
        self._check_key(request)
        self._check_queue()  # before a large body is read for nothing
        try:
            job, tokens, with_usage = await self._submitted(request)
        except ClientDisconnect:
            self.metrics.gone()
            return Response(status_code=_NOBODY)
        completion = Completion(self.name, tokens)
        if job.stream:
            return _EventStream(self._stream(job, completion, arrived, with_usage=with_usage), job, self.metrics)
        return await self._whole(job, completion, arrived, request)

    async def refuse(self, request: Request, error: Any) -> Response:
        """A refusal, or what the framework says of a wrong path or method, in OpenAI's form."""
        if isinstance(error, HTTPException):
            message = f"{request.method} {request.url.path}: {error.detail}; see /v1/models and /v1/chat/completions"
            error = RequestRefused(message, status=error.status_code, code="unknown_url")
        self.metrics.refused(error.code)
        headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(error.as_dict(), status_code=error.status, headers=headers)

    async def fail(self, request: Request, error: Exception) -> Response:
        self.metrics.failed()
        return JSONResponse(_FAILED, status_code=500)

    async def _submitted(self, request: Request) -> tuple[Job, int, bool]:
        """The job of a request, the tokens of its question, and whether a stream ends with the usage.

        The request itself, which may be large, is forgotten here: jobs wait with what the model needs of it.
        """
        body = await self.bodies.read(request)
        self._check_queue()  # what the requests that have come hold in memory is bounded by this
        self.under_way += 1
        try:
            chat = await run_in_threadpool(read_request, body, self.limits)
            del body
            self._check_model(chat.model)
            job, tokens = await self._job(chat)
            self.batcher.submit(job)
        finally:
            self.under_way -= 1
        return job, tokens, chat.stream_options is not None and chat.stream_options.include_usage

    async def _job(self, chat: ChatRequest) -> tuple[Job, int]:
        drafted = draft(chat, self.limits)
        content = None
        if drafted.image_url is not None:
            content = await image_bytes(
                drafted.image_url, drafted.image_field, self.limits, allow_remote=self.allow_remote_images
            )
        async with self.reading:
            question, tokens = await run_in_threadpool(ask, chat, drafted, content, self.predictor, self.limits)
        job = Job(question, chat.new_tokens, chat.temperature or 0.0, chat.stop or (), stream=bool(chat.stream))
        return job, tokens

    async def _whole(self, job: Job, completion: Completion, arrived: float, request: Request) -> Response:
        answer = asyncio.ensure_future(job.next_event())
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            end = answer.result() if answer.done() else None
        finally:
            job.cancelled.set()  # nobody listens from here on; where the answer is complete this changes nothing
            answer.cancel()
            gone.cancel()
        if isinstance(end, Finished):
            self.metrics.answered(time.monotonic() - arrived, completion.prompt_tokens, end.tokens)
            return JSONResponse(completion.whole(end))
        if end is None:
            self.metrics.gone()
            return Response(status_code=_NOBODY)
        if isinstance(end, Stopped):
            raise server_stops()
        self.metrics.failed()
        return JSONResponse(_FAILED, status_code=500)

    async def _stream(
        self, job: Job, completion: Completion, arrived: float, *, with_usage: bool
    ) -> AsyncIterator[bytes]:
        yield completion.opening()
        while isinstance(event := await job.next_event(), Piece):
            yield completion.piece(event.text)
        job.cancelled.set()  # nothing more is told
        if isinstance(event, Finished):
            self.metrics.answered(time.monotonic() - arrived, completion.prompt_tokens, event.tokens)
            yield completion.ending(event, with_usage=with_usage)
        elif isinstance(event, Stopped):
            refusal = server_stops()
            self.metrics.refused(refusal.code)
            yield sse(refusal.as_dict())
        else:
            self.metrics.failed()
            yield sse(_FAILED)

    def _card(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.started, "owned_by": "mgimm"}

    def _check_queue(self) -> None:
        waiting = self.under_way + len(self.batcher)
        if waiting >= self.limits.queue_length:
            raise queue_is_full(waiting)

    def _check_model(self, model: str) -> None:
        if model != self.name:
            raise RequestRefused(
                f"model {model[:100]!r} is not served here; ask for {self.name!r}",
                status=404, param="model", code="model_not_found",
            )  # fmt: skip

    def _check_key(self, request: Request) -> None:
        if self.api_key is None:
            return
        # The bytes as they came, in a header's latin-1; those of the key as the shell had them, in UTF-8 or not.
        given = request.headers.get("authorization", "").encode("latin-1")
        scheme, _, key = given.partition(b" ")
        expected = self.api_key.encode(errors="surrogateescape")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), expected):
            raise RequestRefused(
                "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
                status=401, code="invalid_api_key",
            )  # fmt: skip


class _EventStream(StreamingResponse):
    """A stream whose job ends with it, also where the client had gone before the first event was read."""

    def __init__(self, events: AsyncIterator[bytes], job: Job, metrics: Metrics) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._job, self._metrics = job, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._job.cancelled.is_set():
                self._job.cancelled.set()
                self._metrics.gone()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
