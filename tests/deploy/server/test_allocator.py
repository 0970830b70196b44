from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from anybyte.deploy.server import allocator

PAGES = Path("/proc/self/statm")


@pytest.mark.skipif(allocator._trim is None or not sys.platform.startswith("linux"), reason="needs glibc")
def test_what_lies_between_blocks_in_use_is_given_back() -> None:
    blocks = [np.full(12_500, number, dtype=np.int64) for number in range(500)]  # 100 kB each: from the heap
    kept = blocks[::25]
    full = int(PAGES.read_text().split()[1])
    del blocks
    assert allocator.give_back_memory()
    assert int(PAGES.read_text().split()[1]) < full - 5_000  # of the 12,000 pages
    assert [int(block[-1]) for block in kept] == list(range(0, 500, 25))


def test_without_a_way_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_trim", None)
    assert not allocator.give_back_memory()
