"""Which files are in memory together, and which are computed together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from torch import nn

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


def needs_equal_lengths(model: nn.Module) -> bool:
    """Whether a file's answer changes with longer files in its batch: so it is in the paper's released code.

    Beside files of its own length it does not, and a model refuses a batch of files shorter than its kernel.
    """
    return getattr(getattr(model, "config", None), "numerics", None) == "corenet"


def pack(sizes: Sequence[int], max_bytes: int, equal: bool = False) -> list[list[int]]:
    """Batches as lists of indices into `sizes`, each index once, the shortest files first.

    Args:
        sizes: bytes of each file.
        max_bytes: bytes of a batch, at most. A file longer than that is a batch of its own.
        equal: whether a batch holds files of one length only.
    """
    batches: list[list[int]] = []
    room = -1
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if sizes[index] > room or (equal and sizes[index] != sizes[batches[-1][0]]):
            batches.append([])
            room = max_bytes
        batches[-1].append(index)
        room -= sizes[index]
    return batches


def pack_forms(
    sizes: Sequence[int], forms: Sequence[Hashable], max_bytes: int, equal: bool = False
) -> Iterator[list[int]]:
    """As `pack`, where only data of one form can stand in a batch (`form_of`): one form after the other."""
    for form in dict.fromkeys(forms):
        places = [place for place, other in enumerate(forms) if other == form]
        for batch in pack([sizes[place] for place in places], max_bytes, equal):
            yield [places[index] for index in batch]
