"""A browser that drives the page, a real server with a real model behind it, and the page built without a server."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from anybyte.deploy.page import runtime_cache
from anybyte.deploy.server import serve_in_thread
from tests.deploy.web.made_files import save_made_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RUNTIME = runtime_cache()
"""Of the user, whose home the tests then replace by one of their own."""
FLAGS = [
    "--no-sandbox",  # tests may run as root, where Chromium has none
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-gpu",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as run:
        chromium = run.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a fresh browser context; nothing may be written to the console, as error or warning."""
    contexts, said = [], []

    def open_page(url: str, wait: bool = True, **options: Any) -> Any:
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)  # the machine may be busy
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        if wait:
            page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="session")
def made_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_made_model(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture(scope="session")
def server(made_model: Path) -> Iterator[str]:
    """The address of a real server of the made model."""
    with serve_in_thread({"made": made_model}) as url:
        yield url


@pytest.fixture(scope="session")
def runtime() -> Path:
    """A folder with onnxruntime-web, which is fetched before the tests, since they use no network."""
    if not RUNTIME.is_dir():
        pytest.skip("needs onnxruntime-web: python -m anybyte.deploy.page")
    return RUNTIME


class _Recorder(SimpleHTTPRequestHandler):
    """A plain server of files, which notes what is asked of it."""

    requests: list[tuple[str, str]]

    def do_POST(self) -> None:
        self.requests.append(("POST", self.path))
        self.send_error(405)

    def do_GET(self) -> None:
        self.requests.append(("GET", self.path))
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


class StaticSite:
    """A folder that is served as it is.

    Attributes:
        url: its address.
        requests: method and path of every request so far.
    """

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        handler = type("Handler", (_Recorder,), {"requests": self.requests})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def static_site() -> Iterator[Callable[[Path], StaticSite]]:
    """Serves folders until the session ends."""
    sites: list[StaticSite] = []

    def serve(folder: Path) -> StaticSite:
        sites.append(StaticSite(folder))
        return sites[-1]

    yield serve
    for site in sites:
        site.close()


def drop(page: Any, name: str, data: bytes) -> None:
    """Drops a file on the page."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
            return transfer;
        }""",
        [name, base64.b64encode(data).decode()],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
