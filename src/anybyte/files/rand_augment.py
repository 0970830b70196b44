"""RandAugment: a few operations drawn from a fixed list, all of one strength (Cubuk et al. 2020, arXiv 1909.13719).

The operations and their ranges are those that torchvision uses, so that recipes written for it mean the same here. They
run through Pillow, and what comes into view at the edges is black.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

MAGNITUDES = 31
"""Steps of strength, from 0 to 30."""

_SHEAR = 0.3
_SHIFT = 150 / 331
"""Share of a side; the constants are those of pictures of 331 pixels in the experiments of AutoAugment."""
_DEGREES = 30.0
_ENHANCE = 0.9
_BITS = 4

Operation = Callable[[Pillow.Image, float], Pillow.Image]


def rand_augment(pixels: NDArray[np.uint8], count: int, magnitude: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture after `count` operations, each drawn anew from the 14.

    Args:
        pixels: uint8 [H, W, 3] or [H, W].
        count: Operations, one after the other.
        magnitude: 0 to 30, of them all.

    Returns:
        uint8 of the same shape.
    """
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    names = list(OPERATIONS)
    strength = magnitude / (MAGNITUDES - 1)
    for name in rng.integers(len(names), size=count).tolist():
        # Drawn for each operation, whether it has a direction or not: then a draw does not hang on the one before it.
        sign = 1.0 if rng.random() < 0.5 else -1.0
        picture = OPERATIONS[names[name]](picture, sign * strength)
    return np.asarray(picture)


def _affine(picture: Pillow.Image, *matrix: float) -> Pillow.Image:
    """Each pixel (x, y) from (a x + b y + c, d x + e y + f)."""
    return picture.transform(picture.size, Pillow.Transform.AFFINE, matrix, Pillow.Resampling.NEAREST)


def _enhance(kind: Callable[[Pillow.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda picture, strength: kind(picture).enhance(1 + _ENHANCE * strength)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda picture, strength: picture,
    "shear_x": lambda picture, strength: _affine(picture, 1, _SHEAR * strength, 0, 0, 1, 0),
    "shear_y": lambda picture, strength: _affine(picture, 1, 0, 0, _SHEAR * strength, 1, 0),
    "translate_x": lambda picture, strength: _affine(picture, 1, 0, int(_SHIFT * strength * picture.width), 0, 1, 0),
    "translate_y": lambda picture, strength: _affine(picture, 1, 0, 0, 0, 1, int(_SHIFT * strength * picture.height)),
    "rotate": lambda picture, strength: picture.rotate(_DEGREES * strength, Pillow.Resampling.NEAREST),
    "brightness": _enhance(ImageEnhance.Brightness),
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "posterize": lambda picture, strength: ImageOps.posterize(picture, 8 - round(_BITS * abs(strength))),
    "solarize": lambda picture, strength: ImageOps.solarize(picture, math.ceil(255 * (1 - abs(strength)))),
    "autocontrast": lambda picture, strength: ImageOps.autocontrast(picture),
    "equalize": lambda picture, strength: ImageOps.equalize(picture),
}
"""Name -> the operation at a signed strength from -1 to 1. Those without a direction ignore the sign, and the last two
the strength as well."""
