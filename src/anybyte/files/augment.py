"""Random changes to pictures and sounds, as `AugmentConfig` asks for them.

All randomness comes from the generator that is handed in: equal generators give equal results. A change that is turned
off draws nothing from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.config import AugmentConfig
from anybyte.files.audio import to_length, to_mono
from anybyte.files.rand_augment import MAGNITUDES, rand_augment

Span = tuple[float, float]
"""From and to."""


_ERASED_ASPECT = 10 / 3
_NOISE_SPAN_DB = 30
_CROP_ATTEMPTS = 10

_NOT_NEGATIVE = ("not negative and finite", lambda value: 0 <= value < math.inf)
_SHARE = ("in [0, 1)", lambda value: 0 <= value < 1)
_PROBABILITY = ("a probability, in [0, 1]", lambda value: 0 <= value <= 1)
_DECIBELS = ("a finite number of decibels, or None", lambda value: math.isfinite(value))
_AREA = ("two numbers in (0, 1], in order", lambda value: len(value) == 2 and 0 < value[0] <= value[1] <= 1)

_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "crop_size": ("at least 1, or None", lambda value: value >= 1),
    "crop_area": _AREA,
    "crop_aspect": (
        "two positive numbers, in order",
        lambda value: len(value) == 2 and 0 < value[0] <= value[1] < math.inf,
    ),
    "crop_padding": _NOT_NEGATIVE,
    "rand_augment": _NOT_NEGATIVE,
    "rand_augment_magnitude": (f"in 0 to {MAGNITUDES - 1}", lambda value: 0 <= value < MAGNITUDES),
    "brightness": _NOT_NEGATIVE,
    "erase": _PROBABILITY,
    "erase_area": _AREA,
    "erase_value": ("in 0 to 255, or None", lambda value: 0 <= value <= 255),
    "speed": _SHARE,
    "shift_seconds": _NOT_NEGATIVE,
    "roll": _PROBABILITY,
    "gain_db": _NOT_NEGATIVE,
    "noise_db": _DECIBELS,
    "noise_dbfs": _DECIBELS,
    "time_mask_seconds": _NOT_NEGATIVE,
    "mixup": _PROBABILITY,
    "mixup_alpha": ("positive and finite", lambda value: 0 < value < math.inf),
    "cutmix": _PROBABILITY,
    "cutmix_alpha": ("positive and finite", lambda value: 0 < value < math.inf),
}
"""Field -> what it must be, and whether a value is that; None, where allowed, always is."""


def changes_images(config: AugmentConfig) -> bool:
    """Whether any change to pictures is on."""
    return config.crop_size is not None or bool(
        config.crop_padding or config.flip or config.rand_augment or config.brightness or config.erase
    )


def changes_audio(config: AugmentConfig) -> bool:
    """Whether any change to sounds is on."""
    return (
        config.noise_db is not None
        or config.noise_dbfs is not None
        or bool(config.speed or config.shift_seconds or config.roll or config.gain_db or config.time_mask_seconds)
    )


def check_augment(config: AugmentConfig) -> None:
    """Nothing, if the configuration makes sense.

    Raises:
        ValueError: it does not; the message names the field, its value and what would be right.
    """
    for field, (what, holds) in _RULES.items():
        value = getattr(config, field)
        if value is not None and not holds(value):
            raise ValueError(f"augment.{field} is {value}; it must be {what}")
    if config.mixup + config.cutmix > 1:
        raise ValueError(
            f"augment.mixup is {config.mixup} and augment.cutmix {config.cutmix}; they add up to at most 1, "
            "since a file is mixed or pasted, not both"
        )


def augment_image(pixels: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture, changed at random in the order of the fields; the argument is left as it is.

    Args:
        pixels: uint8 [H, W, 3] or [H, W].

    Returns:
        uint8 of the same shape, or with sides of `crop_size`.
    """
    if config.crop_size is not None:
        pixels = _crop(pixels, config.crop_size, config.crop_area, config.crop_aspect, rng)
    if config.crop_padding:
        pixels = _shift_image(pixels, config.crop_padding, rng)
    if config.flip and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if config.rand_augment:
        pixels = rand_augment(pixels, config.rand_augment, config.rand_augment_magnitude, rng)
    if config.brightness:
        pixels = _brighten(pixels, 1 + config.brightness * rng.uniform(-1, 1))
    if config.erase and rng.random() < config.erase:
        pixels = _erase(pixels, config.erase_area, config.erase_value, rng)
    return pixels


def _crop(
    pixels: NDArray[np.uint8], size: int, area: Span, aspect: Span, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A rectangle of random area, aspect and place, resized to a square (Szegedy et al. 2015, arXiv 1409.4842).

    If none of several draws fits into the picture, it is the largest one in the middle whose aspect is allowed.
    """
    height, width = pixels.shape[:2]
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    for _ in range(_CROP_ATTEMPTS):
        target = rng.uniform(*area) * height * width
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        columns, rows = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < columns <= width and 0 < rows <= height:
            left, top = rng.integers(width - columns, endpoint=True), rng.integers(height - rows, endpoint=True)
            break
    else:
        ratio = min(max(width / height, aspect[0]), aspect[1])
        columns, rows = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
        left, top = (width - columns) // 2, (height - rows) // 2
    # Cut first: what lies around the rectangle does not look into it.
    part = picture.crop((int(left), int(top), int(left) + columns, int(top) + rows))
    return np.asarray(part.resize((size, size), Pillow.Resampling.BICUBIC))


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


def _erase(pixels: NDArray[np.uint8], share: Span, value: int | None, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Overwrite a rectangle of some share of the area, of any aspect from 3:10 to 10:3, with one value.

    Random erasing, Zhong et al. 2017, arXiv 1708.04896.
    """
    height, width = pixels.shape[:2]
    area = rng.uniform(*share) * height * width
    aspect = _ERASED_ASPECT ** rng.uniform(-1, 1)
    rows = min(height, max(1, round(math.sqrt(area * aspect))))
    columns = min(width, max(1, round(area / rows)))
    top, left = rng.integers(height - rows, endpoint=True), rng.integers(width - columns, endpoint=True)
    erased = pixels.copy()
    erased[top : top + rows, left : left + columns] = (
        rng.integers(256, size=pixels.shape[2:], dtype=np.uint8) if value is None else value
    )
    return erased


def augment_audio(
    samples: NDArray[np.float32], rate: int, config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The sound, changed at random in the order of the fields; the argument is left as it is.

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
    if config.roll:
        limit = config.roll * len(samples)
        samples = np.roll(samples, round(rng.uniform(-limit, limit)), axis=0)
    if config.gain_db:
        samples = samples * _amplitude(config.gain_db * rng.uniform(-1, 1))
    if config.noise_db is not None:
        level = _amplitude(config.noise_db - _NOISE_SPAN_DB * rng.random()) * np.abs(samples).max()
        samples = samples + rng.standard_normal(samples.shape, dtype=np.float32) * level
    if config.noise_dbfs is not None:
        samples = samples + rng.standard_normal(samples.shape, dtype=np.float32) * _amplitude(config.noise_dbfs)
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


def cut_box(height: int, width: int, weight: float, rng: np.random.Generator) -> tuple[tuple[slice, slice], float]:
    """A random rectangle to paste over a picture (CutMix, Yun et al. 2019, arXiv 1905.04899).

    Its sides are sqrt(1 - weight) of the picture's, its centre is anywhere in it, and its edges are those of the
    picture at most.

    Returns:
        The rows and columns, and the exact share of the area that is left outside: `weight` or more, but for rounding.
    """
    share = math.sqrt(1 - weight)
    rows, columns = (_stretch(round(side * share), side, rng) for side in (height, width))
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (rows, columns), 1 - covered / (height * width)


def _stretch(length: int, side: int, rng: np.random.Generator) -> slice:
    """`length` places around a random one of `side`, as far as there are any."""
    start = int(rng.integers(side)) - length // 2
    return slice(max(0, start), max(0, min(side, start + length)))


def cut_mix_images(
    first: NDArray[np.uint8], second: NDArray[np.uint8], weight: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """The first picture with a rectangle of the second over it, and the share of the area that is the first's.

    Args:
        first, second: uint8 [H, W, 3] or [H, W]; in colour, if one of them is.
        weight: in [0, 1], see `cut_box`.

    Raises:
        ValueError: the pictures are of different sizes.
    """
    first, second = _alike(first, second, "cutmix")
    box, share = cut_box(first.shape[0], first.shape[1], weight, rng)
    pasted = first.copy()
    pasted[box] = second[box]
    return pasted, share


def mix_images(first: NDArray[np.uint8], second: NDArray[np.uint8], weight: float) -> NDArray[np.uint8]:
    """`weight` times the first picture plus the rest of the second; in colour, if one of them is.

    Args:
        first, second: uint8 [H, W, 3] or [H, W].
        weight: In [0, 1].

    Returns:
        uint8 [H, W, 3] or [H, W].

    Raises:
        ValueError: the pictures are of different sizes.
    """
    first, second = _alike(first, second, "mixup")
    mixed = first * np.float32(weight) + second * np.float32(1 - weight)
    return np.rint(mixed).astype(np.uint8)


def _alike(
    first: NDArray[np.uint8], second: NDArray[np.uint8], field: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two pictures of one size, with as many channels; ValueError about `field` if they are of different ones."""
    if first.shape[:2] != second.shape[:2]:
        sizes = " and ".join(f"{picture.shape[1]} x {picture.shape[0]}" for picture in (first, second))
        raise ValueError(
            f"augment.{field} needs pictures of one size, not {sizes}: set reading.image_size or augment.crop_size"
        )
    if first.ndim != second.ndim:
        first, second = (
            picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in (first, second)
        )
    return first, second


def mix_audio(first: NDArray[np.float32], second: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """`weight` times the first sound plus the rest of the second, cut or padded with silence to the first's length.

    Args:
        first: float32 [N] or [N, C].
        second: float32 [M] or [M, D], at the same rate. If C and D differ, the mean of its channels is added to each.
        weight: In [0, 1].

    Returns:
        float32 of the first one's shape.
    """
    second = to_length(second, len(first))
    if first.shape[1:] != second.shape[1:]:
        second = to_mono(second)
        second = second if first.ndim == 1 else second[:, None]
    return first * np.float32(weight) + second * np.float32(1 - weight)
