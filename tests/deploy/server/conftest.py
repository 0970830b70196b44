from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anybyte.deploy.server import Settings, serve_in_thread
from tests.deploy.server.asking import Gated, gated
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder."""
    return save_tiny_model(tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A server of it under the names `tiny` and `other`, with the usual limits but for the longest file: 100 kB."""
    with serve_in_thread({"tiny": folder, "other": folder}, Settings(port=0, max_bytes=100_000, max_files=4)) as url:
        yield url


@pytest.fixture
def predictor(folder: Path) -> Iterator[Gated]:
    """A model that computes only when a test lets it. Its gate is open at last, so that servers can stop."""
    found = gated(folder)
    yield found
    found.gate.set()
