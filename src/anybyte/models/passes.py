"""Optical flow from coarse to fine: estimate, warp, refine, by one model at all sizes.

A pass reads the first frame and the second one, warped back by the flow so far, and its answer is added to that flow.
The first passes are over frames made smaller, where what is far is near. The paper's model takes one pass over frames
as they are; small models see a few pixels far and need several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from anybyte.config import FlowInputConfig, FramesConfig, PerceiverConfig
from anybyte.models.pretrained import READING, read_reading
from anybyte.models.tiles import OVERLAP, Small, flow_by_tiles

_BAND = 16
"""Rows of a flow that are filtered at once."""
_SURROUND = 7
"""Side of the squares whose mean brightness is taken off before frames are compared."""

Estimate = Callable[[Tensor], Tensor]
"""Flow [batch, height, width, 2] in pixels of frames [batch, 2, height, width, 3]."""


def flow_by_passes(
    estimate: Estimate,
    frames: Float[Tensor, "batch 2 height width 3"],
    scales: Sequence[float],
    median: int = 1,
    check: int | None = None,
) -> Float[Tensor, "batch height width 2"]:
    """The flow of frames, in their own pixels, after a pass at each of the scales.

    Args:
        estimate: one pass.
        frames: of any size.
        scales: size of the frames of each pass, relative to `frames`; equal ones in a row refine.
        median: side of the filter after each pass, see `median_flow`.
        check: side of the squares in which the answer of a pass must fit better than what was there before it, see
            `misfit`; it is dropped elsewhere. None: it is kept everywhere.
    """
    height, width = frames.shape[2:4]
    flow: Tensor | None = None
    for scale in scales:
        size = scaled(height, width, scale)
        small = resize_frames(frames, size)
        if flow is None:
            before, warped = torch.zeros(len(frames), *size, 2, device=frames.device), small[:, 1]
            flow = median_flow(estimate(small), median)
        else:
            before = resize_flow(flow, size)
            warped = warp(small[:, 1], before)
            flow = median_flow(before + estimate(torch.stack([small[:, 0], warped], dim=1)), median)
        if check is not None:
            after = warp(small[:, 1], flow)
            better = misfit(small[:, 0], after, check) < misfit(small[:, 0], warped, check)
            flow = median_flow(torch.where(better[..., None], flow, before), median)
    if flow is None:
        raise ValueError("scales is empty: flow takes one pass at least")
    return resize_flow(flow, (height, width))


def flow_as_read(
    estimate: Estimate,
    frames: Float[Tensor, "batch 2 height width 3"],
    reading: FramesConfig,
    tile: tuple[int, int],
    small: Small = "pad",
) -> Float[Tensor, "batch height width 2"]:
    """The flow of frames of any size, by the passes and tiles that a model's folder names.

    Args:
        estimate: the model, at one size.
        frames: in [-1, 1].
        reading: sizes of the passes, and whether each is by tiles.
        tile: height and width that the model is made for.
        small: what to do with frames smaller than a tile, where there are tiles; see `flow_by_tiles`. Where passes make
            frames smaller than a tile, `pad` is `whole`: nothing that moves is beside them in training either.

    Raises:
        ValueError: frames are smaller than a tile and `small` is `refuse`.
    """

    small = small_of(reading, small)

    def one_pass(frames: Tensor) -> Tensor:
        return flow_by_tiles(estimate, frames, tile, overlap_of(tile), small) if reading.tiles else estimate(frames)

    return flow_by_passes(one_pass, frames, reading.scales, reading.median, reading.check)


def small_of(reading: FramesConfig, small: Small) -> Small:
    """What is done with frames smaller than a tile in passes such as these, where `small` was asked for."""
    return "whole" if small == "pad" and reading.scales != (1.0,) else small


def tile_of(config: PerceiverConfig) -> tuple[int, int]:
    """Height and width of the frames that a model of flow is made for."""
    (frames,) = (part for part in config.inputs if isinstance(part, FlowInputConfig))
    height, width = frames.positions.max_resolution
    return height, width


def overlap_of(tile: tuple[int, int]) -> int:
    """Pixels that neighbouring tiles share, at least: DeepMind's number, or half of a small tile."""
    return min(OVERLAP, min(tile) // 2)


def frames_reading(folder: Path) -> FramesConfig:
    """How the model in a folder looks at frames; as the paper's where it says nothing.

    Raises:
        ValueError: the folder's `reading.json` is damaged, or of a model that reads something else.
    """
    if not (folder / READING).exists():
        return FramesConfig()
    config = read_reading(folder)
    if not isinstance(config, FramesConfig):
        raise ValueError(f"{folder / READING} is for models that read {config.kind}: this one reads frames")
    return config


def scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    """Height and width at a scale, at least one pixel each."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_frames(
    frames: Float[Tensor, "batch 2 height width 3"], size: tuple[int, int]
) -> Float[Tensor, "batch 2 h w 3"]:
    """Frames of another size; smaller ones are means of the pixels that they stand for."""
    if frames.shape[2:4] == size:
        return frames
    images = frames.flatten(0, 1).movedim(-1, 1)
    if size[0] <= images.shape[2] and size[1] <= images.shape[3]:
        images = F.interpolate(images, size=size, mode="area")
    else:
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    resized: Tensor = images.movedim(1, -1).unflatten(0, frames.shape[:2])
    return resized


def resize_flow(flow: Float[Tensor, "batch height width 2"], size: tuple[int, int]) -> Float[Tensor, "batch h w 2"]:
    """A flow for frames of another size: its vectors are as much longer or shorter."""
    height, width = flow.shape[1:3]
    if (height, width) == size:
        return flow
    resized: Tensor = F.interpolate(flow.movedim(-1, 1), size=size, mode="bilinear", align_corners=False).movedim(1, -1)
    return resized * resized.new_tensor([size[1] / width, size[0] / height])


def median_flow(flow: Float[Tensor, "batch height width 2"], side: int) -> Float[Tensor, "batch height width 2"]:
    """The median of each component over the square around each pixel, `side` pixels a side; edges are repeated."""
    if side == 1:
        return flow
    padded = F.pad(flow.movedim(-1, 1), [side // 2] * 4, mode="replicate")
    around = padded.unfold(2, side, 1).unfold(3, side, 1)
    # In bands of rows, since the squares of all pixels take `side` squared times the memory of a flow.
    bands = [rows.flatten(-2).median(dim=-1).values for rows in around.split(_BAND, dim=2)]
    return torch.cat(bands, dim=2).movedim(1, -1)


def misfit(
    first: Float[Tensor, "batch height width 3"], second: Float[Tensor, "batch height width 3"], side: int
) -> Float[Tensor, "batch height width"]:
    """How much two frames differ over the square around each pixel, whatever the brightness around it in each."""
    one, other = ((x := frame.movedim(-1, 1)) - _mean_around(x, _SURROUND) for frame in (first, second))
    return _mean_around((one - other).abs().mean(dim=1, keepdim=True), side)[:, 0]


def _mean_around(x: Float[Tensor, "batch channels height width"], side: int) -> Float[Tensor, "batch channels h w"]:
    """Means over squares; edges are repeated."""
    return F.avg_pool2d(F.pad(x, [side // 2] * 4, mode="replicate"), side, stride=1)


def warp(
    frame: Float[Tensor, "batch height width 3"], flow: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch height width 3"]:
    """What a frame shows where a flow leads: frame[p + flow[p]] at each pixel p, its edge repeated beyond it."""
    height, width = frame.shape[1:3]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    # Where the centres of the first and the last pixel are -1 and 1; of a single one any place will do.
    place = torch.stack(
        [(x + flow[..., 0]) * (2 / max(width - 1, 1)) - 1, (y + flow[..., 1]) * (2 / max(height - 1, 1)) - 1], dim=-1
    )
    image = frame.movedim(-1, 1).to(flow.dtype)
    warped: Tensor = F.grid_sample(image, place, mode="bilinear", padding_mode="border", align_corners=True)
    return warped.movedim(1, -1)
