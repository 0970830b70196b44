"""Positions of tokens: a learned table, sinusoids, Fourier features of coordinates, or none."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import FourierPositionsConfig, LearnedPositionsConfig, PositionsConfig

_CACHED_ROWS = 2**14
"""Sinusoids are kept up to this position and computed anew beyond."""

_CACHED_FEATURES = 2**24
"""Fourier features of a grid are kept if they are no more numbers than this (64 MB): the last few of them."""
_CACHED_GRIDS = 4
_INTERPOLATION = {1: "linear", 2: "bicubic", 3: "trilinear"}
"""By the number of axes."""
LEARNED_AXES = max(_INTERPOLATION)
"""Axes that an array with learned positions has, at most."""


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
    device = device if places is None else places.device
    indices = None if places is None else torch.unravel_index(places, tuple(shape))
    axes: list[Sequence[Tensor]] = []
    for number, (length, resolution) in enumerate(zip(shape, max_resolution, strict=True)):
        end = 1.0 if grid == "closed" else 1 - 2 / length
        along = torch.linspace(-1, end, length, dtype=torch.float64, device=device)
        bands = torch.linspace(1, resolution / 2, num_bands, dtype=torch.float64, device=device)
        # Of an axis longer than the list of places, such as that of a sound decoded in pieces, only these are computed.
        is_long = indices is not None and indices[number].numel() < length
        if indices is not None and is_long:
            along = along[indices[number]]
        angles = math.pi * along[..., None] * bands
        features: Sequence[Tensor] = (along[..., None].float(), angles.sin().float(), angles.cos().float())
        if indices is not None and not is_long:
            features = [part[indices[number]] for part in features]
        axes.append(features)
    if indices is None:
        return _spread(shape, axes)
    return torch.cat([axis[part] for part in range(3) for axis in axes], dim=-1)


def _spread(shape: Sequence[int], axes: Sequence[Sequence[Tensor]]) -> Float[Tensor, "places channels"]:
    """Features along each axis -> features of all places, each written once: for a large grid they are large."""
    parts = [axis[part] for part in range(3) for axis in axes]
    features = parts[0].new_empty(*shape, sum(part.shape[1] for part in parts))
    start = 0
    for number, part in enumerate(parts):
        axis, width = number % len(shape), part.shape[1]
        ones = [1] * len(shape)
        ones[axis] = shape[axis]
        features[..., start : start + width] = part.view(*ones, width)
        start += width
    return features.flatten(0, -2)


class GridPositions(nn.Module):
    """Positions of the places of a grid, made for `shape` and given for any.

    Attributes:
        num_channels: their width.
    """

    def __init__(self, name: str, config: PositionsConfig, axes: int, shape: tuple[int, ...] | None) -> None:
        """`name` is what errors call it; shape None: no size is stated, as Fourier features allow."""
        super().__init__()
        self.config, self.shape = config, shape
        self.table: LearnedPositions | None = None
        self.projection: nn.Linear | None = None
        if isinstance(config, LearnedPositionsConfig):
            if shape is None:
                raise ValueError(f"{name} has learned positions, which need a shape: one row for each of its places")
            if len(shape) not in _INTERPOLATION:
                raise ValueError(f"{name} has {len(shape)} axes; learned positions are for 1 to {LEARNED_AXES}")
            self.num_channels = config.num_channels
            self.table = LearnedPositions(config.num_channels, math.prod(shape))
            if config.projected:
                self.projection = nn.Linear(config.num_channels, config.num_channels)
            return
        if len(config.max_resolution) != axes:
            raise ValueError(
                f"{name} has {axes} axes, its positions {len(config.max_resolution)}: "
                f"max_resolution {config.max_resolution}"
            )
        self.num_channels = num_features(config)

    def forward(self, grid: tuple[int, ...], like: Tensor) -> Float[Tensor, "places channels"]:
        """Positions of all places, row-major, on the device of `like`; Fourier features in its type, too."""
        if self.table is None:
            assert isinstance(self.config, FourierPositionsConfig)
            return grid_features(grid, self.config, like.device, like.dtype)
        assert self.shape is not None
        rows: Tensor = self.table.rows
        if grid != self.shape:
            places = rows.unflatten(0, self.shape).movedim(-1, 0)[None]
            mode = _INTERPOLATION[len(self.shape)]
            rows = F.interpolate(places, size=grid, mode=mode, align_corners=False)[0].flatten(1).T
        return rows if self.projection is None else self.projection(rows)


def num_features(config: FourierPositionsConfig) -> int:
    """Channels of Fourier features."""
    return len(config.max_resolution) * (2 * config.num_bands + 1)


def grid_features(
    grid: tuple[int, ...], config: FourierPositionsConfig, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "places channels"]:
    """`fourier_features` of a whole closed grid. Small ones are kept for the next call: do not write into them."""
    if torch.compiler.is_compiling() or math.prod(grid) * num_features(config) > _CACHED_FEATURES:
        return fourier_features(grid, config.num_bands, config.max_resolution, device=device).to(dtype)
    return _kept_features(grid, config.num_bands, config.max_resolution, device, dtype)


@functools.lru_cache(maxsize=_CACHED_GRIDS)
def _kept_features(
    grid: tuple[int, ...], num_bands: int, max_resolution: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> Tensor:
    # A tensor of inference mode could not take part in a later training step.
    with torch.inference_mode(False):
        return fourier_features(grid, num_bands, max_resolution, device=device).to(dtype)


def point_features(
    points: Float[Tensor, "*batch axes"], num_bands: int, max_resolution: Sequence[int]
) -> Float[Tensor, "*batch channels"]:
    """Fourier features of coordinates in [-1, 1] themselves, in the order and type of those of a grid's places.

    Sines are computed in float32 or wider: the highest frequencies turn a thousand times between -1 and 1.
    """
    exact = points.to(torch.promote_types(points.dtype, torch.float32))
    bands = [
        torch.linspace(1, resolution / 2, num_bands, dtype=torch.float64).to(exact) for resolution in max_resolution
    ]
    angles = torch.cat([math.pi * exact[..., axis, None] * band for axis, band in enumerate(bands)], dim=-1)
    return torch.cat([exact, angles.sin(), angles.cos()], dim=-1).to(points.dtype)
