"""Optical flow of two pictures of any size.

predictor = anybyte.load("models/flow")
flow = predictor.estimate("frame1.png", "frame2.png")
flow.vectors    # float32 [H, W, 2], in pixels
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anybyte.config import FramesConfig
from anybyte.files.flow import Flow
from anybyte.files.media import Image, decode
from anybyte.files.orientation import orientation_of, upright
from anybyte.models.passes import flow_as_read, overlap_of, scaled, small_of, tile_of
from anybyte.models.perceiver import Perceiver
from anybyte.models.tiles import Small, fitted, tiles_of
from anybyte.predictor.compute import PIECE, Compute, Precision, Progress, check_piece, watched
from anybyte.reading.frames import check_frames

Frame: TypeAlias = "str | os.PathLike[str] | bytes | NDArray[np.uint8]"


class FlowPredictor(Compute):
    """A model of optical flow in use.

    Attributes:
        tile: height and width that the model is made for; larger frames are computed by tiles of this size.
        reading: how frames are looked at: sizes of the passes, and whether by tiles.
        overlap: pixels that neighbouring tiles share, at least.
        piece: queries decoded at once.
    """

    model: Perceiver

    def __init__(
        self,
        model: Perceiver,
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        piece: int = PIECE,
        reading: FramesConfig | None = None,
    ) -> None:
        super().__init__(model, device, precision)
        self.tile = tile_of(model.config)
        self.overlap = overlap_of(self.tile)
        self.piece = check_piece(piece)
        self.reading = reading or FramesConfig()
        check_frames(self.reading)

    def estimate(self, a: Frame, b: Frame, small: Small = "pad", progress: Progress | None = None) -> Flow:
        """Where each pixel of `a` is in `b` (Jaegle et al. 2022, section 4.2 and appendix H).

        Args:
            a: a picture: its path, the bytes of its file, or uint8 [H, W, 3] or [H, W]. Files are turned as their EXIF
                orientation says.
            b: the next one, of the same size.
            small: what to do with pictures smaller than a tile: `pad` them with grey, or `refuse`. Without tiles they
                may have any size, and in several passes they are not padded.
            progress: is called with the number of steps done, and of all.

        Returns:
            The flow in pixels, float32 [H, W, 2].

        Raises:
            ValueError: not pictures, of different sizes, or too small a size is refused; the message names them.
            OSError: a path cannot be read.
        """
        first, second = load_pair(a, b)
        frames = torch.from_numpy(np.stack([first, second]))[None].float() / 255 * 2 - 1
        height, width = first.shape[:2]
        with self.running(), watched(self.model, self._pieces(height, width, small), progress):
            vectors = flow_as_read(self._tile, frames, self.reading, self.tile, small)
        return Flow(vectors[0].numpy())

    def _pieces(self, height: int, width: int, small: Small = "pad") -> list[int]:
        """Pieces that are decoded, for each time that the model is called."""
        pieces = []
        for scale in self.reading.scales:
            size = scaled(height, width, scale)
            tile, overlap = size, 0
            if self.reading.tiles:
                tile, overlap = self.tile, self.overlap
                if small_of(self.reading, small) == "whole":
                    tile, overlap = fitted(tile, overlap, *size)
            count = len(tiles_of(max(size[0], tile[0]), max(size[1], tile[1]), tile, overlap))
            pieces += [-(-tile[0] * tile[1] // self.piece)] * count
        return pieces

    def _tile(self, frames: Tensor) -> Tensor:
        out = self.model(frames.to(self.device), piece=self.piece)
        assert isinstance(out, Tensor)
        return out.float().cpu()


def load_pair(a: Frame, b: Frame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pixels of two pictures of one size, each uint8 [H, W, 3].

    Raises:
        ValueError: not pictures, or of different sizes; the message names them.
        OSError: a path cannot be read.
    """
    names = _name(a, "the first frame"), _name(b, "the second frame")
    first, second = (_pixels(frame, name) for frame, name in zip((a, b), names, strict=True))
    if first.shape != second.shape:
        one, two = (f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (first, second))
        raise ValueError(
            f"{names[0]} has {one} pixels (width x height) and {names[1]} {two}: both frames must have one size"
        )
    return first, second


def _pixels(frame: Frame, name: str) -> NDArray[np.uint8]:
    if isinstance(frame, np.ndarray):
        pixels = frame
    else:
        data = frame if isinstance(frame, bytes) else Path(frame).read_bytes()
        medium = decode(data, name)
        if not isinstance(medium, Image):
            raise ValueError(f"{name} is a sound, expected a picture")
        pixels = upright(medium.pixels, orientation_of(data))
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise ValueError(f"{name} is {pixels.dtype} {list(pixels.shape)}, expected uint8 [H, W, 3] or [H, W]")
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _name(frame: Frame, otherwise: str) -> str:
    return os.fspath(frame) if isinstance(frame, str | os.PathLike) else otherwise
