from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.deploy.server.batching import Batch, Batcher, BatchLimits, QueueClosed, QueueFull

LONG = 60.0
"""Seconds that no test waits: a batch that comes before was full, or asked for by a close."""


class Recorder:
    """Work that notes its batches, and waits at a gate that is open unless a test closes it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Hashable, list[Any]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def __call__(self, lane: Hashable, items: Sequence[Any]) -> list[Any]:
        self.batches.append((lane, list(items)))
        self.began.set()
        assert self.gate.wait(LONG)
        if "poison" in items:
            raise RuntimeError("poison")
        return [ValueError("refused") if item == "refused" else (lane, item) for item in items]


@contextmanager
def running(
    work: Callable[..., Any], watch: Callable[[Batch], None] | None = None, **limits: Any
) -> Iterator[Batcher[Any, Any]]:
    batcher: Batcher[Any, Any] = Batcher(
        work,
        BatchLimits(**{"max_bytes": 100, "max_items": 10, "wait_seconds": LONG, "max_waiting": 50} | limits),
        watch,
    )
    try:
        yield batcher
    finally:
        if isinstance(work, Recorder):
            work.gate.set()
        assert batcher.close(finish=False, timeout=LONG)


def results(futures: Sequence[Future[Any]]) -> list[Any]:
    return [future.result(LONG) for future in futures]


@contextmanager
def held(batcher: Batcher[Any, Any], work: Recorder) -> Iterator[None]:
    """Keeps the worker busy with an item of its own, so that what is submitted meanwhile waits."""
    work.gate.clear()
    work.began.clear()
    (first,) = batcher.submit("held", ["held"], [0], alone=True)
    assert work.began.wait(LONG)
    yield
    work.gate.set()
    assert first.result(LONG) == ("held", "held")


def test_a_batch_is_full_by_its_bytes() -> None:
    work = Recorder()
    with running(work, max_bytes=10) as batcher:
        first = batcher.submit("a", [1], [4])
        second = batcher.submit("a", [2], [6])
        assert results(first + second) == [("a", 1), ("a", 2)]
    assert work.batches == [("a", [1, 2])]


def test_what_does_not_fit_fills_a_batch_and_comes_in_the_next() -> None:
    work = Recorder()
    with running(work, max_bytes=10) as batcher:
        futures = batcher.submit("a", [1, 2, 3], [6, 6, 4])
        assert results(futures) == [("a", 1), ("a", 2), ("a", 3)]
    assert work.batches == [("a", [1]), ("a", [2, 3])]


def test_a_batch_is_full_by_its_number() -> None:
    work = Recorder()
    with running(work, max_items=2) as batcher:
        assert len(results(batcher.submit("a", range(4), [1] * 4))) == 4
    assert [items for _, items in work.batches] == [[0, 1], [2, 3]]


def test_an_item_larger_than_a_batch_is_one_by_itself() -> None:
    work = Recorder()
    with running(work, max_bytes=10) as batcher:
        assert results(batcher.submit("a", [1], [1000])) == [("a", 1)]


def test_nobody_waits_longer_than_agreed() -> None:
    with running(Recorder(), wait_seconds=0.01) as batcher:
        assert results(batcher.submit("a", [1], [1])) == [("a", 1)]


def test_lanes_are_computed_apart_and_the_oldest_item_is_first() -> None:
    work = Recorder()
    with running(work, wait_seconds=0.0) as batcher:
        with held(batcher, work):
            futures = [batcher.submit(lane, [number], [1])[0] for number, lane in enumerate("abab")]
        assert results(futures) == [("a", 0), ("b", 1), ("a", 2), ("b", 3)]
    assert work.batches[1:] == [("a", [0, 2]), ("b", [1, 3])]


def test_items_that_want_to_be_alone_are() -> None:
    work = Recorder()
    with running(work, wait_seconds=0.0) as batcher:
        with held(batcher, work):
            together = batcher.submit("a", [1, 2], [1, 1])
            alone = batcher.submit("a", [3, 4], [1, 1], alone=True)
        assert len(results(together + alone)) == 4
    assert [items for _, items in work.batches[1:]] == [[1, 2], [3], [4]]


def test_a_full_queue_takes_all_of_some_items_or_none() -> None:
    work = Recorder()
    with running(work, max_waiting=3, wait_seconds=0.0) as batcher:
        with held(batcher, work):
            taken = batcher.submit("a", [1, 2], [1, 1])
            with pytest.raises(QueueFull):
                batcher.submit("a", [3, 4], [1, 1])
            assert batcher.waiting == 2
            assert batcher.waiting_bytes == 2
            taken += batcher.submit("a", [5], [1])
        assert results(taken) == [("a", 1), ("a", 2), ("a", 5)]


def test_what_is_cancelled_leaves_the_queue_at_once() -> None:
    work = Recorder()
    with running(work, max_waiting=2, wait_seconds=0.0) as batcher:
        with held(batcher, work):
            first, second = batcher.submit("a", [1, 2], [1, 1])
            assert first.cancel()
            assert batcher.waiting == 1
            (third,) = batcher.submit("a", [3], [1])
        assert results([second, third]) == [("a", 2), ("a", 3)]
        with pytest.raises(CancelledError):
            first.result(LONG)
    assert work.batches[1:] == [("a", [2, 3])]


def test_what_is_being_computed_cannot_be_cancelled_and_harms_nobody() -> None:
    work = Recorder()
    with running(work, wait_seconds=0.0) as batcher:
        work.gate.clear()
        (running_one,) = batcher.submit("a", [1], [1])
        assert work.began.wait(LONG)
        assert not running_one.cancel()
        work.gate.set()
        assert running_one.result(LONG) == ("a", 1)
        assert results(batcher.submit("a", [2], [1])) == [("a", 2)]


def test_an_error_hits_only_the_item_to_blame() -> None:
    work = Recorder()
    with running(work, max_items=3) as batcher:
        good, poisoned, other = batcher.submit("a", [1, "poison", 2], [1, 1, 1])
        assert results([good, other]) == [("a", 1), ("a", 2)]
        with pytest.raises(RuntimeError, match="poison"):
            poisoned.result(LONG)
        assert batcher.is_alive
        assert results(batcher.submit("a", [3, 4, 5], [1, 1, 1])) == [("a", 3), ("a", 4), ("a", 5)]


def test_a_result_may_be_an_error() -> None:
    with running(Recorder(), max_items=2) as batcher:
        refused, fine = batcher.submit("a", ["refused", 1], [1, 1])
        assert fine.result(LONG) == ("a", 1)
        with pytest.raises(ValueError, match="refused"):
            refused.result(LONG)


def test_work_that_loses_results_is_an_error_and_not_a_wait_for_ever() -> None:
    with running(lambda lane, items: items[1:], max_items=2) as batcher:
        for future in batcher.submit("a", [1, 2], [1, 1]):
            with pytest.raises(RuntimeError, match="1 items gave 0 results"):
                future.result(LONG)


def test_close_finishes_what_waits() -> None:
    batcher: Batcher[Any, Any] = Batcher(Recorder(), BatchLimits(100, 10, LONG, 50))
    futures = batcher.submit("a", [1, 2], [1, 1])
    assert batcher.close(timeout=LONG)
    assert results(futures) == [("a", 1), ("a", 2)]
    assert not batcher.is_alive
    with pytest.raises(QueueClosed):
        batcher.submit("a", [3], [1])


def test_close_in_a_hurry_cancels_what_waits() -> None:
    batcher: Batcher[Any, Any] = Batcher(Recorder(), BatchLimits(100, 10, LONG, 50))
    futures = batcher.submit("a", [1, 2], [1, 1])
    assert batcher.close(finish=False, timeout=LONG)
    assert all(future.cancelled() for future in futures)


def test_who_watches_is_told_and_cannot_do_harm(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Batch] = []
    told = threading.Event()

    def watch(batch: Batch) -> None:
        seen.append(batch)
        told.set()
        raise RuntimeError("a watcher's mistake")

    with running(Recorder(), watch, max_items=2) as batcher:
        results(batcher.submit("a", [1, 2], [3, 4]))
        assert told.wait(LONG)
        assert results(batcher.submit("a", [1, 2], [3, 4])) == [("a", 1), ("a", 2)]
    assert (seen[0].lane, seen[0].items, seen[0].num_bytes) == ("a", 2, 7)
    assert seen[0].seconds >= 0
    assert "a watcher's mistake" in caplog.text


@given(
    jobs=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 15), st.booleans()), max_size=25),
    max_bytes=st.integers(1, 30),
    max_items=st.integers(1, 6),
)
@settings(max_examples=60)
def test_each_item_is_computed_once_within_the_limits_and_in_order(
    jobs: list[tuple[str, int, bool]], max_bytes: int, max_items: int
) -> None:
    work = Recorder()
    sizes = {number: size for number, (_, size, _) in enumerate(jobs)}
    with running(work, max_bytes=max_bytes, max_items=max_items, wait_seconds=0.0) as batcher:
        with held(batcher, work):
            futures = [
                batcher.submit(lane, [number], [size], alone)[0] for number, (lane, size, alone) in enumerate(jobs)
            ]
        assert results(futures) == [(lane, number) for number, (lane, _, _) in enumerate(jobs)]
    batches = work.batches[1:]
    for lane in "ab":
        in_order = [number for other, items in batches if other == lane for number in items if not jobs[number][2]]
        assert in_order == [number for number, job in enumerate(jobs) if job[0] == lane and not job[2]]
    for _, items in batches:
        assert len(items) <= max_items
        assert len(items) == 1 or sum(sizes[number] for number in items) <= max_bytes
        assert len(items) == 1 or not any(jobs[number][2] for number in items)
    assert sorted(number for _, items in batches for number in items) == list(range(len(jobs)))


@pytest.mark.parametrize(
    "wrong",
    [{"max_bytes": 0}, {"max_items": 0}, {"max_waiting": 0}, {"wait_seconds": -1.0}, {"wait_seconds": float("nan")}],
)
def test_limits_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BatchLimits(**{"max_bytes": 1, "max_items": 1, "wait_seconds": 0.0, "max_waiting": 1} | wrong)
