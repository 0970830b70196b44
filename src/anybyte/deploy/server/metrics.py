"""Numbers for Prometheus: what is asked, how long it takes, what is computed together, and what waits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from anybyte.deploy.server.batching import Batch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BYTES = tuple(float(2**power) for power in range(8, 27, 2))
_FILES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The numbers of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("anybyte_requests", "Requests answered", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "anybyte_request_seconds", "From a request's head to its answer's end", ["route"], buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._files = Counter(
            "anybyte_files", "Files, by what became of them", ["model", "outcome"], registry=self.registry
        )
        self._gone = Counter(
            "anybyte_gone", "Requests whose caller went away before the answer", registry=self.registry
        )
        self._batch_bytes = Histogram(
            "anybyte_batch_bytes", "Bytes of a batch", ["model"], buckets=_BYTES, registry=self.registry
        )
        self._batch_files = Histogram(
            "anybyte_batch_files", "Files of a batch", ["model"], buckets=_FILES, registry=self.registry
        )
        self._batch_seconds = Histogram(
            "anybyte_batch_seconds", "Time to compute a batch", ["model"], buckets=_SECONDS, registry=self.registry
        )

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Adds a number that is looked up whenever somebody asks."""
        Gauge(f"anybyte_{name}", about, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def gone(self) -> None:
        """Counts a caller that went away."""
        self._gone.inc()

    def file(self, model: str, outcome: str) -> None:
        """Counts a file; `outcome` is `label`, `unknown`, `error` or `explained`."""
        self._files.labels(model, outcome).inc()

    def batch(self, model: str, batch: Batch) -> None:
        """Counts a batch."""
        self._batch_bytes.labels(model).observe(batch.num_bytes)
        self._batch_files.labels(model).observe(batch.items)
        self._batch_seconds.labels(model).observe(batch.seconds)

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)
