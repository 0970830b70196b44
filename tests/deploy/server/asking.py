"""What tests of the server share: a way to ask it, and a model that computes only when it may."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anybyte import Predictor, load
from tests.deploy.server.test_multipart import BOUNDARY, body_of

RAW = {"Content-Type": "application/octet-stream"}
PARTS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
PATIENCE = 60.0
"""Seconds that only a broken test waits."""

__all__ = ["PARTS", "PATIENCE", "RAW", "Reply", "ask", "body_of", "connect", "gated", "metric", "post", "until"]


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message, which every error has; the status twice, and equal."""
        told = self.json["error"]
        assert told["status"] == self.status
        return self.status, told["code"], told["message"]


def ask(
    url: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str | None = None
) -> Reply:
    """Asks on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def post(url: str, data: bytes, query: str = "", **headers: str) -> Reply:
    """Asks what a file is."""
    return ask(url, f"/v1/classify{query}", data, RAW | headers)


def connect(url: str) -> socket.socket:
    """A connection on which a test may say what it likes."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE)


def metric(url: str, name: str) -> float:
    """The sum of a number of /metrics over its labels."""
    lines = ask(url, "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)


def until(condition: Callable[[], bool]) -> None:
    """Asks again and again until it is so; each question takes its time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to be"


class Gated(Predictor):
    """A predictor that computes only while its gate is open, and fails on files that begin with `BUG`."""

    gate: threading.Event
    computed: list[int]

    def probabilities(self, contents: Any) -> Any:
        if hasattr(self, "gate"):
            self.computed += [len(content) for content in contents]
            assert self.gate.wait(PATIENCE)
        if any(bytes(content[:3]) == b"BUG" for content in contents):
            raise RuntimeError("out of memory, say")
        return super().probabilities(contents)


def gated(folder: Path) -> Gated:
    """The predictor of a model's folder; its gate is open."""
    plain = load(folder)
    predictor = Gated(plain.model, plain.labels, reading=plain.reading)
    predictor.gate, predictor.computed = threading.Event(), []
    predictor.gate.set()
    return predictor
