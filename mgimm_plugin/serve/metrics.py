"""What Prometheus is told. Nothing of what was asked or answered."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The numbers of one server.

    Args:
        queue_length: Says how many requests wait.
    """

    def __init__(self, queue_length: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("mgimm_requests", "Requests for answers", ["status"], registry=self._registry)
        self._rejections = Counter("mgimm_rejections", "Requests refused", ["code"], registry=self._registry)
        self._tokens = Counter("mgimm_tokens", "Tokens read and written", ["kind"], registry=self._registry)
        self._batch = Histogram(
            "mgimm_batch_size", "Requests answered together", registry=self._registry, buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self._latency = Histogram(
            "mgimm_latency_seconds", "From a request's arrival to the end of its answer", registry=self._registry,
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
        )  # fmt: skip
        Gauge("mgimm_queue_length", "Requests that wait", registry=self._registry).set_function(queue_length)

    def batch_started(self, size: int) -> None:
        """A batch goes to the model."""
        self._batch.observe(size)

    def answered(self, seconds: float, prompt_tokens: int, completion_tokens: int) -> None:
        """A request has its whole answer."""
        self._requests.labels("answered").inc()
        self._latency.observe(seconds)
        self._tokens.labels("prompt").inc(prompt_tokens)
        self._tokens.labels("completion").inc(completion_tokens)

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._requests.labels("refused").inc()
        self._rejections.labels(code).inc()

    def failed(self) -> None:
        """A request failed for a reason of ours."""
        self._requests.labels("failed").inc()

    def gone(self) -> None:
        """A client went away before its request or its answer was complete."""
        self._requests.labels("gone").inc()

    def render(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self._registry)
