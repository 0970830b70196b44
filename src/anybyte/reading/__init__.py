"""What happens to a file between storage and model: one module a way of reading, told apart by `kind`.

    bytes.py     decode, change, fit, encode, protect: bytes again, often those that are stored
    pixels.py    pictures as decoded pixels
    sounds.py    samples or mel spectrograms
    clips.py     videos with their sound
    points.py    surfaces and clouds as points
    frames.py    pairs of frames, for flow: its settings alone, since no single file is read
    base.py      what they have in common
    fit.py       whether a model can read what a reading gives

The same in training, evaluation and use: a model's folder keeps the settings (`reading.json`), so that nothing but the
random changes of training is left out later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from anybyte.config import (
    AnyReadingConfig,
    AugmentConfig,
    ClipConfig,
    FramesConfig,
    PixelsConfig,
    PointsConfig,
    ReadingConfig,
    SoundConfig,
)
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.protect import check_privacy
from anybyte.reading.base import ArrayReading, Arrays, Mixed, Reading
from anybyte.reading.bytes import ByteReading, check_bytes, reading_digest, split_formats
from anybyte.reading.clips import ClipReading, check_clip, describe_clip
from anybyte.reading.frames import check_frames, describe_frames
from anybyte.reading.pixels import PixelReading, check_pixels
from anybyte.reading.points import PointReading, check_points, describe_points
from anybyte.reading.sounds import SoundReading, check_sound, describe_sound

__all__ = [
    "ArrayReading",
    "Arrays",
    "ByteReading",
    "ClipReading",
    "Mixed",
    "PixelReading",
    "PointReading",
    "Reading",
    "SoundReading",
    "as_json",
    "check_reading",
    "describe",
    "make_reading",
    "reading_digest",
    "split_formats",
]

_READINGS: dict[type, Callable[[Any, AugmentConfig | None, int | None], Reading]] = {
    PixelsConfig: PixelReading,
    SoundConfig: SoundReading,
    ClipConfig: ClipReading,
    PointsConfig: PointReading,
}
"""Kind of settings -> what reads so, where it reads arrays."""

_CHECKS: dict[type, Callable[[Any], None]] = {
    PixelsConfig: check_pixels,
    SoundConfig: check_sound,
    ClipConfig: check_clip,
    PointsConfig: check_points,
    FramesConfig: check_frames,
}
"""Kind of settings -> what raises ValueError if they make no sense."""

_DESCRIPTIONS: dict[type, Callable[[Any], str]] = {
    ReadingConfig: lambda config: config.format or "the files as they are stored",
    PixelsConfig: lambda config: f"the pixels of pictures, {config.image_size} x {config.image_size}",
    SoundConfig: describe_sound,
    ClipConfig: describe_clip,
    PointsConfig: describe_points,
    FramesConfig: describe_frames,
}
"""Kind of settings -> what a model reads, in words for its card."""


def make_reading(
    config: AnyReadingConfig | None = None,
    augment: AugmentConfig | None = None,
    max_bytes: int | None = None,
    key: Permutation | None = None,
) -> Reading:
    """The reading that settings describe.

    Args:
        config: what a model reads of a file. None: its bytes as they are stored.
        augment: random changes in training; those that do not fit a file's medium are left out for it.
        max_bytes: a file longer than this is an error. None: no limit.
        key: the permutation of the bytes, in place of a key file in `config`.

    Raises:
        ValueError: a setting makes no sense, or a key is given for what are not bytes; the message names it.
        OSError: the key file cannot be read.
    """
    if config is None or isinstance(config, ReadingConfig):
        return ByteReading(config, augment, max_bytes, key)
    if key is not None:
        raise ValueError(f"a key permutes bytes, but the model reads {config.kind}")
    if isinstance(config, FramesConfig):
        raise ValueError("the model reads pairs of frames, not single files: `anybyte flow A B` is for it")
    if type(config) not in _READINGS:
        raise ValueError(f"reading of kind {config.kind!r} is unknown")
    return _READINGS[type(config)](config, augment, max_bytes)


def check_reading(config: AnyReadingConfig) -> None:
    """Nothing, if the settings make sense.

    Raises:
        ValueError: they do not; the message names the field.
    """
    if isinstance(config, ReadingConfig):
        check_bytes(config)
        check_privacy(config.privacy)
    elif type(config) in _CHECKS:
        _CHECKS[type(config)](config)


def describe(config: AnyReadingConfig) -> str:
    """What a model reads, in a few words."""
    known = _DESCRIPTIONS.get(type(config))
    return known(config) if known else config.kind


def as_json(config: AnyReadingConfig) -> dict[str, Any]:
    """The settings as a model's folder holds them. The path of a key is never among them."""
    fields = dataclasses.asdict(config)
    if isinstance(config, ReadingConfig):
        del fields["privacy"]["key"]
    return fields
