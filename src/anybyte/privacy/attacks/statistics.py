"""What bytes tell about themselves without being understood: how often each value occurs, and beside which others.

A permutation of byte values renames the rows and columns of these tables and changes nothing else in them. So they are
what every attack on a permutation compares.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NUM_VALUES = 256
Counts = NDArray[np.float64]


def count_values(arrays: Iterable[NDArray[np.uint8]]) -> Counts:
    """How often each byte value occurs: float64 [256]."""
    counts = np.zeros(NUM_VALUES)
    for array in arrays:
        counts += np.bincount(array.ravel(), minlength=NUM_VALUES)
    return counts


def count_pairs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Counts:
    """How often value i of one array stands where the other of the same shape has value j: float64 [256, 256]."""
    codes = first.astype(np.intp) * NUM_VALUES + second
    counts = np.bincount(codes.ravel(), minlength=NUM_VALUES**2)
    return counts.reshape(NUM_VALUES, NUM_VALUES).astype(np.float64)


def count_neighbours(media: Iterable[NDArray[np.uint8]]) -> Counts:
    """Co-occurrences of neighbouring bytes, one table a relation, each symmetric: float64 [R, 256, 256].

    Args:
        media: pictures uint8 [H, W, C], with R = 3 relations: beside each other in a row, in a column, and in the
            channels of a pixel. Or sounds uint8 [T, B], samples of B bytes, with R = 2 B - 1: next in time for each
            byte of a sample, and neighbours in a sample.

    Raises:
        ValueError: there are no media, or arrays of other shapes.
    """
    total: Counts | None = None
    for array in media:
        if array.ndim not in (2, 3):
            raise ValueError(f"expected pictures [H, W, C] or sounds [T, B], got an array of shape {array.shape}")
        tables = np.stack([count_pairs(first, second) for first, second in _relations(array)])
        total = tables if total is None else total + tables
    if total is None:
        raise ValueError("there are no files to count the bytes of")
    return total + total.transpose(0, 2, 1)


def _relations(array: NDArray[np.uint8]) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    if array.ndim == 3:
        pairs = [(array[:, :-1], array[:, 1:]), (array[:-1], array[1:])]
        return [*pairs, (array[:, :, :-1], array[:, :, 1:])]
    width = array.shape[1]
    in_time = [(array[:-1, byte], array[1:, byte]) for byte in range(width)]
    return in_time + [(array[:, byte], array[:, byte + 1]) for byte in range(width - 1)]


def log_frequencies(tables: Counts, floor: float = 0.1) -> Counts:
    """Logarithms of the joint probabilities that counts [R, 256, 256] suggest, with something left for pairs not seen.

    A pair that did not occur gets what its two values' frequencies suggest, if they were independent, and `floor`
    counts a cell of that in all. Relations are normalised each for itself.
    """
    rows = tables.sum(axis=2) + floor
    total = rows.sum(axis=1)[:, None, None]
    independent = rows[:, :, None] * rows[:, None, :] / total
    mixed = tables + independent * (floor * NUM_VALUES**2 / total) + floor * 1e-3
    logarithms: Counts = np.log(mixed / mixed.sum(axis=(1, 2), keepdims=True))
    return logarithms


def with_noise(tables: Counts, width: int) -> Counts:
    """What counts of pairs become on average when each byte gets noise from [-width, width], modulo 256."""
    if not width:
        return tables
    kernel = np.zeros(NUM_VALUES)
    kernel[np.arange(-width, width + 1)] = 1 / (2 * width + 1)
    spectrum = np.fft.fft(kernel)
    spread = np.fft.ifft2(np.fft.fft2(tables) * spectrum[:, None] * spectrum[None, :]).real
    noisy: Counts = np.maximum(spread, 0)
    return noisy
