"""Positions of tokens: a learned table, sinusoids, Fourier features of coordinates, or none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

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


def fourier_features(
    shape: Sequence[int],
    num_bands: int,
    max_resolution: Sequence[int],
    places: Tensor | None = None,
    grid: Literal["closed", "open"] = "closed",
    device: torch.device | str | None = None,
) -> Float[Tensor, "*places channels"]:
    """Positions of a grid's places as [coordinates | sines | cosines], each of them axis by axis (section 3.2).

    Frequencies run evenly from 1 to half of `max_resolution`. Each axis has few coordinates, so sines are computed
    once for each of them, in float64, and then looked up.

    Args:
        shape: length of each axis.
        places: row-major indices of the places wanted, in any shape. None: all, in order.
        grid: place i of n lies at -1 + 2 i / (n - 1), the closed grid, or at -1 + 2 i / n, the open one.

    Returns:
        float32 features with d (2 num_bands + 1) channels for d axes.
    """
    places = torch.arange(math.prod(shape), device=device) if places is None else places
    coordinates, sines, cosines = [], [], []
    for length, resolution, index in zip(shape, max_resolution, torch.unravel_index(places, tuple(shape)), strict=True):
        end = 1.0 if grid == "closed" else 1 - 2 / length
        along = torch.linspace(-1, end, length, dtype=torch.float64, device=places.device)
        bands = torch.linspace(1, resolution / 2, num_bands, dtype=torch.float64, device=places.device)
        angles = math.pi * along[:, None] * bands
        coordinates.append(along[:, None].float()[index])
        sines.append(angles.sin().float()[index])
        cosines.append(angles.cos().float()[index])
    return torch.cat([*coordinates, *sines, *cosines], dim=-1)
