"""Orders of the bytes of a file (paper, section 4.3: the five that its JPEG experiments tried)."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

ORDERS = ("stored", "reverse", "random", "roll", "stride", "window")
"""Every name that `reorder` takes."""

STRIDE = 1024
"""`stride`: bytes that are this far apart come together. `window`: bytes that are shuffled among themselves."""

_WINDOW_STREAM = 1
"""Keeps the shuffle of `window` apart from what else is drawn by the same seed."""


def reorder(
    data: NDArray[np.uint8], order: str, *, seed: int = 0, rng: np.random.Generator | None = None
) -> NDArray[np.uint8]:
    """The same bytes in another order.

    Args:
        data: uint8 [bytes].
        order: one of `ORDERS`. reverse: from the last byte to the first. random: shuffled by `rng`. roll: the second
            half before the first. stride: x[0::1024], x[1::1024], ... window: each whole stretch of 1,024 bytes
            shuffled in one way, which `seed` draws; the rest at the end stays.
        seed: of `window`.
        rng: of `random`.

    Returns:
        uint8 [bytes], perhaps a view of `data`.

    Raises:
        ValueError: an unknown order, or `random` without a generator.
    """
    if order == "stored":
        return data
    if order == "reverse":
        return data[::-1]
    if order == "roll":
        return np.roll(data, len(data) // 2)
    if order == "stride":
        return _strided(data)
    if order == "window":
        return _windowed(data, seed)
    if order != "random":
        raise ValueError(f"unknown order {order!r}; known are {', '.join(ORDERS)}")
    if rng is None:
        raise ValueError("a random order needs a generator to be drawn from")
    return data[rng.permutation(len(data))]  # an order of the indices is drawn faster than one of single bytes


def _strided(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """x[0::1024], x[1::1024], ...: the columns of a table with 1,024 bytes a row, the last row perhaps short."""
    rows, rest = divmod(len(data), STRIDE)
    table, tail = data[: rows * STRIDE].reshape(rows, STRIDE), data[rows * STRIDE :]
    long = np.concatenate([table[:, :rest], tail[None]])  # the columns that reach into the last row
    return np.concatenate([long.T.reshape(-1), table[:, rest:].T.reshape(-1)])


def _windowed(data: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    whole = len(data) // STRIDE * STRIDE
    windows = data[:whole].reshape(-1, STRIDE)
    return np.concatenate([windows[:, _window(seed)].reshape(-1), data[whole:]])


@functools.lru_cache(maxsize=8)
def _window(seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _WINDOW_STREAM]).permutation(STRIDE)
