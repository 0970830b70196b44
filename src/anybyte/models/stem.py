"""From bytes to tokens: byte embedding and strided convolution, as one table lookup.

There is no nonlinearity between the embedding E [257, dim] and the convolution W [dim, dim, k], so with the table
S[j, b] = W[:, :, j] E[b] a token is the sum of k rows, one for each byte it reads: exact, and k additions of `dim`
numbers instead of k dim^2 multiplications. The table costs 257 k dim^2 to build.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import PADDING, VOCABULARY, ByteBatch
from anybyte.models.windows import Lengths, on_the_host


class Stem(nn.Module):
    """Bytes -> tokens: kernel of k bytes, stride k / 2, no bias (paper, section 3).

    Every byte is read: T = max(1, ceil((N - k) / (k / 2)) + 1) tokens for N bytes, and what the last kernel lacks is
    padding, whose embedding is zero.
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size < 2 or kernel_size % 2:
            raise ValueError(f"kernel_size must be even and at least 2, got {kernel_size}")
        self.dim, self.kernel_size, self.stride = dim, kernel_size, kernel_size // 2
        self.embedding = nn.Parameter(torch.empty(VOCABULARY, dim))
        self.kernel = nn.Parameter(torch.empty(dim, dim, kernel_size))
        self.reset_parameters()
        self._kept: _Kept | None = None

    def reset_parameters(self) -> None:
        """The paper's initialisation: truncated normal of std dim^-1/2, Kaiming uniform."""
        nn.init.trunc_normal_(self.embedding, std=self.dim**-0.5)
        with torch.no_grad():
            self.embedding[PADDING] = 0
        nn.init.kaiming_uniform_(self.kernel, a=math.sqrt(5))

    @torch.no_grad()
    def start_smooth(self) -> None:
        """Draws the embedding anew so that bytes of near values are near, as unsigned numbers and as signed ones.

        Each column is a draw from a Gaussian process over byte values, with length scales 64, 16 and 4 and a little
        white noise: half of the columns over 0..255, half over -128..127. Mean 0, std dim^-1/2.
        """
        scales = ((64.0, 0.6), (16.0, 0.25), (4.0, 0.1))
        half = self.dim // 2
        columns = [_draw(_BYTES, scales, 0.05, self.dim - half), _draw(_SIGNED, scales, 0.05, half)]
        embedding = torch.cat(columns, dim=1)
        embedding -= embedding.mean(dim=0)
        self.embedding[:PADDING] = embedding / embedding.std() * self.dim**-0.5

    @torch.no_grad()
    def start_as_samples(self) -> None:
        """Draws the embedding anew so that it tells bytes apart by their signed value near zero, and fades to zero
        beyond.

        A 16-bit sample of ordinary loudness has a high byte near zero, which carries the signal, and a low byte that is
        spread evenly and carries next to none: it starts as little noise. Columns are draws from a Gaussian process
        over the sign and logarithm of the value. Std dim^-1/2 over values below 12.
        """
        loudness = _SIGNED.sign() * (1 + _SIGNED.abs()).log2()
        embedding = _draw(loudness, ((3.0, 0.7), (1.0, 0.3)), 1e-3, self.dim)
        fade = torch.exp(-((_SIGNED / 32) ** 2))[:, None]
        embedding = (embedding - embedding[_SIGNED.abs() > 60].mean(dim=0)) * fade
        near = _SIGNED.abs() < 12
        embedding -= embedding[near].mean(dim=0) * fade
        self.embedding[:PADDING] = embedding / embedding[near].std() * self.dim**-0.5

    def num_tokens(self, lengths: Lengths) -> Lengths:
        """Tokens of files of these lengths in bytes."""
        return np.maximum(1, -(-(lengths - self.kernel_size) // self.stride) + 1)

    @on_the_host
    def forward(self, batch: ByteBatch) -> tuple[Float[Tensor, "tokens dim"], Lengths]:
        """All tokens of all files, end to end, and how many each file has."""
        lengths = batch.lengths.numpy()
        counts = self.num_tokens(lengths)
        return self.tokens(self.read(batch.values, lengths, counts)), counts

    def read(
        self, values: UInt8[Tensor, "bytes"], lengths: Lengths, counts: Lengths
    ) -> Int32[Tensor, "tokens kernel_size"]:
        """The k bytes that each token reads, padding (256) behind the end of a file.

        As k is twice the stride, a file of T tokens is T + 1 half kernels, and token t reads the halves t and t + 1.
        """
        halves = values.new_full((int((counts + 1).sum()) * self.stride,), PADDING, dtype=torch.int32)
        if len(lengths) == 1:
            halves[: len(values)] = values
            return halves.unfold(0, self.kernel_size, self.stride)
        shift = np.concatenate([[0], np.cumsum((counts + 1) * self.stride)[:-1]]) - (np.cumsum(lengths) - lengths)
        place = np.arange(len(values)) + np.repeat(shift, lengths)
        halves[torch.from_numpy(place).to(values.device)] = values.to(torch.int32)
        first = np.arange(int(counts.sum())) + np.repeat(np.arange(len(counts)), counts)
        rows = torch.from_numpy(first).to(values.device)
        halves = halves.view(-1, self.stride)
        return torch.cat([halves[rows], halves[rows + 1]], dim=1)

    def tokens(self, indices: Int32[Tensor, "tokens kernel_size"]) -> Float[Tensor, "tokens dim"]:
        """Tokens from the bytes they read, by whichever of the two forms costs less."""
        cached = not torch.is_grad_enabled() and indices.device.type == "cpu"
        if cached or len(indices) > VOCABULARY:
            table = self._cached_table(self._dtype(indices.device)) if cached else self.table()
            return self.tokens_by_table(indices, table)
        return self.tokens_by_convolution(indices)

    def tokens_by_convolution(self, indices: Int32[Tensor, "tokens kernel_size"]) -> Float[Tensor, "tokens dim"]:
        """The plain form: embed each byte, then convolve (as one matrix product, since each token's bytes lie side by
        side)."""
        embedded = F.embedding(indices, self._embedding()).flatten(1)
        return F.linear(embedded, self.kernel.transpose(1, 2).flatten(1))

    def tokens_by_table(
        self, indices: Int32[Tensor, "tokens kernel_size"], table: Float[Tensor, "rows dim"]
    ) -> Float[Tensor, "tokens dim"]:
        """The fast form: a sum of table rows."""
        dtype = self._dtype(indices.device)
        steps = torch.arange(self.kernel_size, dtype=torch.int32, device=indices.device) * VOCABULARY
        if table.requires_grad and indices.device.type == "cpu":
            summed: Tensor = _SumRows.apply(table, indices + steps, dtype)  # type: ignore[no-untyped-call]
        else:
            summed = F.embedding_bag(indices + steps, table.to(dtype), mode="sum")
        if torch.is_grad_enabled() and torch.is_autocast_enabled(indices.device.type):
            summed = summed.float()  # training keeps its residual stream in float32
        return summed

    def table(self) -> Float[Tensor, "rows dim"]:
        """S [k * 257, dim]: row j * 257 + b is what byte b adds at place j of the kernel; padding adds nothing."""
        return torch.matmul(self._embedding(), self.kernel.permute(2, 1, 0)).flatten(0, 1)

    def _embedding(self) -> Tensor:
        """The embedding [257, dim], its padding entry held at zero."""
        return torch.cat([self.embedding[:PADDING], torch.zeros_like(self.embedding[PADDING:])])

    def _dtype(self, device: torch.device) -> torch.dtype:
        """In which tokens are summed."""
        autocast = torch.is_autocast_enabled(device.type)
        return torch.get_autocast_dtype(device.type) if autocast else self.kernel.dtype

    @on_the_host
    def _cached_table(self, dtype: torch.dtype) -> Tensor:
        """The table for inference, kept in each dtype as long as both weights hold the numbers that it was made from.

        Comparing them costs less than the lookup, and no way of changing weights goes unnoticed.
        """
        kept = self._kept
        if kept is None or not kept.holds(self.embedding, self.kernel):
            with torch.autocast(self.kernel.device.type, enabled=False):
                table = self.table()
            kept = self._kept = _Kept(self.embedding.detach().clone(), self.kernel.detach().clone(), table)
        if dtype not in kept.tables:
            kept.tables[dtype] = kept.tables[self.kernel.dtype].to(dtype)
        return kept.tables[dtype]


class _SumRows(torch.autograd.Function):
    """`embedding_bag`, whose gradient is summed one place of the kernel at a time, in the dtype of the table.

    The rows of one place fit into a processor's cache; torch's own gradient goes by rows of the whole table and takes
    twice to three times as long.
    """

    @staticmethod
    def forward(ctx, table, rows, dtype):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(rows)
        ctx.shape, ctx.dtype = table.shape, table.dtype
        return F.embedding_bag(rows, table.to(dtype), mode="sum")

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (rows,) = ctx.saved_tensors
        grad, summed = grad.to(ctx.dtype), grad.new_zeros(ctx.shape, dtype=ctx.dtype)
        for place in rows.T.contiguous():
            summed.index_add_(0, place, grad)
        return summed, None, None


class _Kept:
    """Tables in several dtypes, and the weights that they were made from."""

    def __init__(self, embedding: Tensor, kernel: Tensor, table: Tensor) -> None:
        self.embedding, self.kernel = embedding, kernel
        self.tables = {kernel.dtype: table}

    def holds(self, embedding: Tensor, kernel: Tensor) -> bool:
        """Whether these are still the weights."""
        same_place = self.kernel.device == kernel.device and self.kernel.dtype == kernel.dtype
        return same_place and torch.equal(self.embedding, embedding) and torch.equal(self.kernel, kernel)


_BYTES = torch.arange(PADDING, dtype=torch.float64)
_SIGNED = (_BYTES + 128) % 256 - 128


def _draw(place: Tensor, scales: tuple[tuple[float, float], ...], noise: float, columns: int) -> Tensor:
    """Columns drawn from a Gaussian process over bytes at `place`: (length scale, variance) pairs and white noise."""
    covariance = noise * torch.eye(len(place), dtype=torch.float64)
    for length, variance in scales:
        covariance += variance * torch.exp(-((place[:, None] - place) ** 2) / (2 * length**2))
    factor: Tensor = torch.linalg.cholesky(covariance)
    return factor @ torch.randn(len(place), columns, dtype=torch.float64)
