"""Opens the door: a server in this process until a signal comes, or in a thread for tests and notebooks."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import uvicorn

from anybyte.deploy.server.app import create_app
from anybyte.deploy.server.models import Served, load_models
from anybyte.deploy.server.settings import Settings
from anybyte.predictor import Predictor

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 15
_START_SECONDS = 30.0


class _Server(uvicorn.Server):
    """uvicorn's server, which ends like any other function when a signal stops it: that was what was asked for."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops gracefully; the second one does not wait for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run(models: Mapping[str, Served], settings: Settings, on_started: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM; then it takes no more requests, and answers those that it has taken.

    Args:
        models: by name (`load_models`).
        settings: where to listen, and the limits.
        on_started: is told the address once requests are taken.

    Raises:
        OSError: the address cannot be listened on.
    """
    listener = _listen(settings)
    server = _Server(_config(models, settings), lambda: on_started(_url(listener)))
    server.run(sockets=[listener])


@contextlib.contextmanager
def serve_in_thread(
    models: Mapping[str, str | os.PathLike[str] | Predictor], settings: Settings | None = None
) -> Iterator[str]:
    """A server in a thread of this process: gives its address, and stops gracefully when the context is left.

    Args:
        models: name -> folder, bundled name, hub id, or predictor.
        settings: None: any port that is free, and the usual limits.

    Raises:
        ValueError: a model cannot be served.
        OSError: the address cannot be listened on.
    """
    settings = settings or Settings(port=0)
    config = _config(load_models(models), settings)
    listener = _listen(settings)
    started = threading.Event()
    server = _Server(config, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="anybyte-server", daemon=True)
    thread.start()
    try:
        if not started.wait(_START_SECONDS):
            raise RuntimeError("the server did not start")
        yield _url(listener)
    finally:
        server.should_exit = True
        thread.join()


def _config(models: Mapping[str, Served], settings: Settings) -> uvicorn.Config:
    logging.getLogger("uvicorn.access").disabled = True  # it would tell what callers write in addresses
    return uvicorn.Config(
        create_app(models, settings),
        access_log=False,
        log_config=None,
        lifespan="on",
        ws="none",
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Long enough for every request that has begun: to arrive, and to be answered.
        timeout_graceful_shutdown=round(settings.upload_timeout + settings.timeout) + 1,
    )


def _listen(settings: Settings) -> socket.socket:
    """A socket on the address: so that one in use is a mistake of the user's, and the port is known at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{settings.host}:{settings.port}") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
