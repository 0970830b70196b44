"""What tests of bulk runs share: a model, and a tree of files in which much can go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'anybyte[bulk]'")
pytest.importorskip("fsspec", reason="needs fsspec: pip install 'anybyte[bulk]'")

from anybyte.deploy.bulk.rows import Job
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("bulk") / "model")


@pytest.fixture(scope="session")
def job(model: Path) -> Job:
    return Job(str(model), top=2, max_bytes=1000, device="cpu")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files at several depths, among them an empty one, one that is too long and a link that leads nowhere."""
    root = tmp_path / "tree"
    for number in range(12):
        path = root / f"{number % 3}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes((number * step) % 256 for step in range(10 + 30 * number)))
    (root / "1.txt").write_bytes(b"beside a folder whose name is its beginning")
    (root / "empty").touch()
    (root / "long").write_bytes(bytes(1001))
    (root / "gone").symlink_to("nowhere")
    return root
