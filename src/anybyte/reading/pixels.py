"""Pictures as decoded pixels, prepared as for ImageNet (Jaegle et al. 2022, appendix; released code)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.config import AugmentConfig, PixelsConfig
from anybyte.files.augment import augment_image, cut_box
from anybyte.files.images import decode_image
from anybyte.reading.base import ArrayReading, Arrays, Mixed

_MARGIN = 224 / 256
"""Side of the square that is cut, relative to the short side of the picture."""


class PixelReading(ArrayReading):
    """Pictures of any size, grey ones made RGB: float32 [size, size, 3], normalised.

    In training, `data.augment` changes the decoded picture; one that its crop has made a square of the right size is
    not cut again.
    """

    config: PixelsConfig

    def __init__(
        self, config: PixelsConfig, augment: AugmentConfig | None = None, max_bytes: int | None = None
    ) -> None:
        check_pixels(config)
        super().__init__(config, augment, max_bytes)
        self.mean, self.std = (np.asarray(values, dtype=np.float32) for values in (config.mean, config.std))

    def read(self, data: bytes, name: str, rng: np.random.Generator | None) -> NDArray[np.float32]:
        pixels = rgb(decode_image(data, name).pixels)
        is_cut = False
        if rng is not None:
            pixels, is_cut = augment_image(pixels, self.augment, rng), self.augment.crop_size is not None
        if self.config.fit == "crop" and not is_cut:
            pixels = centre_crop(pixels)
        pixels = resize(pixels, self.config.image_size)
        read: NDArray[np.float32] = (pixels.astype(np.float32) / np.float32(255) - self.mean) / self.std
        return read

    def cut(self, first: Arrays, second: Arrays, weight: float, rng: np.random.Generator) -> Mixed:
        assert not isinstance(first, Mapping)
        assert not isinstance(second, Mapping)
        box, share = cut_box(first.shape[0], first.shape[1], weight, rng)
        pasted = first.copy()
        pasted[box] = second[box]
        return Mixed(pasted, share)

    def blank(self) -> NDArray[np.float32]:
        size = self.config.image_size
        return np.zeros((size, size, 3), dtype=np.float32)


def rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a picture [H, W, 3] or, grey, [H, W]."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def centre_crop(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The square in the middle, of int(224 / 256 of the short side): uint8 [side, side, 3]."""
    height, width = pixels.shape[:2]
    side = max(1, int(_MARGIN * min(height, width)))
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    return pixels[top : top + side, left : left + side]


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The picture as a square of this side (bicubic); one that is comes back as it is."""
    if pixels.shape[:2] == (size, size):
        return pixels
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size, size), Pillow.Resampling.BICUBIC))


def check_pixels(config: PixelsConfig) -> None:
    """Raises ValueError for the first setting that makes no sense."""
    size = config.image_size
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"reading.image_size is {size!r}; it is a whole number, at least 1")
    if config.fit not in ("crop", "resize"):
        raise ValueError(f"reading.fit is {config.fit!r}; it is 'crop' or 'resize'")
    for name in ("mean", "std"):
        values = getattr(config, name)
        is_right = isinstance(values, tuple) and len(values) == 3
        if not is_right or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise ValueError(f"reading.{name} is {values!r}; it is three numbers: of red, green and blue")
    if min(config.std) <= 0:
        raise ValueError(f"reading.std is {config.std!r}; it is three positive numbers")
