"""Sounds as decoded samples, or as log-mel spectrograms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anybyte.config import AugmentConfig, SoundConfig
from anybyte.files.audio import Audio, decode_audio, to_length, to_mono_rate
from anybyte.files.augment import augment_audio, changes_audio
from anybyte.files.media import medium_of
from anybyte.files.mel import log_mel, mel_filters, num_frames
from anybyte.reading.base import ArrayReading, Arrays

_SILENCE = 1e-4
"""Root mean square below which a sound is not made louder: there is nothing in it but rounding."""

_MP4, _MATROSKA = b"ftyp", b"\x1aE\xdf\xa3"
"""By which the containers of videos are known; WebM is Matroska."""


class SoundReading(ArrayReading):
    """Sounds of any rate, length and number of channels: float32 [samples], or [frames, mels].

    decode -> one channel at the model's rate -> random changes -> one length -> level -> mel. In training the place of
    what is cut out of a long sound, or of a short one in its silence, is random. Otherwise a long one is read in its
    middle, and silence follows a short one. Mix-up adds up samples, before a spectrogram is made of them.

    Attributes:
        count: samples that are read.
    """

    config: SoundConfig

    def __init__(self, config: SoundConfig, augment: AugmentConfig | None = None, max_bytes: int | None = None) -> None:
        check_sound(config)
        super().__init__(config, augment, max_bytes)
        self.count = num_samples(config)

    @property
    def views(self) -> int:
        return self.config.views

    def read(self, data: bytes, name: str, rng: np.random.Generator | None) -> NDArray[np.float32]:
        return self.present(self.wave(_decoded(data, name), rng))

    def view(self, data: bytes, name: str, place: float) -> NDArray[np.float32]:
        return self.present(self.wave(_decoded(data, name), None, place))

    def wave(self, sound: Audio, rng: np.random.Generator | None, place: float = 0.5) -> NDArray[np.float32]:
        """The samples that are read of a sound, after the random changes: float32 [count]."""
        samples = to_mono_rate(sound.samples, sound.rate, self.config.rate)
        if not np.isfinite(samples).all():
            raise ValueError("it has samples that are not finite numbers")
        if rng is None:
            spare = max(0, len(samples) - self.count)
            return self._level(to_length(samples[int(place * spare) :], self.count))
        if changes_audio(self.augment):
            room = math.ceil(self.count * (1 + self.augment.speed))  # what becomes of more is cut off anyway
            samples = augment_audio(_somewhere(samples, room, rng), self.config.rate, self.augment, rng)
        return self._level(_placed(_somewhere(samples, self.count, rng), self.count, rng))

    def present(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples as the model reads them: as they are, or as [frames, mels]."""
        config = self.config
        if config.form == "samples":
            return wave
        return log_mel(
            wave,
            config.rate,
            bands=config.num_mels,
            window=config.window,
            hop=config.hop,
            low=config.low,
            high=config.high or config.rate / 2,
        )

    def before_mixing(self) -> ArrayReading:
        if self.config.form == "samples":
            return self
        return SoundReading(replace(self.config, form="samples"), self.augment, self.max_bytes)

    def after_mixing(self, data: Arrays) -> Arrays:
        assert isinstance(data, np.ndarray)
        return self.present(data)

    def blank(self) -> NDArray[np.float32]:
        return np.zeros(sound_shape(self.config), dtype=np.float32)

    def _level(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.config.level == "stored":
            return wave
        loudness = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        return wave * np.float32(1 / max(loudness, _SILENCE))


def num_samples(config: SoundConfig) -> int:
    """Samples that are read of a sound."""
    return max(1, round(config.seconds * config.rate))


def sound_shape(config: SoundConfig) -> tuple[int, ...]:
    """The shape of what is read: (samples,), or (frames, mels)."""
    count = num_samples(config)
    return (count,) if config.form == "samples" else (num_frames(count, config.hop), config.num_mels)


def describe_sound(config: SoundConfig) -> str:
    """What is read, in a few words."""
    what = "samples" if config.form == "samples" else f"{config.num_mels} mel bands"
    return f"the {what} of sounds, {config.seconds:g} s at {config.rate} Hz"


def check_sound(config: SoundConfig, where: str = "reading") -> None:
    """Nothing, if the settings make sense.

    Args:
        config: the settings.
        where: what they are called in an error.

    Raises:
        ValueError: they do not; the message names the field.
    """
    for name in ("rate", "num_mels", "window", "hop", "views"):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{where}.{name} is {value!r}; it is a whole number, at least 1")
    seconds = config.seconds
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
        raise ValueError(f"{where}.seconds is {seconds!r}; it is a positive number")
    for name, allowed in (("form", ("samples", "mel")), ("level", ("stored", "equal"))):
        if getattr(config, name) not in allowed:
            raise ValueError(f"{where}.{name} is {getattr(config, name)!r}; it is {' or '.join(map(repr, allowed))}")
    if config.form == "mel":
        try:
            mel_filters(config.rate, config.window, config.num_mels, config.low, config.high or config.rate / 2)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def _decoded(data: bytes, name: str) -> Audio:
    if medium_of(data) == "image":
        raise ValueError(f"{name} is a picture, but the model reads sounds")
    if data[4:8] == _MP4 or data.startswith(_MATROSKA):
        raise ValueError(f"{name} is a video (MP4 or Matroska), but the model reads sounds: wav, flac, ogg, mp3")
    return decode_audio(data, name)


def _somewhere(samples: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random stretch of `count` samples; all of a shorter sound."""
    spare = len(samples) - count
    if spare <= 0:
        return samples
    start = int(rng.integers(spare, endpoint=True))
    return samples[start : start + count]


def _placed(samples: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A sound of at most `count` samples at a random place in silence of that length."""
    spare = count - len(samples)
    if not spare:
        return samples
    start = int(rng.integers(spare, endpoint=True))
    placed = np.zeros(count, np.float32)
    placed[start : start + len(samples)] = samples
    return placed
