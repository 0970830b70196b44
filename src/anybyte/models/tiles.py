"""Optical flow of frames of any size, by overlapping tiles of the size that the model is made for.

Each tile is computed alone, so memory is that of one tile and of the result. Where tiles overlap, the answer is their
mean, weighted by the distance to the edge of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

OVERLAP = 20
"""Pixels that neighbouring tiles share, at least; DeepMind's choice."""

Small: TypeAlias = Literal["pad", "refuse", "whole"]


def tile_grid(height: int, width: int, tile: tuple[int, int], overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """The top left corners (y, x) of DeepMind's tiles for a frame, row by row.

    Tiles begin every `tile - overlap` pixels; the last one of each row and column is moved back to the frame's edge.
    For some sizes that one is a tile which is there already (a frame of one tile: all four are the same), and for some
    the one before it sticks out of the frame (1,920 pixels with tiles of 496). `tiles_of` leaves both out.

    Raises:
        ValueError: the frame is smaller than a tile, or a tile is not larger than the overlap.
    """
    if not 0 <= overlap < min(tile):
        raise ValueError(f"tiles of {tile[0]}x{tile[1]} pixels overlap by 0 to {min(tile) - 1} of them, not {overlap}")
    if height < tile[0] or width < tile[1]:
        raise ValueError(
            f"a frame of {height}x{width} pixels (height x width) is smaller than a tile of {tile[0]}x{tile[1]}"
        )
    rows, columns = (
        [*[*range(0, size, step - overlap)][:-1], size - step] for size, step in zip((height, width), tile, strict=True)
    )
    return [(y, x) for y in rows for x in columns]


def tiles_of(height: int, width: int, tile: tuple[int, int], overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """The tiles of `tile_grid` that lie inside of the frame, each once: still all of it, with the overlap.

    Raises:
        ValueError: as `tile_grid`.
    """
    inside = [
        (y, x) for y, x in tile_grid(height, width, tile, overlap) if y + tile[0] <= height and x + tile[1] <= width
    ]
    return list(dict.fromkeys(inside))


def fitted(tile: tuple[int, int], overlap: int, height: int, width: int) -> tuple[tuple[int, int], int]:
    """A tile that is nowhere larger than a frame, and an overlap of at most half of its short side."""
    tile = (min(tile[0], height), min(tile[1], width))
    return tile, min(overlap, min(tile) // 2)


def tile_weights(tile: tuple[int, int]) -> Float[Tensor, "height width"]:
    """The weight of each pixel of a tile: its distance to the nearest edge, 1 at the edge itself."""
    rows, columns = (torch.minimum(torch.arange(1, n + 1), torch.arange(n, 0, -1)) for n in tile)
    return torch.minimum(rows[:, None], columns).float()


@torch.no_grad()
def flow_by_tiles(
    estimate: Callable[[Tensor], Tensor],
    frames: Float[Tensor, "batch 2 height width 3"],
    tile: tuple[int, int],
    overlap: int = OVERLAP,
    small: Small = "pad",
) -> Float[Tensor, "batch height width 2"]:
    """The flow of frames of any size, by tiles.

    Args:
        estimate: the flow [batch, *tile, 2] of frames [batch, 2, *tile, 3]; called once a tile.
        frames: in the range that `estimate` reads.
        tile: height and width.
        small: what to do with frames smaller than a tile. `pad` puts zeros below and on the right, which is grey in
            [-1, 1] and what the model's own patches are padded with; the flow there is dropped. `refuse` does as
            DeepMind's code, which has no answer for such frames. `whole` makes tiles as small as the frames.

    Raises:
        ValueError: the frames are smaller than a tile and `small` is `refuse`.
    """
    if small not in get_args(Small):
        raise ValueError(f"small is {small!r}, expected 'pad', 'refuse' or 'whole'")
    height, width = frames.shape[2:4]
    if small == "whole":
        tile, overlap = fitted(tile, overlap, height, width)
    if small == "pad":
        frames = F.pad(frames, (0, 0, 0, max(0, tile[1] - width), 0, max(0, tile[0] - height)))
    corners = tiles_of(frames.shape[2], frames.shape[3], tile, overlap)
    if len(corners) == 1:
        return estimate(frames)[:, :height, :width]
    weights = tile_weights(tile).to(frames.device)
    total = torch.zeros(len(frames), *frames.shape[2:4], 2, device=frames.device)
    weight = torch.zeros(*frames.shape[2:4], 1, device=frames.device)
    for y, x in corners:
        place = (slice(y, y + tile[0]), slice(x, x + tile[1]))
        total[:, *place] += estimate(frames[:, :, *place]).float() * weights[..., None]
        weight[place] += weights[..., None]
    return (total / weight)[:, :height, :width]
