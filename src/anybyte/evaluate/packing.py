"""Which files are computed together."""

from __future__ import annotations

from collections.abc import Sequence


def pack(sizes: Sequence[int], max_bytes: int, max_files: int = 1024) -> list[list[int]]:
    """Batches as lists of indices into `sizes`, each index once, the shortest files first.

    Args:
        sizes: bytes of each file.
        max_bytes: bytes of a batch, at most. A file longer than that is a batch of its own.
        max_files: files of a batch, at most.
    """
    batches: list[list[int]] = []
    room = -1
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if sizes[index] > room or len(batches[-1]) == max_files:
            batches.append([])
            room = max_bytes
        batches[-1].append(index)
        room -= sizes[index]
    return batches
