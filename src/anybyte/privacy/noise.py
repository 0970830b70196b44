"""Noise on the values of bytes (paper, section 4.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_NOISE = 127
"""At 127 a byte is all but evenly spread; wider noise would begin to repeat values."""


def add_noise(data: NDArray[np.uint8], width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each byte plus a whole number drawn from [-width, width], modulo 256: uint8 [bytes]; `data` stays as it is.

    Raises:
        ValueError: `width` is not in [0, 127].
    """
    if not 0 <= width <= MAX_NOISE:
        raise ValueError(f"noise is {width}; it must be in [0, {MAX_NOISE}]")
    drawn = rng.integers(0, 2 * width, size=len(data), dtype=np.uint8, endpoint=True)
    drawn -= np.uint8(width)  # wraps around, and so does the sum
    drawn += data
    return drawn
