"""What goes wrong on the way: callers that vanish, dawdle or send too much, queues that are full. All is survived."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anybyte.deploy.server import Settings, serve_in_thread
from tests.deploy.server.asking import PARTS, RAW, Gated, ask, body_of, connect, metric, post, until

HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: here\r\nContent-Type: application/octet-stream\r\n"


@contextmanager
def serving(model: Path | Gated, **settings: Any) -> Iterator[str]:
    with serve_in_thread({"tiny": model}, Settings(port=0, **settings)) as url:
        yield url
        assert ask(url, "/healthz").status == 200
        until(lambda: post(url, b"still there").status == 200)
        until(lambda: metric(url, "anybyte_held_bytes") == 0)
        assert metric(url, "anybyte_queue_files") == 0


@contextmanager
def closed(predictor: Gated) -> Iterator[None]:
    """Closes the gate; at the end it is open."""
    predictor.gate.clear()
    predictor.computed.clear()
    try:
        yield
    finally:
        predictor.gate.set()


def answer_on(connection: Any) -> bytes:
    """Everything that comes until the other side closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_a_caller_that_vanishes_in_the_middle_leaves_nothing_behind(folder: Path) -> None:
    with serving(folder) as url:
        for head in (b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3\r\n"):
            with connect(url) as connection:
                connection.sendall(HEAD + head + b"abc")
                until(lambda: metric(url, "anybyte_held_bytes") == 3)
            until(lambda: metric(url, "anybyte_held_bytes") == 0)
        assert metric(url, "anybyte_gone_total") == 2
        assert metric(url, "anybyte_files_total") == 0


def test_a_slow_upload_is_ended(folder: Path) -> None:
    with serving(folder, upload_timeout=0.2) as url, connect(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        received = answer_on(connection)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"slow_upload"' in received
        assert b"connection: close" in received.lower()


def test_an_oversized_upload_is_refused_before_it_is_sent(folder: Path) -> None:
    with serving(folder, max_bytes=1000) as url, connect(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n")
        received = answer_on(connection)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"100 Continue" not in received


@pytest.mark.parametrize("announced", [True, False])
def test_who_sends_too_much_still_gets_the_answer(folder: Path, announced: bool) -> None:
    data = b"x" * 3_000_000
    with serving(folder, max_bytes=1000) as url:
        reply = ask(url, "/v1/classify", data if announced else iter([data[:1_000_000]] * 3), RAW)
        assert reply.error[:2] == (413, "too_large")
        assert reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    "body",
    [
        body_of([("a", b"abc")])[:-6],
        body_of([("a", b"abc")]).replace(b"b0undary", b"another"),
        b"\r\n" * 100,
        b"--b0undary\r\nContent-Disposition: form-data; filename=a\r\nno header\r\n\r\nabc\r\n--b0undary--\r\n",
        b"--b0undary\r\n" + b"X: y\r\n" * 1000 + b"\r\nabc\r\n--b0undary--\r\n",
        b"--b0undary\r\n\r\nabc\r\n--b0undary--\r\n",
    ],
)
def test_malformed_multipart_is_told(url: str, body: bytes) -> None:
    assert ask(url, "/v1/classify", body, PARTS).error[:2] == (400, "bad_multipart")


def test_what_is_no_http_is_refused(folder: Path) -> None:
    with serving(folder) as url, connect(url) as connection:
        connection.sendall(b"\x89PNG\r\n\x1a\n\r\n\r\n")
        assert answer_on(connection).startswith(b"HTTP/1.1 400 ")


def test_a_flood_is_told_to_come_back(predictor: Gated) -> None:
    with serving(predictor, queue=3, max_files=3) as url, ThreadPoolExecutor(4) as pool, closed(predictor):
        first = pool.submit(post, url, b"0")
        until(lambda: len(predictor.computed) == 1)
        waiting = [pool.submit(post, url, bytes([number])) for number in range(3)]
        until(lambda: metric(url, "anybyte_queue_files") == 3)
        for _ in range(20):
            reply = post(url, b"one too many")
            assert reply.error[:2] == (503, "busy")
            assert reply.headers["retry-after"] == "1"
        assert ask(url, "/healthz").status == ask(url, "/readyz").status == 200
        predictor.gate.set()
        assert [future.result().status for future in (first, *waiting)] == [200] * 4


def test_many_files_are_taken_all_or_none(predictor: Gated) -> None:
    with serving(predictor, queue=3, max_files=3) as url, ThreadPoolExecutor(2) as pool, closed(predictor):
        first = pool.submit(post, url, b"0")
        until(lambda: len(predictor.computed) == 1)
        second = pool.submit(ask, url, "/v1/classify", body_of([("a", b"1"), ("b", b"2")]), PARTS)
        until(lambda: metric(url, "anybyte_queue_files") == 2)
        assert ask(url, "/v1/classify", body_of([("a", b"1"), ("b", b"2")]), PARTS).error[:2] == (503, "busy")
        assert metric(url, "anybyte_queue_files") == 2
        predictor.gate.set()
        assert (first.result().status, second.result().status) == (200, 200)


def test_files_that_do_not_fit_into_memory_are_refused(predictor: Gated) -> None:
    with (
        serving(predictor, max_bytes=1000, max_request_bytes=1000, held_bytes=1500) as url,
        ThreadPoolExecutor(1) as pool,
        closed(predictor),
    ):
        first = pool.submit(post, url, b"x" * 1000)
        until(lambda: len(predictor.computed) == 1)
        assert post(url, b"x" * 600).error[:2] == (503, "busy")
        predictor.gate.set()
        assert first.result().status == 200
        assert post(url, b"x" * 600).status == 200


def test_an_answer_that_takes_too_long_is_not_waited_for(predictor: Gated) -> None:
    with serving(predictor, timeout=0.2) as url, ThreadPoolExecutor(1) as pool, closed(predictor):
        running = pool.submit(post, url, b"0")
        until(lambda: len(predictor.computed) == 1)
        assert post(url, b"waits").error[:2] == (504, "timeout")
        assert running.result().error[:2] == (504, "timeout")
        assert metric(url, "anybyte_queue_files") == 0
        predictor.gate.set()
        until(lambda: post(url, b"once more").status == 200)
        assert len(b"waits") not in predictor.computed


def test_who_goes_away_leaves_the_queue_and_is_not_computed(predictor: Gated) -> None:
    with serving(predictor) as url, ThreadPoolExecutor(1) as pool, closed(predictor):
        first = pool.submit(post, url, b"0")
        until(lambda: len(predictor.computed) == 1)
        with connect(url) as connection:
            connection.sendall(HEAD + b"Content-Length: 7\r\n\r\nseven..")
            until(lambda: metric(url, "anybyte_queue_files") == 1)
        until(lambda: metric(url, "anybyte_queue_files") == 0)
        predictor.gate.set()
        assert first.result().status == 200
        assert 7 not in predictor.computed


def test_explanations_do_not_crowd_out_answers(predictor: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    began, gate = threading.Event(), threading.Event()

    def explain(*args: Any) -> dict[str, Any]:
        began.set()
        assert gate.wait(60)
        return {}

    monkeypatch.setattr("anybyte.deploy.server.engine.answer", explain)
    with serving(predictor, explain_queue=1) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, url, "/v1/explain", b"abc", RAW)
        assert began.wait(60)
        assert ask(url, "/v1/explain", b"abc", RAW).error[:2] == (503, "busy")
        answer = pool.submit(post, url, b"abc")
        gate.set()
        assert (first.result().status, answer.result().status) == (200, 200)
        assert ask(url, "/v1/explain", b"abc", RAW).status == 200


def test_two_requests_on_one_connection_after_a_refusal(folder: Path) -> None:
    """A refused body that was read whole does not end the connection, nor is it taken for the next request."""
    with serving(folder) as url, connect(url) as connection:
        connection.sendall(
            HEAD + b"Content-Length: 0\r\n\r\n" + HEAD + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc"
        )
        received = answer_on(connection)
        assert received.startswith(b"HTTP/1.1 422 ")
        assert received.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 200 OK" in received
