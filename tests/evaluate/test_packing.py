from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.evaluate import packing
from anybyte.evaluate.packing import pack, windows


@given(st.lists(st.integers(0, 100)), st.integers(1, 120))
def test_each_file_once_and_no_batch_over_budget(sizes: list[int], max_bytes: int) -> None:
    batches = pack(sizes, max_bytes)
    assert sorted(itertools.chain(*batches)) == list(range(len(sizes)))
    assert all(len(batch) == 1 or sum(sizes[index] for index in batch) <= max_bytes for batch in batches)
    order = [sizes[index] for batch in batches for index in batch]
    assert order == sorted(order)


def test_batches_of_equal_lengths() -> None:
    assert pack([5, 3, 5, 3, 3], 100, equal=True) == [[1, 3, 4], [0, 2]]
    assert pack([5, 3, 5, 3, 3], 6, equal=True) == [[1, 3], [4], [0], [2]]


def test_a_long_file_is_alone() -> None:
    assert pack([5, 1000, 3], 10) == [[2, 0], [1]]


def test_windows_end_at_a_number_of_bytes_or_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "WINDOW_BYTES", 10)
    monkeypatch.setattr(packing, "WINDOW_FILES", 3)
    assert list(windows([1, 1, 1, 1, 99, 2, 8, 1], int)) == [[1, 1, 1], [1, 99], [2, 8], [1]]
    assert list(windows([], int)) == []
