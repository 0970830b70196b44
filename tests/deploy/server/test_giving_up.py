"""Explanations that nobody waits for any longer are given up: neither answers nor the server's end wait for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from anybyte.deploy.server import Settings, load_models, serve_in_thread
from anybyte.deploy.server.engine import Engine
from anybyte.deploy.server.errors import ApiError
from anybyte.deploy.server.explaining import Question
from anybyte.deploy.server.metrics import Metrics
from anybyte.deploy.server.uploads import Upload
from anybyte.explain import METHODS
from anybyte.explain.target import Target
from tests.deploy.server.asking import PATIENCE, RAW, ask, connect, post, until

UPLOAD = Upload(None, b"abc", "")


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Makes occlusion a method that has no end of its own, and tells when it has begun."""
    begun, over = threading.Event(), threading.Event()

    def endless(target: Target, **settings: Any) -> Any:
        begun.set()
        while not over.is_set():
            target.logits(target.tokens()[None])
        raise AssertionError("it went on until the test was over")

    monkeypatch.setitem(METHODS, "occlusion", endless)
    yield begun
    over.set()


def test_when_their_time_is_over(folder: Path, began: threading.Event) -> None:
    with serve_in_thread({"tiny": folder}, Settings(port=0, timeout=0.5)) as url:
        reply = ask(url, "/v1/explain?method=occlusion", b"abc", RAW)
        assert reply.error[:2] == (504, "timeout")
        assert began.is_set()
        until(lambda: post(url, b"abc").status == 200)


def test_when_the_caller_goes_away(folder: Path, began: threading.Event) -> None:
    with serve_in_thread({"tiny": folder}, Settings(port=0, timeout=10 * PATIENCE)) as url:
        with connect(url) as connection:
            connection.sendall(
                b"POST /v1/explain?method=occlusion HTTP/1.1\r\nHost: here\r\n"
                b"Content-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc"
            )
            assert began.wait(PATIENCE)
        assert post(url, b"abc").status == 200


def test_when_the_server_stops(folder: Path, began: threading.Event) -> None:
    engine = Engine(load_models({"tiny": folder}), Settings(timeout=10 * PATIENCE), Metrics())
    served = engine.find(None)
    with engine.explanation(served, Question(UPLOAD, "occlusion")) as explained, ThreadPoolExecutor(1) as pool:
        assert began.wait(PATIENCE)
        (answer,) = engine.classify(served, [UPLOAD])
        pool.submit(engine.stop).result(PATIENCE)
        assert not engine.is_alive
        error = explained.exception(0)
        assert isinstance(error, ApiError)
        assert (error.status, error.code) == (503, "stopping")
        assert answer.result(0) is not None


def test_without_a_caller_their_time_is_over_too(folder: Path, began: threading.Event) -> None:
    engine = Engine(load_models({"tiny": folder}), Settings(timeout=0.2), Metrics())
    with engine.explanation(engine.find(None), Question(UPLOAD, "occlusion")) as explained:
        error = explained.exception(PATIENCE)
        assert isinstance(error, ApiError)
        assert (error.status, error.code) == (504, "timeout")
    engine.stop()
