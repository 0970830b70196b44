"""Videos with their sound, as a model of both reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anybyte.config import AugmentConfig, ClipConfig, SoundConfig
from anybyte.files.audio import Audio, decode_audio
from anybyte.files.augment import augment_image, changes_images
from anybyte.files.media import medium_of
from anybyte.files.streams import Stored
from anybyte.files.video import Clip, probe, read_clip
from anybyte.reading.base import ArrayReading, Arrays
from anybyte.reading.pixels import resize
from anybyte.reading.sounds import SoundReading, check_sound, describe_sound, sound_shape

PICTURES, SOUND = "image", "audio"
"""Names of the model's inputs."""


class ClipReading(ArrayReading):
    """Videos: `image`, float32 [frames, size, size, 3] in [0, 1], and `audio`, as `SoundReading` gives it.

    In training the clip begins anywhere, each of its frames is changed in the same way, and its sound as sounds are.
    Otherwise it is the middle of the file. A file without sound, or one that is nothing but sound, is refused, or read
    as what it has (`ClipConfig.missing`); in training it is refused.
    """

    config: ClipConfig

    def __init__(self, config: ClipConfig, augment: AugmentConfig | None = None, max_bytes: int | None = None) -> None:
        check_clip(config)
        super().__init__(config, augment, max_bytes)
        self.sounds = SoundReading(config.sound, augment)

    @property
    def views(self) -> int:
        return self.config.views

    def read(self, data: bytes, name: str, rng: np.random.Generator | None) -> Mapping[str, NDArray[np.float32]]:
        return self._read(data, name, 0.5, rng)

    def view(self, data: bytes, name: str, place: float) -> Mapping[str, NDArray[np.float32]]:
        return self._read(data, name, place, None)

    def _read(
        self, data: bytes, name: str, place: float, rng: np.random.Generator | None
    ) -> Mapping[str, NDArray[np.float32]]:
        may_lack = self.config.missing == "absent" and rng is None
        if medium_of(data) == "audio" and may_lack:
            return {SOUND: self.sounds.present(self.sounds.wave(decode_audio(data, name), None, place))}
        self.check_medium(data, name)
        file = Stored(data, name)
        about = probe(file)
        if not (about.has_sound or may_lack):
            raise ValueError(f"{name} is a video without sound, but the model reads both")
        spare = max(0.0, about.seconds - clip_seconds(self.config))
        clip = self._clip(file, spare * place if rng is None else float(rng.uniform(0, spare)), rng is not None)
        pictures = self._pictures(clip, rng)
        if not about.has_sound:
            return {PICTURES: pictures}
        return {PICTURES: pictures, SOUND: self._sound(clip, rng)}

    def check_medium(self, data: bytes, name: str) -> None:
        """Raises ValueError for a picture, and for a sound without pictures."""
        medium = medium_of(data)
        if medium in ("image", "audio"):
            what = "a picture" if medium == "image" else "a sound without pictures"
            raise ValueError(f"{name} is {what}, but the model reads videos with sound")

    def present(self, clip: Clip, rng: np.random.Generator | None) -> Mapping[str, NDArray[np.float32]]:
        """A clip as the model reads it, changed at random by `rng`: for those who take many out of one file."""
        return {PICTURES: self._pictures(clip, rng), SOUND: self._sound(clip, rng)}

    def before_mixing(self) -> ArrayReading:
        sound = self.config.sound
        if sound.form == "samples":
            return self
        waves = replace(self.config, sound=replace(sound, form="samples"))
        return ClipReading(waves, self.augment, self.max_bytes)

    def after_mixing(self, data: Arrays) -> Arrays:
        assert isinstance(data, Mapping)
        if SOUND not in data:
            return data
        return {**data, SOUND: self.sounds.present(data[SOUND])}

    def blank(self) -> Mapping[str, NDArray[np.float32]]:
        config = self.config
        pictures = np.zeros((config.frames, config.image_size, config.image_size, 3), np.float32)
        return {PICTURES: pictures, SOUND: np.zeros(sound_shape(config.sound), np.float32)}

    def _clip(self, file: Stored, start: float, is_training: bool) -> Clip:
        """The frames at their size, but for those that a random crop is taken from; and their sound."""
        config = self.config
        is_cropped = is_training and self.augment.crop_size is not None
        size = None if is_cropped else (config.image_size, config.image_size)
        return read_clip(file, start, config.frames, size, config.frame_rate, config.sound.rate)

    def _sound(self, clip: Clip, rng: np.random.Generator | None) -> NDArray[np.float32]:
        return self.sounds.present(self.sounds.wave(Audio(clip.samples, clip.rate, ""), rng))

    def _pictures(self, clip: Clip, rng: np.random.Generator | None) -> NDArray[np.float32]:
        """float32 [frames, size, size, 3]."""
        frames = clip.frames
        if rng is not None and changes_images(self.augment):
            # Equal generators make equal draws, so that what happens to one frame happens to all.
            seed, size = int(rng.integers(2**63)), self.config.image_size
            changed = (augment_image(frame, self.augment, np.random.default_rng(seed)) for frame in frames)
            frames = np.stack([resize(frame, size) for frame in changed])
        return frames.astype(np.float32) / np.float32(255)


def clip_seconds(config: ClipConfig) -> float:
    """How long a clip is."""
    return config.frames / config.frame_rate


def describe_clip(config: ClipConfig) -> str:
    """What is read, in a few words."""
    size = config.image_size
    return f"{config.frames} frames of videos, {size} x {size}, and {describe_sound(config.sound)}"


def check_clip(config: ClipConfig) -> None:
    """Nothing, if the settings make sense.

    Raises:
        ValueError: they do not; the message names the field.
    """
    for name in ("frames", "image_size", "views"):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"reading.{name} is {value!r}; it is a whole number, at least 1")
    rate = config.frame_rate
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise ValueError(f"reading.frame_rate is {rate!r}; it is a positive number")
    if config.missing not in ("refuse", "absent"):
        raise ValueError(f"reading.missing is {config.missing!r}; it is 'refuse' or 'absent'")
    if not isinstance(config.sound, SoundConfig):
        raise ValueError(f"reading.sound is {config.sound!r}; it is a group of settings")
    check_sound(config.sound, "reading.sound")
    if config.sound.views != 1:
        raise ValueError(f"reading.sound.views is {config.sound.views}; those of a clip are reading.views")
    if round(config.sound.seconds * config.sound.rate) != round(clip_seconds(config) * config.sound.rate):
        raise ValueError(
            f"reading.sound.seconds is {config.sound.seconds:g}, but {config.frames} frames at {rate:g} a second are "
            f"{clip_seconds(config):g} s"
        )
