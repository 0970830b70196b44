"""A byte n-gram: interpolated Kneser-Ney (Chen & Goodman 1999).

Each order takes a discount off its counts and hands it down to the next, the lower ones counting in how many contexts a
byte was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_DENSE = 3
"""The order up to which there is a whole row of probabilities for every context that was seen."""


@dataclass(frozen=True)
class Order:
    """What was seen behind contexts of one length.

    Attributes:
        contexts: sorted.
        starts: where the successors of each begin and end, [contexts + 1].
        successors: bytes.
        shares: discounted probability of each.
        passed: what each context hands down to the next order.
    """

    contexts: Keys
    starts: NDArray[np.int64]
    successors: NDArray[np.uint8]
    shares: NDArray[np.float32]
    passed: NDArray[np.float32]

    def find(self, contexts: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the contexts were seen, and their places here."""
        places = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        seen = np.flatnonzero(self.contexts[places] == contexts)
        return seen, places[seen]

    def add_to(self, rows: NDArray[np.float32], contexts: Keys) -> None:
        """Turns rows [contexts, 256] of the next lower order into those of this one."""
        seen, places = self.find(contexts)
        rows[seen] *= self.passed[places, None]
        counts = self.starts[places + 1] - self.starts[places]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        items = np.repeat(self.starts[places], counts) + within
        rows[np.repeat(seen, counts), self.successors[items]] += self.shares[items]


class ByteNgram:
    """An interpolated Kneser-Ney model of bytes.

    Args:
        texts: to count in, each by itself.
        order: bytes of an n-gram, 2 to 8.

    Raises:
        ValueError: an order out of range, or no text as long as an n-gram.
    """

    def __init__(self, texts: Iterable[bytes], order: int = 5) -> None:
        if not 2 <= order <= 8:
            raise ValueError(f"order is {order}, expected 2 to 8")
        self.order = order
        found = [np.unique(_keys(text, order), return_counts=True) for text in texts if len(text) >= order]
        if not found:
            raise ValueError(f"there is no text of at least {order} bytes to count in")
        keys, where = np.unique(np.concatenate([keys for keys, _ in found]), return_inverse=True)
        counts: NDArray[np.float64] = np.bincount(where, weights=np.concatenate([one for _, one in found])).astype(
            float
        )
        orders = []
        for length in range(order, 0, -1):
            orders.append(_make_order(keys, counts))
            keys, seen = np.unique(keys & np.uint64(2 ** (8 * (length - 1)) - 1), return_counts=True)
            counts = seen.astype(np.float64)
        self.orders = orders[::-1]
        row = np.full((1, 256), 1 / 256, dtype=np.float32)
        self.orders[0].add_to(row, np.zeros(1, dtype=np.uint64))
        self._unigram = row[0]
        self._base = min(_DENSE, order)
        self._known = self.orders[self._base - 1].contexts
        self._dense = self._raise(np.tile(self._unigram, (len(self._known), 1)), self._known, 1, self._base)

    def rows(self, states: Keys) -> NDArray[np.float32]:
        """The probability of each byte after each context of order - 1 bytes, float32 [states, 256]."""
        short = states & np.uint64(2 ** (8 * (self._base - 1)) - 1)
        places = np.minimum(np.searchsorted(self._known, short), len(self._known) - 1)
        rows = self._dense[places]
        new = np.flatnonzero(self._known[places] != short)
        if len(new):
            rows[new] = self._raise(np.tile(self._unigram, (len(new), 1)), short[new], 1, self._base)
        return self._raise(rows, states, self._base, self.order)

    def _raise(self, rows: NDArray[np.float32], states: Keys, done: int, order: int) -> NDArray[np.float32]:
        """Rows of one order to those of a higher one."""
        for length in range(done, order):
            self.orders[length].add_to(rows, states & np.uint64(2 ** (8 * length) - 1))
        return rows


def _keys(text: bytes, order: int) -> Keys:
    """The n-grams of a text as numbers, the last byte lowest."""
    data = np.frombuffer(text, dtype=np.uint8).astype(np.uint64)
    count = len(data) - order + 1
    keys = np.zeros(count, dtype=np.uint64)
    for place in range(order):
        keys = (keys << np.uint64(8)) | data[place : place + count]
    return keys


def _make_order(keys: Keys, counts: NDArray[np.float64]) -> Order:
    """From sorted n-grams and their counts."""
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    discount = once / (once + 2 * twice) if once else 0.5
    contexts, starts = np.unique(keys >> np.uint64(8), return_index=True)
    ends = np.append(starts[1:], len(keys))
    totals = np.add.reduceat(counts, starts)
    shares = (counts - discount) / np.repeat(totals, ends - starts)
    return Order(
        contexts,
        np.append(starts, len(keys)).astype(np.int64),
        (keys & np.uint64(255)).astype(np.uint8),
        shares.astype(np.float32),
        (discount * (ends - starts) / totals).astype(np.float32),
    )
