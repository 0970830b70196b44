from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.privacy.order import ORDERS, STRIDE, reorder

LENGTHS = st.integers(0, 3 * STRIDE + 10)


def places(length: int, order: str, seed: int = 0) -> list[int]:
    """Which byte each place of the result comes from; lengths beyond 256 take two passes of one byte each."""
    index = np.arange(length)
    low, high = ((index >> shift & 0xFF).astype(np.uint8) for shift in (0, 8))
    rngs = (np.random.default_rng(5), np.random.default_rng(5))
    moved = [reorder(part, order, seed=seed, rng=rng).astype(int) for part, rng in zip((low, high), rngs, strict=True)]
    return (moved[0] + (moved[1] << 8)).tolist()


@given(length=LENGTHS, order=st.sampled_from(ORDERS), seed=st.integers(0, 3))
def test_an_order_moves_bytes_and_neither_loses_nor_adds_any(length: int, order: str, seed: int) -> None:
    assert sorted(places(length, order, seed)) == list(range(length))


@given(length=LENGTHS)
def test_each_order_is_what_the_paper_says(length: int) -> None:
    index = list(range(length))
    assert places(length, "stored") == index
    assert places(length, "reverse") == index[::-1]
    assert places(length, "roll") == list(np.roll(index, length // 2).astype(int))
    assert places(length, "stride") == [place for start in range(STRIDE) for place in index[start::STRIDE]]


@given(blocks=st.integers(0, 3), tail=st.integers(0, STRIDE - 1))
def test_windows_are_shuffled_alike_and_the_tail_stays(blocks: int, tail: int) -> None:
    moved = places(blocks * STRIDE + tail, "window", seed=7)
    first = places(STRIDE, "window", seed=7)
    assert first != list(range(STRIDE))
    for block in range(blocks):
        assert moved[block * STRIDE : (block + 1) * STRIDE] == [block * STRIDE + place for place in first]
    assert moved[blocks * STRIDE :] == list(range(blocks * STRIDE, blocks * STRIDE + tail))


def test_the_shuffle_of_windows_follows_from_the_seed() -> None:
    assert places(STRIDE, "window", 1) == places(STRIDE, "window", 1)
    assert places(STRIDE, "window", 1) != places(STRIDE, "window", 2)


def test_random_orders_are_drawn_anew() -> None:
    data, rng = np.arange(200, dtype=np.uint8), np.random.default_rng(0)
    assert reorder(data, "random", rng=rng).tolist() != reorder(data, "random", rng=rng).tolist()
    with pytest.raises(ValueError, match="a generator"):
        reorder(data, "random")


def test_unknown_orders_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown order 'upside down'; known are stored, reverse"):
        reorder(np.zeros(3, dtype=np.uint8), "upside down")
