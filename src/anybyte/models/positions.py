"""Positions of the tokens of a file: a learned table, sinusoids, or none."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_CACHED_ROWS = 2**14
"""Sinusoids are kept up to this position and computed anew beyond."""


def sinusoids(first: int, count: int, dim: int, scale: float = 1.0) -> Float[Tensor, "count dim"]:
    """Rows first, first + 1, ... of the sinusoidal table: sines of dim / 2 frequencies, then their cosines.

    Frequencies fall geometrically from 1 to 1e-4. Angles are computed in float64, since a long file has millions of
    tokens.
    """
    half = dim // 2
    frequencies = 10_000 ** (-torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
    angles = torch.arange(first, first + count, dtype=torch.float64)[:, None] * frequencies
    return (torch.cat([angles.sin(), angles.cos()], dim=1) * scale).float()


class SinusoidalPositions(nn.Module):
    """Adds sinusoids; takes files of any length."""

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"sinusoidal positions need an even dim, got {dim}")
        self.dim, self.scale = dim, scale
        self.register_buffer("rows", sinusoids(0, 0, dim), persistent=False)
        self.rows: Tensor

    def table(self, first: int, count: int) -> Float[Tensor, "count dim"]:
        end = first + count
        if end > _CACHED_ROWS:
            return sinusoids(first, count, self.dim, self.scale).to(self.rows)
        if end > len(self.rows):
            rows = sinusoids(0, 1 << (end - 1).bit_length(), self.dim, self.scale)
            self.rows = rows.to(self.rows)
        return self.rows[first:end]


class LearnedPositions(nn.Module):
    """Adds rows of a trained table, as in the paper; longer files are an error that says so."""

    def __init__(self, dim: int, max_num_tokens: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(max_num_tokens, dim))

    def table(self, first: int, count: int) -> Float[Tensor, "count dim"]:
        if first + count > len(self.rows):
            raise ValueError(
                f"a file makes {first + count} tokens, but the learned position table ends at "
                f"max_num_tokens={len(self.rows)}; positions='sinusoidal' takes files of any length"
            )
        return self.rows[first : first + count]
