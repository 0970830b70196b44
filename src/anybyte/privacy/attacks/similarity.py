"""How like two pictures are: the measures of what an attack gave back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def psnr(picture: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio in decibels of uint8 pictures of one shape; infinite if they are equal.

    Some 10 dB mean that nothing came back, 20 that the picture is easily known again, 30 that it looks the same.
    """
    error = float(np.mean((picture.astype(np.float64) - other) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(picture: Picture, other: Picture) -> float:
    """Structural similarity of two uint8 pictures [H, W, C], the mean over channels: 1 if they are equal.

    After Wang et al. 2004: Gaussian windows of standard deviation 1.5 and 11 pixels, K1 = 0.01, K2 = 0.03.

    Raises:
        ValueError: the pictures differ in shape, or are less than 11 pixels high or wide.
    """
    if picture.shape != other.shape or min(picture.shape[:2]) < 11:
        raise ValueError(f"expected two pictures of one shape, at least 11 x 11, got {picture.shape} and {other.shape}")
    a, b = picture.astype(np.float64), other.astype(np.float64)
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means over the windows that lie wholly inside [H, W, C]."""
    weights = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(values, 11, axis=axis)
        values = windows @ weights
    return values
