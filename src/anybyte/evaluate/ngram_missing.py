"""What a byte n-gram knows of masked bytes: the baseline that masked language models are held against.

- from the left: the distribution of a byte given all that is not masked before it, the masked bytes summed out;
- from both sides: given what is not masked before and behind it (forward-backward);
- told the left: given the true bytes before it, which a masked language model does not see.

The sums are over all strings: the n-gram is an automaton whose states are the contexts that were seen, and what a
context hands down goes to the next shorter one. All know that white space is never masked, as the models soon learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from anybyte.evaluate.ngram import ByteNgram, Keys
from anybyte.tasks.masked import IS_SPACE

Progress = Callable[[int, int], None]

_WEIGHTS = 2**25
"""Numbers that are held for the stretches that are computed together."""
_TEXTS = 64
_PAD = 32
"""The byte that stands before a text's first."""
_ROWS = 8192


@dataclass(frozen=True)
class _Sums:
    """A sparse matrix, as weighted sums of rows."""

    columns: Tensor
    starts: Tensor
    values: Tensor

    @classmethod
    def of(cls, rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float32], count: int) -> _Sums:
        order = np.argsort(rows, kind="stable")
        starts = np.searchsorted(rows[order], np.arange(count))
        return cls(*(torch.from_numpy(part) for part in (columns[order], starts, values[order])))

    def __matmul__(self, weights: Tensor) -> Tensor:
        return F.embedding_bag(self.columns, weights, self.starts, mode="sum", per_sample_weights=self.values)


@dataclass(frozen=True)
class _Level:
    """Contexts of one length, and the next shorter ones that they hand down to."""

    states: Tensor
    shorter: Tensor
    passed: Tensor
    down: _Sums
    below: Tensor
    """The states of the shorter length, the rows of `down`."""


class Automaton:
    """An n-gram as a machine that goes from context to context, byte by byte. Its states are sorted by last byte.

    Probability that is handed down past a byte of a context forgets that byte; otherwise this is the n-gram.

    Attributes:
        num_states: contexts of all lengths, the empty one among them.
        starts: the first state of each last byte, and behind the last of 255, [257]. The empty context is last of all.
        lasts: the last byte of each state, 256 for the empty context.
    """

    def __init__(self, model: ByteNgram) -> None:
        self.model = model
        contexts = [order.contexts for order in model.orders]
        lengths = np.repeat(np.arange(len(contexts)), [len(found) for found in contexts])
        lasts = (np.concatenate(contexts) & np.uint64(255)).astype(np.int64)
        lasts[lengths == 0] = 256
        by_last = np.argsort(lasts, kind="stable")
        ids = np.empty(len(lasts), dtype=np.int64)
        ids[by_last] = np.arange(len(lasts))
        self.num_states = len(lasts)
        self.starts = np.searchsorted(lasts[by_last], np.arange(257))
        self.lasts = torch.from_numpy(lasts[by_last])
        self._in_order = torch.arange(self.starts[256])
        self._ids = np.split(ids, np.cumsum([len(found) for found in contexts])[:-1])
        sources, goals, values = self._arcs()
        self._steps = _Sums.of(goals, sources, values, self.num_states)
        self._back = _Sums.of(sources, goals, values, self.num_states)
        self._levels = [self._level(length) for length in range(len(contexts) - 1, 0, -1)]

    def find(self, strings: Keys, length: int) -> NDArray[np.int64]:
        """The states of strings of so many bytes: their longest ends that were seen, or the empty context."""
        found = np.full(len(strings), self._ids[0][0], dtype=np.int64)
        for shorter in range(1, min(length, len(self._ids) - 1) + 1):
            seen, places = self.model.orders[shorter].find(strings & np.uint64(2 ** (8 * shorter) - 1))
            found[seen] = self._ids[shorter][places]
        return found

    def forward(self, weights: Tensor) -> Tensor:
        """The weights of states [states, texts] after one byte more, whichever it is."""
        weights = weights.clone()
        for level in self._levels:
            weights[level.below] += level.down @ weights
        return self._steps @ weights

    def backward(self, weights: Tensor) -> Tensor:
        """Weights of states [states, texts] as they are one byte earlier: the transpose of `forward`."""
        found = self._back @ weights
        for level in reversed(self._levels):
            found[level.states] += level.passed[:, None] * found[level.shorter]
        return found

    def by_byte(self, weights: Tensor) -> NDArray[np.float32]:
        """Weights of states [states, texts] -> of their last bytes [256, texts]."""
        sums = np.zeros((256, weights.shape[1]), dtype=np.float32)
        there = np.flatnonzero(np.diff(self.starts))
        starts = torch.from_numpy(self.starts[there])
        sums[there] = F.embedding_bag(self._in_order, weights, starts, mode="sum").numpy()
        return sums

    def _arcs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """From which state to which, and how probable, without what is handed down."""
        sources, goals, values = [], [], []
        for length, order in enumerate(self.model.orders):
            counts = np.diff(order.starts)
            strings = (np.repeat(order.contexts, counts) << np.uint64(8)) | order.successors.astype(np.uint64)
            sources.append(np.repeat(self._ids[length], counts))
            goals.append(self.find(strings, length + 1))
            base = order.passed[0] / np.float32(256) if length == 0 else np.float32(0)
            values.append(order.shares + base)
        # A byte that was never seen, whichever: what even the empty context hands down.
        empty = self._ids[0]
        return (
            np.concatenate([*sources, empty]),
            np.concatenate([*goals, empty]),
            np.concatenate([*values, self.model.orders[0].passed / np.float32(256)]),
        )

    def _level(self, length: int) -> _Level:
        order = self.model.orders[length]
        below = self.model.orders[length - 1]
        places = np.searchsorted(below.contexts, order.contexts & np.uint64(2 ** (8 * (length - 1)) - 1))
        down = _Sums.of(places, self._ids[length], order.passed, len(below.contexts))
        ids = [torch.from_numpy(found) for found in (self._ids[length], self._ids[length - 1][places])]
        return _Level(ids[0], ids[1], torch.from_numpy(order.passed), down, torch.from_numpy(self._ids[length - 1]))


@dataclass(frozen=True)
class Answers:
    """Distributions over the masked bytes of texts, in their order: float32 [masked, 256] each.

    Attributes:
        left: given what is not masked before a byte.
        both: given what is not masked before and behind it.
        told: given the true bytes before it.
    """

    left: NDArray[np.float32]
    both: NDArray[np.float32]
    told: NDArray[np.float32]


@torch.no_grad()
def answer(
    model: ByteNgram, texts: Sequence[bytes], hidden: Sequence[NDArray[np.bool_]], progress: Progress | None = None
) -> Answers:
    """What an n-gram knows of the masked bytes of texts.

    Args:
        model: the n-gram.
        texts: each is read by itself, as a masked language model reads an example.
        hidden: which bytes of each are masked.
        progress: is called with the masked bytes done so far, and of all.
    """
    automaton, memory = Automaton(model), model.order - 1
    lead = np.full(memory, _PAD, dtype=np.uint8)
    data = np.concatenate([part for text in texts for part in (lead, np.frombuffer(text, dtype=np.uint8))])
    mask = np.concatenate([part for one in hidden for part in (np.zeros(memory, dtype=bool), one)])
    ends = np.cumsum([memory + len(text) for text in texts])
    number, count = np.cumsum(mask) - 1, int(mask.sum())
    left, both = np.zeros((count, 256), dtype=np.float32), np.zeros((count, 256), dtype=np.float32)
    done = 0
    for places in _batches(_stretches(mask, ends, memory), automaton.num_states):
        chosen = mask[places]
        before, around = _forward_backward(automaton, data[places], chosen, _before(data, places[:, 0], memory))
        left[number[places[chosen]]], both[number[places[chosen]]] = before[chosen], around[chosen]
        done += int(chosen.sum())
        if progress is not None:
            progress(done, count)
    where = np.flatnonzero(mask)
    told = [model.rows(_before(data, where[first : first + _ROWS], memory)) for first in range(0, count, _ROWS)]
    return Answers(*(_without_space(rows) for rows in (left, both, np.concatenate([left[:0], *told]))))


def _forward_backward(
    automaton: Automaton, data: NDArray[np.uint8], mask: NDArray[np.bool_], before: Keys
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The weight of each byte at each place of stretches [stretches, length, 256]: from the left, from both sides.

    Args:
        automaton: of the n-gram.
        data, mask: the true bytes, and which are masked, [stretches, length].
        before: the bytes in front of each stretch.
    """
    count, length = data.shape
    weights = torch.zeros(automaton.num_states, count)
    weights[torch.from_numpy(automaton.find(before, automaton.model.order - 1)), torch.arange(count)] = 1
    left, both = (np.zeros((count, length, 256), dtype=np.float32) for _ in range(2))
    history = []
    for step in range(length):
        weights = _allowed(automaton, automaton.forward(weights), data[:, step], mask[:, step])
        weights /= weights.sum(dim=0)
        history.append(weights)
        left[:, step] = automaton.by_byte(weights).T
    future = torch.ones_like(weights)
    for step in range(length - 1, -1, -1):
        both[:, step] = automaton.by_byte(history[step] * future).T
        future = automaton.backward(_allowed(automaton, future, data[:, step], mask[:, step]))
        future /= future.amax(dim=0)
    return left, both


def _allowed(automaton: Automaton, weights: Tensor, truth: NDArray[np.uint8], masked: NDArray[np.bool_]) -> Tensor:
    """Weights of states [states, texts] whose last byte may stand there: the true one, or any but white space."""
    allowed = np.zeros((257, len(truth)), dtype=np.float32)
    allowed[:256, masked] = ~IS_SPACE[:, None]
    # A byte that was never seen leads to the empty context.
    lasts = np.where(np.diff(automaton.starts)[truth], truth.astype(np.int64), 256)
    allowed[lasts[~masked], np.flatnonzero(~masked)] = 1
    return weights * torch.from_numpy(allowed)[automaton.lasts]


def _stretches(mask: NDArray[np.bool_], ends: NDArray[np.int64], memory: int) -> NDArray[np.int64]:
    """Where the context is not known: [stretches, (first, behind the last)]. Each begins masked, and ends with its text
    or when as many bytes as a context holds were not masked.

    Args:
        mask: of all texts, `memory` bytes in front of each.
        ends: of the texts.
        memory: bytes of a context.
    """
    unsure = mask.copy()
    for back in range(1, memory + 1):
        unsure[back:] |= mask[:-back]
    for start in (0, *ends[:-1].tolist()):
        unsure[start : start + memory] = False
    steps = np.diff(np.concatenate([[0], unsure.astype(np.int8), [0]]))
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)


def _batches(stretches: NDArray[np.int64], num_states: int) -> Iterator[NDArray[np.int64]]:
    """The places of stretches of equal length, [stretches, length], as many at a time as there is room for."""
    lengths = stretches[:, 1] - stretches[:, 0]
    for length in np.unique(lengths).tolist():
        starts = stretches[lengths == length, 0]
        room = min(_TEXTS, max(1, _WEIGHTS // (length * num_states)))
        for first in range(0, len(starts), room):
            yield starts[first : first + room, None] + np.arange(length)


def _before(data: NDArray[np.uint8], places: NDArray[np.int64], memory: int) -> Keys:
    """The true bytes in front of places, the newest lowest."""
    states = np.zeros(len(places), dtype=np.uint64)
    for back in range(memory, 0, -1):
        states = (states << np.uint64(8)) | data[places - back].astype(np.uint64)
    return states


def _without_space(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of the bytes that may be masked; of bytes never seen, which a sum leaves out, next to nothing."""
    rows = np.where(IS_SPACE, np.float32(0), np.maximum(rows, np.float32(1e-7)))
    normal: NDArray[np.float32] = rows / rows.sum(axis=-1, keepdims=True)
    return normal
