"""What every test shares: options, markers that need something, and a home folder that is not the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes and types that public functions state are checked wherever a test calls them. Not in modules whose annotations
# name a class of another module that imports them (stretches, corenet_numerics): those cannot be resolved at run time.
CHECKED = (
    *("arguments", "attention", "byteformer", "decoder", "inputs", "one_head", "perceiver", "positions", "queries"),
    *("stem", "tokenizer", "windows"),
)
install_import_hook([f"anybyte.models.{module}" for module in CHECKED], "beartype.beartype")

# How long an example takes says more about what else the machine does than about the code. A gate should not depend on
# luck: there (CI=1) the examples are the same each time; everywhere else they are new ones.
settings.register_profile("any speed", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("anybyte")
    group.addoption("--golden", metavar="DIR", help="folder with an index.json of reference outputs to test against")
    group.addoption("--shared", metavar="DIR", help="folder of real data sets, for tests marked 'shared'")
    group.addoption("--net", action="store_true", help="run the tests that use the network")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        # One worker a core: more threads each would only get into each other's way.
        torch.set_num_threads(1)
    for option in ("--golden", "--shared"):
        folder = config.getoption(option)
        if folder is not None and not Path(folder).is_dir():
            raise pytest.UsageError(f"{option} {folder}: no such folder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = {
        "shared": (config.getoption("--shared") is None, "needs real data: pytest --shared DIR"),
        "net": (not config.getoption("--net"), "needs the network: pytest --net"),
        "gpu": (not torch.cuda.is_available(), "needs a CUDA device"),
    }
    for item in items:
        for marker, (is_missing, reason) in missing.items():
            if is_missing and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder for the whole session, so that no cache or setting of the user is read or written."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.setenv("HF_HOME", str(home / ".cache/huggingface"))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(home / ".cache/inductor"))
        patch.setenv("MPLCONFIGDIR", str(home / ".config/matplotlib"))
        patch.setenv("MPLBACKEND", "agg")
        yield home


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder given with --shared; only for tests marked `shared`."""
    return Path(request.config.getoption("--shared"))
