"""Files of any length in constant memory, exactly.

Everything in a ByteFormer before the final mean is local: a token reads k bytes, a block looks no further than its
windows, a merge takes two tokens. So a file can flow through all layers at once, a stretch of bytes at a time: each
layer works on the whole windows that have arrived and keeps the rest until more come. Nothing is approximated; only
the batching of the same sums differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from anybyte.batch import ByteBatch
from anybyte.models.windows import Lengths, cut_windows

if TYPE_CHECKING:
    from anybyte.models.byteformer import ByteFormer

STRETCH_BYTES = 2**20
"""Files longer than this are read in stretches of this length."""


def features_of_long_files(model: ByteFormer, batch: ByteBatch) -> Float[Tensor, "files dim"]:
    """`model.features` of a batch in which some files are longer than a stretch."""
    rows: list[Tensor | None] = [None] * len(batch)
    parts = batch.split()
    short = [index for index, part in enumerate(parts) if len(part) <= STRETCH_BYTES]
    if short:
        values = torch.cat([parts[index] for index in short])
        for index, row in zip(short, model.features(ByteBatch(values, batch.lengths[short])), strict=True):
            rows[index] = row
    for index, part in enumerate(parts):
        if rows[index] is None:
            rows[index] = features_in_stretches(model, part.split(STRETCH_BYTES))
    return torch.stack([row for row in rows if row is not None])


def features_in_stretches(model: ByteFormer, stretches: Iterator[Tensor] | tuple[Tensor, ...]) -> Float[Tensor, "dim"]:
    """The features of one file whose bytes come in pieces: uint8 tensors of any lengths."""
    layers = [_BlockStream(model, index) for index in range(model.config.depth)]
    total = torch.zeros(model.config.dim, dtype=torch.float64, device=model.norm.weight.device)
    count = 0
    for tokens, last in _stem_stream(model, stretches):
        for layer in layers:
            tokens = layer.push(tokens, last)
        if len(tokens):
            total += model.norm(tokens).double().sum(dim=0)
            count += len(tokens)
    return (total / count).to(torch.promote_types(model.norm.weight.dtype, torch.float32))


def _stem_stream(model: ByteFormer, stretches: Iterator[Tensor] | tuple[Tensor, ...]) -> Iterator[tuple[Tensor, bool]]:
    """Tokens with their positions, a stretch at a time, and whether they are the last ones."""
    stem = model.stem
    waiting: UInt8[Tensor, "bytes"] = torch.empty(0, dtype=torch.uint8, device=stem.kernel.device)
    first = 0
    for stretch in stretches:
        waiting = torch.cat([waiting, stretch.to(waiting.device)])
        # Hold back enough that the tokens emitted here read no padding and the end of the file has a token to make.
        ready = (len(waiting) - stem.kernel_size) // stem.stride
        if ready > 0:
            indices = waiting[: (ready + 1) * stem.stride].to(torch.int32).unfold(0, stem.kernel_size, stem.stride)
            yield _with_positions(model, indices, first), False
            first += ready
            waiting = waiting[ready * stem.stride :]
    lengths = np.array([len(waiting)])
    indices = stem.read(waiting, lengths, stem.num_tokens(lengths))
    yield _with_positions(model, indices, first), True


def _with_positions(model: ByteFormer, indices: Tensor, first: int) -> Tensor:
    tokens = model.stem.tokens(indices)
    if model.positions is None:
        return tokens
    return tokens + model.positions.table(first, len(tokens)).to(tokens.dtype)


class _BlockStream:
    """One block and its merge over a stream of tokens; what does not fill a window, or a pair, waits."""

    def __init__(self, model: ByteFormer, index: int) -> None:
        self.model, self.index = model, index
        self.window, shift = model.windows[index]
        self.shift = shift % self.window
        self.at_start = True
        self.waiting: Tensor | None = None
        self.unpaired: Tensor | None = None

    def push(self, tokens: Tensor, last: bool) -> Tensor:
        """The tokens that can be finished now that these have come."""
        if self.waiting is not None:
            tokens = torch.cat([self.waiting, tokens])
        lead = self.shift if self.at_start else 0
        end = len(tokens) if last else self._last_boundary(len(tokens), lead)
        self.waiting = tokens[end:].clone()
        tokens = tokens[:end]
        if end:
            tokens = self.model.run_windows(self.index, tokens, self._cut(end, lead))
            self.at_start = False
        return self._merge(tokens, last)

    def _last_boundary(self, count: int, lead: int) -> int:
        return 0 if count < lead else lead + (count - lead) // self.window * self.window

    def _cut(self, count: int, lead: int) -> Lengths:
        return cut_windows(np.array([count]), self.window, lead)

    def _merge(self, tokens: Tensor, last: bool) -> Tensor:
        if str(self.index) not in self.model.merges:
            return tokens
        if self.unpaired is not None:
            tokens = torch.cat([self.unpaired, tokens])
        end = len(tokens) if last else len(tokens) // 2 * 2
        self.unpaired = tokens[end:].clone()
        if not end:
            return tokens[:0]
        return self.model.run_merge(self.index, tokens[:end], np.array([end]))[0]
