"""The server as a process of its own: it leaves nobody without an answer when it stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anybyte import load
from tests.deploy.server.asking import PATIENCE, ask, connect, post

CALLERS = 8


@contextmanager
def process(*args: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`anybyte serve ARGS...`, and the address that it tells when it is ready."""
    command = [sys.executable, "-m", "anybyte", "serve", *map(str, args), "--port", "0", "--threads", "1"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": "error"}
    ) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            found = re.fullmatch(r"anybyte: serving tiny on (http://\S+)\n", line)
            assert found, line
            yield server, found[1]
        finally:
            server.kill()


def test_a_signal_under_load_leaves_no_request_unanswered(folder: Path) -> None:
    (expected,) = load(folder).classify([b"abc" * 50])
    answers: list[str] = []
    enough = threading.Event()

    def call(url: str) -> None:
        while True:
            try:
                reply = post(url, b"abc" * 50)
            except OSError:  # the door is closed
                return
            assert reply.status == 200
            answers.append(reply.json["results"][0]["label"])
            if len(answers) >= 5 * CALLERS:
                enough.set()

    with process(folder) as (server, url):
        callers = [threading.Thread(target=call, args=(url,)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        assert enough.wait(PATIENCE)
        server.send_signal(signal.SIGTERM)
        log = server.communicate(timeout=PATIENCE)[1]
        for caller in callers:
            caller.join(PATIENCE)
        assert server.returncode == 0
    taken = re.findall(r"POST /v1/classify (\d+)", log)
    assert set(taken) == {"200"}
    assert len(taken) == len(answers), "the server took a request, and its caller got no answer"
    assert set(answers) == {expected.label}
    assert "Traceback" not in log


def test_a_request_that_is_still_arriving_is_answered(folder: Path) -> None:
    with process(folder) as (server, url), connect(url) as connection:
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: here\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: 6\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # so it is being read
        server.send_signal(signal.SIGTERM)
        assert server.stderr is not None
        connection.sendall(b"abcdef")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        assert b"HTTP/1.1 200 OK" in received
        assert server.wait(PATIENCE) == 0


def test_an_interrupt_stops_it_as_well(folder: Path) -> None:
    with process(folder, "--quiet") as (server, url):
        assert ask(url, "/healthz").status == 200
        server.send_signal(signal.SIGINT)
        log = server.communicate(timeout=PATIENCE)[1]
        assert (server.returncode, log) == (0, "")
