"""What a server computes: answers in batches, explanations one by one, on one worker thread a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from anybyte.deploy.server.allocator import give_back_memory
from anybyte.deploy.server.batching import Batch, Batcher, BatchLimits, QueueClosed, QueueFull
from anybyte.deploy.server.errors import ApiError, busy, late
from anybyte.deploy.server.explaining import Question, answer
from anybyte.deploy.server.metrics import Metrics
from anybyte.deploy.server.models import Served
from anybyte.deploy.server.settings import Settings
from anybyte.deploy.server.uploads import Upload
from anybyte.explain import Stopped
from anybyte.predictor import Failure, Prediction

Answer: TypeAlias = Prediction | Failure

_BATCHES_TO_TRIM = 32
"""After as many batches memory that is not in use goes back to the system: a few milliseconds in a second or more."""


@dataclass(frozen=True)
class _Lane:
    """What can be computed together: files for one model; or explanations, each of which is computed alone."""

    model: str
    explains: bool = False


class Engine:
    """The models and the threads that compute with them. It knows nothing of HTTP but the errors.

    Attributes:
        models: by name; the first is asked where a request names none.
    """

    def __init__(self, models: Mapping[str, Served], settings: Settings, metrics: Metrics) -> None:
        self.models = dict(models)
        self._settings, self._metrics = settings, metrics
        self._explaining = 0
        self._batches = 0
        self._stopping = False
        limits = BatchLimits(settings.batch_bytes, settings.batch_files, settings.wait_seconds, settings.queue)
        devices = dict.fromkeys(served.predictor.device for served in models.values())
        self._batchers: dict[Any, Batcher[Any, Any]] = {
            device: Batcher(self._work, limits, self._count, name=f"anybyte-{device}") for device in devices
        }

    @property
    def is_alive(self) -> bool:
        """Whether every worker thread lives."""
        return all(batcher.is_alive for batcher in self._batchers.values())

    @property
    def is_ready(self) -> bool:
        """Whether files are taken."""
        return not self._stopping and self.is_alive

    @property
    def waiting(self) -> int:
        """Files in all queues."""
        return sum(batcher.waiting for batcher in self._batchers.values())

    def find(self, name: str | None) -> Served:
        """The model of a name; None is the first one.

        Raises:
            ApiError: 404, there is none.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise ApiError(404, "no_model", f"no model {name!r}: there are {', '.join(self.models)}")
        return self.models[name]

    def check_room(self, served: Served, explains: bool = False) -> None:
        """Looks whether there is room for a file at all, before its body is read.

        Raises:
            ApiError: 503, there is none.
        """
        if self._stopping:
            raise _stopping()
        if self._batchers[served.predictor.device].waiting >= self._settings.queue:
            raise busy("the queue is full")
        if explains and self._explaining >= self._settings.explain_queue:
            raise busy("enough explanations are being computed")

    def classify(self, served: Served, uploads: Sequence[Upload]) -> list[Future[Answer]]:
        """The answers to come, one a file, each with all labels.

        Raises:
            ApiError: 503, there is no room for all of them.
        """
        sizes = [len(upload.data) for upload in uploads]
        futures: list[Future[Answer]] = self._submit(served, _Lane(served.name), uploads, sizes)
        return futures

    @contextmanager
    def explanation(self, served: Served, question: Question) -> Iterator[Future[dict[str, Any]]]:
        """The explanation to come, as JSON, which takes one of the few places for such until the context is left.

        It may be of minutes' work, and answers wait behind it. So it is given up when the context is left, when its
        time is over, or when the engine stops, and its future then has an ApiError.

        Raises:
            ApiError: 503, there is no room for it.
        """
        self.check_room(served, explains=True)
        size = len(question.upload.data)
        left, end = threading.Event(), time.monotonic() + self._settings.timeout

        def stopped() -> bool:
            return self._stopping or left.is_set() or time.monotonic() >= end

        (future,) = self._submit(served, _Lane(served.name, explains=True), [(question, stopped)], [size])
        self._explaining += 1  # only ever in the thread of the event loop
        try:
            yield future
        finally:
            self._explaining -= 1
            left.set()

    def stop(self) -> None:
        """Takes no more, and gives explanations up; returns when all files that were taken are computed.

        It does not wait for what takes longer than any caller would wait.
        """
        self._stopping = True
        end = time.monotonic() + self._settings.timeout
        for batcher in self._batchers.values():
            batcher.close(timeout=max(0.0, end - time.monotonic()))

    def _submit(self, served: Served, lane: _Lane, items: Sequence[Any], sizes: Sequence[int]) -> list[Future[Any]]:
        try:
            return self._batchers[served.predictor.device].submit(lane, items, sizes, alone=lane.explains)
        except QueueFull as error:
            raise busy("the queue is full") from error
        except QueueClosed as error:
            raise _stopping() from error

    def _work(self, lane: Hashable, items: Sequence[Any]) -> list[Any]:
        assert isinstance(lane, _Lane)
        served = self.models[lane.model]
        if lane.explains:
            return [self._explain(served, *item) for item in items]
        predictor = served.predictor
        return list(predictor.stream([upload.open() for upload in items], top=len(predictor.labels)))

    def _explain(self, served: Served, question: Question, stopped: Callable[[], bool]) -> dict[str, Any]:
        try:
            return answer(served.predictor, question, stopped)
        except Stopped as error:
            raise (_stopping() if self._stopping else late(self._settings.timeout)) from error

    def _count(self, batch: Batch) -> None:
        """Is told of each batch when its answers are out, in the worker thread."""
        assert isinstance(batch.lane, _Lane)
        self._batches += 1
        if self._batches % _BATCHES_TO_TRIM == 0:
            give_back_memory()
        if not batch.lane.explains:
            self._metrics.batch(batch.lane.model, batch)


def _stopping() -> ApiError:
    return ApiError(503, "stopping", "the server is about to stop", {"Retry-After": "5"})
