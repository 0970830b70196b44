"""A camera that measures few of its pixels' channels (paper, section 4.3): a fixed random choice of places."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CAMERA_STREAM = 2
"""Keeps the choice of places apart from what else is drawn by the same seed."""


@dataclass(frozen=True)
class PixelMask:
    """Which channels of which pixels a camera measures. For pictures of one shape it is always the same choice.

    Attributes:
        keep: share of the places that are measured, in (0, 1].
        seed: draws them.
    """

    keep: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"a camera keeps a share in (0, 1] of the places, not {self.keep}")

    def num_kept(self, length: int) -> int:
        """Places measured out of `length`: at least one, if there is any."""
        return min(length, max(1, round(self.keep * length)))

    def positions(self, length: int) -> NDArray[np.int64]:
        """int64 [num_kept], ascending: the places measured out of `length`, which are the bytes of an `fhwc` file."""
        return _positions(length, self.num_kept(length), self.seed)

    def apply(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [num_kept]: the kept ones of uint8 [bytes], in their order."""
        return data[self.positions(len(data))]

    def read(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The bytes that the camera sends of a picture, uint8 [num_kept]; nothing else of the picture is read.

        The same as `apply` on the bytes of its `fhwc` file, which is never formed.

        Args:
            pixels: uint8 [H, W, 3] or [H, W].
        """
        positions = self.positions(pixels.size)
        if pixels.flags.c_contiguous:
            return pixels.reshape(-1)[positions]  # a view: nothing is copied but what is kept
        kept: NDArray[np.uint8] = pixels[np.unravel_index(positions, pixels.shape)]
        return kept


@functools.lru_cache(maxsize=32)
def _positions(length: int, num_kept: int, seed: int) -> NDArray[np.int64]:
    # The length is part of the seed: the places of one shape say nothing about those of another.
    rng = np.random.default_rng([seed, _CAMERA_STREAM, length])
    positions = np.sort(rng.choice(length, num_kept, replace=False))
    positions.flags.writeable = False
    return positions
