"""Which files are in memory together, and which are computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BATCH_BYTES = 2**19
"""Bytes computed at once, about. More gains little even on large devices: a batch is 65,000 tokens by then."""

WINDOW_BYTES = 16 * BATCH_BYTES
WINDOW_FILES = 1024
"""Files read ahead and sorted by length: what is in memory, however many files there are."""


def windows(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in lists, in their order: each is full at `WINDOW_BYTES` or `WINDOW_FILES`, and drawn when asked for.

    Args:
        items: drawn one by one.
        size: bytes of an item.
    """
    window: list[T] = []
    held = 0
    for item in items:
        window.append(item)
        held += size(item)
        if held >= WINDOW_BYTES or len(window) == WINDOW_FILES:
            yield window
            window, held = [], 0
    if window:
        yield window


def pack(sizes: Sequence[int], max_bytes: int) -> list[list[int]]:
    """Batches as lists of indices into `sizes`, each index once, the shortest files first.

    Args:
        sizes: bytes of each file.
        max_bytes: bytes of a batch, at most. A file longer than that is a batch of its own.
    """
    batches: list[list[int]] = []
    room = -1
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if sizes[index] > room:
            batches.append([])
            room = max_bytes
        batches[-1].append(index)
        room -= sizes[index]
    return batches
