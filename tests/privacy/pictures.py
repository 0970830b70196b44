"""Pictures and sounds for attacks: smooth, of many values, and different each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_pictures(count: int, size: int = 24, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [count, size, size, 3]: sums of a few waves and a little grain, the channels alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    pictures = np.zeros((count, size, size, 3))
    for picture in pictures:
        waves = sum(
            rng.uniform(0.3, 1) * np.sin(rng.uniform(-5, 5) * x + rng.uniform(-5, 5) * y + rng.uniform(0, 6))
            for _ in range(3)
        )
        tint = rng.uniform(-0.4, 0.4, 3)
        picture[:] = waves[:, :, None] * rng.uniform(0.8, 1.2, 3) + tint
    grain = rng.normal(0, 0.02, pictures.shape)
    # Brightness is skewed, as in photographs: otherwise a negative would be as probable.
    bright = 1 / (1 + np.exp(-1.5 * pictures - grain)) ** 1.5
    return np.clip(bright * 255, 0, 255).astype(np.uint8)
