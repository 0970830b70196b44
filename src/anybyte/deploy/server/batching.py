"""Requests of many callers as batches, by bytes and waiting time, in one worker thread.

A device computes one thing at a time, and on small files most of its time goes to what each call costs, not to what is
in it. So whatever waits is computed together. Nobody waits for company longer than `wait_seconds`, and while a batch
is computed the next one gathers by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class QueueFull(Exception):
    """There is no room for more items: come back later."""


class QueueClosed(Exception):
    """No more items are taken."""


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full, and how much may wait.

    Attributes:
        max_bytes: of a batch, at most; a larger item is a batch of its own.
        max_items: of a batch, at most.
        wait_seconds: for which the first item of a batch waits for others.
        max_waiting: items that may wait, at most.
    """

    max_bytes: int
    max_items: int
    wait_seconds: float
    max_waiting: int

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_items", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not self.wait_seconds >= 0:
            raise ValueError(f"wait_seconds is {self.wait_seconds}, expected 0 or more")


@dataclass(frozen=True)
class Batch:
    """What became of a batch, for those who watch.

    Attributes:
        lane: what its items had in common.
        items: how many they were.
        num_bytes: of them all.
        seconds: that it took.
    """

    lane: Hashable
    items: int
    num_bytes: int
    seconds: float


Work: TypeAlias = Callable[[Hashable, Sequence[T]], Sequence[R | Exception]]
"""From a lane and items of it to a result for each, or the error of that item alone."""


@dataclass(eq=False)
class _Job(Generic[T, R]):
    lane: Hashable
    item: T
    size: int
    alone: bool
    arrived: float
    future: Future[R]


class Batcher(Generic[T, R]):
    """A queue, and the thread that empties it in batches.

    Items of one lane (one model, say) may share a batch. The oldest item decides which lane is next, so none waits for
    ever. A future that is cancelled leaves the queue at once. Each future that was given out gets a result or an
    error, whatever happens: an error of the work as a whole is tried again item by item, so that it hits the items to
    blame and no other.

    Args:
        work: computes a batch, in the worker thread.
        limits: of batches and of the queue.
        watch: is told of each batch, in the worker thread.
        name: of the thread.
    """

    def __init__(
        self,
        work: Work[T, R],
        limits: BatchLimits,
        watch: Callable[[Batch], None] | None = None,
        name: str = "batcher",
    ) -> None:
        self.limits = limits
        self._work = work
        self._watch = watch
        self._jobs: deque[_Job[T, R]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items in the queue; those being computed have left it."""
        return len(self._jobs)

    @property
    def waiting_bytes(self) -> int:
        with self._changed:
            return sum(job.size for job in self._jobs)

    @property
    def is_alive(self) -> bool:
        """Whether the worker thread lives."""
        return self._thread.is_alive()

    def submit(self, lane: Hashable, items: Sequence[T], sizes: Sequence[int], alone: bool = False) -> list[Future[R]]:
        """A future of each item's result: all are taken, or none.

        Args:
            lane: what items of one batch have in common.
            items: to be computed.
            sizes: bytes of each.
            alone: each is a batch of its own.

        Raises:
            QueueFull: there is no room for all of them.
            QueueClosed: the batcher was closed.
        """
        now = time.monotonic()
        jobs = [
            _Job(lane, item, size, alone, now, _future(self._forget)) for item, size in zip(items, sizes, strict=True)
        ]
        with self._changed:
            if self._closed:
                raise QueueClosed
            if len(self._jobs) + len(jobs) > self.limits.max_waiting:
                raise QueueFull
            self._jobs.extend(jobs)
            self._changed.notify()
        return [job.future for job in jobs]

    def close(self, finish: bool = True, timeout: float | None = None) -> bool:
        """Takes no more items and ends the thread.

        Args:
            finish: compute what waits. Otherwise it is cancelled.
            timeout: seconds to wait for the thread's end. None: as long as it takes.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            dropped = [] if finish else list(self._jobs)
            self._changed.notify()
        for job in dropped:
            job.future.cancel()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _forget(self, future: Future[R]) -> None:
        """Takes a cancelled item out of the queue, so that its place is free."""
        if not future.cancelled():
            return
        with self._changed:
            for job in self._jobs:
                if job.future is future:
                    self._jobs.remove(job)
                    break
            self._changed.notify()

    def _loop(self) -> None:
        while (jobs := self._next()) is not None:
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if jobs:
                self._compute(jobs)
            del jobs  # or the last files would be held until others come

    def _next(self) -> list[_Job[T, R]] | None:
        """The next batch, when it is full or has waited long enough; None when all is done."""
        with self._changed:
            while True:
                if not self._jobs:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                jobs, is_full = self._gather()
                patience = jobs[0].arrived + self.limits.wait_seconds - time.monotonic()
                if is_full or self._closed or patience <= 0:
                    taken = set(map(id, jobs))
                    self._jobs = deque(job for job in self._jobs if id(job) not in taken)
                    return jobs
                self._changed.wait(patience)

    def _gather(self) -> tuple[list[_Job[T, R]], bool]:
        """The oldest item with those of its lane that fit beside it, in their order, and whether no more would fit."""
        first = self._jobs[0]
        if first.alone:
            return [first], True
        jobs: list[_Job[T, R]] = []
        room = self.limits.max_bytes
        for job in self._jobs:
            if job.lane != first.lane or job.alone:
                continue
            if jobs and (job.size > room or len(jobs) == self.limits.max_items):
                return jobs, True
            jobs.append(job)
            room -= job.size
        return jobs, room <= 0 or len(jobs) == self.limits.max_items

    def _compute(self, jobs: list[_Job[T, R]]) -> None:
        start = time.monotonic()
        results = self._try(jobs)
        seconds = time.monotonic() - start
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        if self._watch is not None:
            batch = Batch(jobs[0].lane, len(jobs), sum(job.size for job in jobs), seconds)
            try:
                self._watch(batch)
            except Exception:  # who only watches must not end the work
                logging.getLogger(__name__).exception("the batch was computed, but could not be counted")

    def _try(self, jobs: list[_Job[T, R]]) -> list[R | Exception]:
        """The results of a batch; if that fails as a whole, of each item alone."""
        try:
            results = list(self._work(jobs[0].lane, [job.item for job in jobs]))
            if len(results) != len(jobs):
                raise RuntimeError(f"{len(jobs)} items gave {len(results)} results")
        except Exception as error:
            return [error] if len(jobs) == 1 else [result for job in jobs for result in self._try([job])]
        return results


def _future(on_done: Callable[[Future[R]], None]) -> Future[R]:
    future: Future[R] = Future()
    future.add_done_callback(on_done)
    return future
