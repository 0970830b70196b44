"""Random changes to pictures and sounds, as `AugmentConfig` asks for them.

All randomness comes from the generator that is handed in: equal generators give equal results. A change that is turned
off draws nothing from it.
"""

from __future__ import annotations

import math

import numpy as np
import soxr
from numpy.typing import NDArray

from anybyte.config import AugmentConfig

_ERASED_AREA = (0.02, 0.2)
_ERASED_ASPECT = 10 / 3
_NOISE_SPAN_DB = 30


def changes_images(config: AugmentConfig) -> bool:
    """Whether any change to pictures is on."""
    return bool(config.crop_padding or config.flip or config.brightness or config.erase)


def changes_audio(config: AugmentConfig) -> bool:
    """Whether any change to sounds is on."""
    return bool(
        config.gain_db
        or config.shift_seconds
        or config.speed
        or config.noise_db is not None
        or config.time_mask_seconds
    )


def check_augment(config: AugmentConfig) -> None:
    """Nothing, if the configuration makes sense.

    Raises:
        ValueError: it does not; the message names the field, its value and what would be right.
    """
    for field, below in (
        ("crop_padding", math.inf),
        ("brightness", math.inf),
        ("gain_db", math.inf),
        ("shift_seconds", math.inf),
        ("time_mask_seconds", math.inf),
        ("speed", 1.0),
    ):
        value = getattr(config, field)
        if not 0 <= value < below:
            limits = "not negative" if below == math.inf else "in [0, 1)"
            raise ValueError(f"augment.{field} is {value}; it must be {limits}")
    if not 0 <= config.erase <= 1:
        raise ValueError(f"augment.erase is {config.erase}; it is a probability, in [0, 1]")
    if config.noise_db is not None and not math.isfinite(config.noise_db):
        raise ValueError(f"augment.noise_db is {config.noise_db}; it must be a finite number of decibels, or None")


def augment_image(pixels: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture, changed at random; the argument is left as it is.

    Args:
        pixels: uint8 [H, W, 3] or [H, W].

    Returns:
        uint8 of the same shape.
    """
    if config.crop_padding:
        pixels = _shift_image(pixels, config.crop_padding, rng)
    if config.flip and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if config.brightness:
        pixels = _brighten(pixels, 1 + config.brightness * rng.uniform(-1, 1))
    if config.erase and rng.random() < config.erase:
        pixels = _erase(pixels, rng)
    return pixels


def _shift_image(pixels: NDArray[np.uint8], padding: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Zero-pad on each side, and crop at random back to the size. At least half of each side stays in view."""
    height, width = pixels.shape[:2]
    limit_y, limit_x = min(padding, height // 2), min(padding, width // 2)
    down, right = (int(rng.integers(-limit, limit, endpoint=True)) for limit in (limit_y, limit_x))
    shifted = np.zeros_like(pixels)
    to_y, to_x = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    from_y, from_x = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    shifted[to_y, to_x] = pixels[from_y, from_x]
    return shifted


def _brighten(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    table = np.minimum(np.rint(np.arange(256) * max(factor, 0)), 255).astype(np.uint8)
    return np.take(table, pixels)


def _erase(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Overwrite a rectangle of 2% to 20% of the area, of any aspect from 3:10 to 10:3, with one random value."""
    height, width = pixels.shape[:2]
    area = rng.uniform(*_ERASED_AREA) * height * width
    aspect = _ERASED_ASPECT ** rng.uniform(-1, 1)
    rows = min(height, max(1, round(math.sqrt(area * aspect))))
    columns = min(width, max(1, round(area / rows)))
    top, left = rng.integers(height - rows, endpoint=True), rng.integers(width - columns, endpoint=True)
    erased = pixels.copy()
    erased[top : top + rows, left : left + columns] = rng.integers(256, size=pixels.shape[2:], dtype=np.uint8)
    return erased


def augment_audio(
    samples: NDArray[np.float32], rate: int, config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The sound, changed at random; the argument is left as it is.

    Args:
        samples: float32 [N] or [N, C].
        rate: Samples a second.

    Returns:
        float32 in [-1, 1]; N changes with the speed, and with nothing else.
    """
    if config.speed:
        samples = _resample(samples, rate, 1 + config.speed * rng.uniform(-1, 1))
    if config.shift_seconds:
        samples = _delay(samples, round(config.shift_seconds * rate), rng)
    if config.gain_db:
        samples = samples * _amplitude(config.gain_db * rng.uniform(-1, 1))
    if config.noise_db is not None:
        level = _amplitude(config.noise_db - _NOISE_SPAN_DB * rng.random()) * np.abs(samples).max()
        samples = samples + rng.standard_normal(samples.shape, dtype=np.float32) * level
    if config.time_mask_seconds:
        samples = _silence(samples, round(config.time_mask_seconds * rate), rng)
    return np.clip(samples, np.float32(-1), np.float32(1))


def _amplitude(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def _resample(samples: NDArray[np.float32], rate: int, speed: float) -> NDArray[np.float32]:
    """Played `speed` times as fast. A clip too short to leave a sample is left alone."""
    faster: NDArray[np.float32] = soxr.resample(samples, rate * speed, rate, quality="MQ")
    return faster if len(faster) else samples


def _delay(samples: NDArray[np.float32], most: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Later (or earlier) by up to `most` samples, silence in the gap. At least half of the clip stays."""
    limit = min(most, len(samples) // 2)
    delay = int(rng.integers(-limit, limit, endpoint=True))
    delayed = np.zeros_like(samples)
    delayed[max(delay, 0) : len(samples) + min(delay, 0)] = samples[max(-delay, 0) : len(samples) - max(delay, 0)]
    return delayed


def _silence(samples: NDArray[np.float32], most: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """One stretch of up to `most` samples set to zero, and never more than half of the clip."""
    length = int(rng.integers(min(most, len(samples) // 2), endpoint=True))
    start = int(rng.integers(len(samples) - length, endpoint=True))
    masked = samples.copy()
    masked[start : start + length] = 0
    return masked
