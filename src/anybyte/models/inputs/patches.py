"""Arrays cut into patches (space to depth), and checks of what arrays are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, ...]
"""Tokens along each axis of an input."""

_MAY_BE_NONE = ("entities", "points")
"""Axes along which there may be nothing: a set may be empty, a picture not."""

FLOW_PATCH = 3
"""Pixels on each side of the patch that stands for a pixel of a frame."""


def check_array(name: str, x: object, expected: Sequence[int | str]) -> None:
    """Raises ValueError unless x is a floating array of the expected sizes; a word stands for any size."""
    if not isinstance(x, Tensor):
        raise ValueError(f"input {name!r} must be a tensor, got {type(x).__name__}")
    fits = x.dim() == len(expected)
    fits = fits and all(isinstance(e, str) or size == e for size, e in zip(x.shape, expected, strict=True))
    if not fits:
        wanted = ", ".join(map(str, expected))
        raise ValueError(f"input {name!r} must be [{wanted}], got shape {tuple(x.shape)}")
    for axis, size in zip(expected[1:], x.shape[1:], strict=True):
        if not size and axis not in _MAY_BE_NONE:
            raise ValueError(f"input {name!r} has nothing along its axis {axis}, got shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"input {name!r} must be a floating tensor, scaled as its config says, got {x.dtype}")


def divide(name: str, shape: Grid, patch: Grid) -> Grid:
    """How many patches there are along each axis.

    Raises:
        ValueError: they do not fit; the message names the input.
    """
    fits = len(shape) == len(patch) and min((*shape, *patch)) > 0
    if not fits or any(size % step for size, step in zip(shape, patch, strict=True)):
        raise ValueError(f"input {name!r} of shape {shape} cannot be cut into patches of {patch}")
    return tuple(size // step for size, step in zip(shape, patch, strict=True))


def to_patches(x: Tensor, name: str, patch: Grid) -> Tensor:
    """Space to depth: [batch, *shape, c] -> [batch, *grid, *patch * c], the place in the patch before the channel."""
    grid = divide(name, tuple(x.shape[1:-1]), patch)
    axes = len(patch)
    for axis in reversed(range(axes)):
        x = x.unflatten(axis + 1, (grid[axis], patch[axis]))
    # [batch, g1, p1, g2, p2, .., c] -> [batch, g1, g2, .., p1, p2, .., c]
    order = [0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1]
    return x.permute(order).flatten(1 + axes)


def from_patches(x: Tensor, patch: Grid) -> Tensor:
    """Depth to space, the inverse of `to_patches`: [batch, *grid, *patch * c] -> [batch, *shape, c]."""
    axes = len(patch)
    x = x.unflatten(-1, (*patch, -1))
    # [batch, g1, g2, .., p1, p2, .., c] -> [batch, g1, p1, g2, p2, .., c]
    order = [0, *(place for axis in range(axes) for place in (1 + axis, 1 + axes + axis)), 2 * axes + 1]
    x = x.permute(order)
    for axis in range(axes):
        x = x.flatten(axis + 1, axis + 2)
    return x


def frame_patches(
    frames: Float[Tensor, "*batch height width values"], size: int = FLOW_PATCH, spread: int = 1
) -> Float[Tensor, "*batch height width channels"]:
    """The size x size pixels around each pixel, zero beyond the edge, ordered (dy, dx, colour).

    `spread` is the distance of neighbouring ones, in pixels.
    """
    height, width = frames.shape[-3:-1]
    beyond = size // 2 * spread
    padded = F.pad(frames, (0, 0, beyond, beyond, beyond, beyond))
    steps = range(0, size * spread, spread)
    return torch.cat([padded[..., y : y + height, x : x + width, :] for y in steps for x in steps], dim=-1)
