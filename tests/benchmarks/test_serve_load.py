"""The load test of the server, on a handful of callers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the server: pip install 'anybyte[serve]'")

from anybyte import load
from anybyte.deploy.server import serve_in_thread
from benchmarks import serve_load
from tests.tiny_model import save_tiny_model

FILES = serve_load.make_files(12, 50, 3000)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = save_tiny_model(tmp_path_factory.mktemp("load") / "tiny")
    with serve_in_thread({"tiny": folder}) as url:
        yield url, folder


def test_lengths_are_spread_evenly_on_a_logarithmic_scale() -> None:
    lengths = sorted(map(len, FILES))
    assert (lengths[0], lengths[-1]) == (50, 3000)
    ratios = [after / before for before, after in itertools.pairwise(lengths)]
    assert max(ratios) / min(ratios) < 1.1
    assert [len(data) for data in FILES] != lengths


def test_every_answer_is_compared(served: tuple[str, Path]) -> None:
    url, folder = served
    expected = load(folder).classify(FILES)
    tally = serve_load.Tally()
    asyncio.run(serve_load.load_server(url, FILES, expected, 5, tally, requests=40))
    told = tally.summary()
    assert (told["answered"], told["wrong"], told["refused"], told["lost"]) == (40, 0, 0, 0)
    assert 0 < told["p50_seconds"] <= told["p99_seconds"]
    assert told["server_cpu_ms_per_request"] > 0
    others = [replace(one, score=one.score / 2) for one in expected]
    asyncio.run(serve_load.load_server(url, FILES, others, 5, tally, requests=20))
    assert tally.wrong == 20


def test_refusals_and_losses_are_counted(served: tuple[str, Path]) -> None:
    url, folder = served
    expected = load(folder).classify(FILES[:1])
    tally = serve_load.Tally()
    asyncio.run(serve_load.load_server(url, [b""], expected, 2, tally, requests=4))
    assert (tally.refused, tally.lost) == (4, 0)
