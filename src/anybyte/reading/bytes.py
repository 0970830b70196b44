"""From a stored file to bytes: decode, change at random, fit, encode, protect. Often nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from anybyte.config import AugmentConfig, PrivacyConfig, ReadingConfig
from anybyte.files.audio import resample, to_length, to_mono_rate
from anybyte.files.augment import (
    augment_audio,
    augment_image,
    changes_audio,
    changes_images,
    check_augment,
    cut_mix_images,
    mix_audio,
    mix_images,
)
from anybyte.files.images import centre_square
from anybyte.files.media import AUDIO_FORMATS, IMAGE_FORMATS, Audio, Image, check_format, decode, encode, medium_of
from anybyte.privacy.permutation import Permutation, is_same, short
from anybyte.privacy.protect import Protection
from anybyte.privacy.seal import READING_SIZE, is_sealed, unseal
from anybyte.reading.base import Mixed, Reading

_CAMERA_FORMAT = "fhwc"
"""The format whose bytes are the channels of the pixels: a masked camera need not form it."""


class ByteReading(Reading):
    """File bytes to the bytes that a model reads. It can be sent to data loading processes.

    Attributes:
        config: what a model reads of a file; the fingerprint of a key is filled in.
        augment, max_bytes: see `Reading`.
        protection: what is done to the encoded bytes.

    Args:
        config: what a model reads of a file.
        augment: random changes in training; those that do not fit a file's medium are left out for it.
        max_bytes: a file longer than this, before or after, is an error. None: no limit.
        key: the permutation of the bytes, in place of a key file in `config`.

    Raises:
        ValueError: a setting makes no sense; the message names it.
        OSError: the key file cannot be read.
    """

    config: ReadingConfig

    def __init__(
        self,
        config: ReadingConfig | None = None,
        augment: AugmentConfig | None = None,
        max_bytes: int | None = None,
        key: Permutation | None = None,
    ) -> None:
        config = config or ReadingConfig()
        self.augment = augment or AugmentConfig()
        self.max_bytes = max_bytes
        check_bytes(config)
        check_augment(self.augment)
        self.protection = Protection(config.privacy, key)
        self.config = replace(config, privacy=self.protection.config)
        self.formats = split_formats(self.config.format)

    @property
    def is_as_stored(self) -> bool:
        """Whether files are read as they are, but for random changes. Sealed files are still refused."""
        return self.config == ReadingConfig()

    @property
    def kept(self) -> ReadingConfig:
        """The settings as a model's folder keeps them: with the fingerprint of the key, and without its path."""
        return replace(self.config, privacy=replace(self.config.privacy, key=None))

    def altered(self, *, max_bytes: int | None, **fields: Any) -> ByteReading:
        """The same with other fields of its settings and another limit, and without augmentation."""
        key = self.protection.permutation if self.protection.is_keyed else None
        return ByteReading(replace(self.config, **fields), max_bytes=max_bytes, key=key)

    def __call__(self, data: bytes, name: str, rng: np.random.Generator | None = None) -> bytes:
        """The bytes that a model reads.

        A file is only decoded if it will be written again. Without a `format` it is written as it was: a 16-bit WAV of
        8 kHz stays one, a PNG without compression stays one, a JPEG keeps its quality. A sealed file holds what a model
        reads: it is opened, if it was made for this reading and key.

        Args:
            data: the file as it is stored.
            name: what to call it in an error.
            rng: where all randomness comes from: equal generators give equal bytes. None: no augmentation, the first of
                several formats, and noise that follows from the file itself.

        Raises:
            ValueError: the file is empty or too long, cannot be decoded, its medium cannot be written in the format, or
                it is sealed for another key or reading. The message names the file.
        """
        if not data:
            raise ValueError(f"{name}: the file is empty")
        self.check_length(data, name)
        if is_sealed(data):
            return self.open_sealed(data, name)
        if not self._is_rewritten(data, rng):
            return self._protect(data, name, rng)
        return self.write(self._changed(data, name, rng), name, rng)

    def change(self, medium: Image | Audio, rng: np.random.Generator | None = None) -> Image | Audio:
        """A decoded file after augmentation (only with `rng`), in the size, rate and length that the model reads."""
        config = self.config
        if isinstance(medium, Image):
            pixels = medium.pixels if rng is None else augment_image(medium.pixels, self.augment, rng)
            size = config.image_size
            if size is not None and pixels.shape[:2] != (size, size):  # a square of that size is fit already
                pixels = centre_square(pixels, size)
            return replace(medium, pixels=pixels)
        samples, rate = medium.samples, medium.rate
        if rng is not None:
            samples = augment_audio(samples, rate, self.augment, rng)
        if config.rate is not None:
            samples, rate = to_mono_rate(samples, rate, config.rate), config.rate
        if config.seconds is not None:
            samples = to_length(samples, max(1, round(config.seconds * rate)))
        return replace(medium, samples=samples, rate=rate)

    def mix(
        self,
        data: bytes,
        name: str,
        other: bytes,
        other_name: str,
        weight: float,
        rng: np.random.Generator,
        *,
        cut: bool = False,
    ) -> Mixed | None:
        """See `Reading.mix`: of two pictures or two sounds; a rectangle is pasted into pictures only.

        Raises:
            ValueError: the first file cannot be used, or they are pictures of different sizes. The message names it.
        """
        medium = medium_of(data)
        if medium is None or medium != medium_of(other) or (cut and medium != "image"):
            return None
        self.check_length(data, name)
        first = self._changed(data, name, rng)
        try:
            self.check_length(other, other_name)
            second = self._changed(other, other_name, rng)
        except ValueError:
            return None
        if isinstance(first, Image) and isinstance(second, Image):
            try:
                if cut:
                    pixels, weight = cut_mix_images(first.pixels, second.pixels, weight, rng)
                else:
                    pixels = mix_images(first.pixels, second.pixels, weight)
            except ValueError as error:
                raise ValueError(f"{name}, {other_name}: {error}") from error
            first = replace(first, pixels=pixels)
        elif isinstance(first, Audio) and isinstance(second, Audio):
            samples = second.samples if second.rate == first.rate else resample(second.samples, second.rate, first.rate)
            first = replace(first, samples=mix_audio(first.samples, samples, weight))
        return Mixed(self.write(first, name, rng), weight)

    def blank(self) -> bytes:
        return b"\0"

    def write(self, medium: Image | Audio, name: str, rng: np.random.Generator | None = None) -> bytes:
        """The bytes that a model reads of a picture or sound that is fit: encoded, then protected."""
        format = self._format_for(medium, name, rng)
        if format == _CAMERA_FORMAT and isinstance(medium, Image) and self.protection.mask:
            return self._checked(self.protection.read_picture(medium.pixels, rng), name)
        try:
            encoded = encode(medium, format)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.check_length(encoded, name)
        return self._protect(encoded, name, rng)

    def open_sealed(self, data: bytes, name: str) -> bytes:
        """What is in a sealed file.

        Raises:
            ValueError: it was made with another key, for another reading, or for a model that reads permuted bytes
                while this one does not.
        """
        sealed, own = unseal(data, name), self.protection.fingerprint
        if own is None:
            raise ValueError(
                f"{name} is sealed with the key {short(sealed.fingerprint)}, but this model reads plain files: "
                "`anybyte privacy undo` opens it with the key, `anybyte privacy rekey` makes a model that reads it"
            )
        if not is_same(sealed.fingerprint, own):
            raise ValueError(
                f"{name} is sealed with the key {short(sealed.fingerprint)}, but this model is for {short(own)}"
            )
        if sealed.reading != reading_digest(self.config):
            raise ValueError(
                f"{name} is sealed with the right key, but was not read as this model reads files: "
                "seal it with `anybyte privacy apply --model MODEL`"
            )
        return self._checked(sealed.payload, name)

    def _changed(self, data: bytes, name: str, rng: np.random.Generator | None) -> Image | Audio:
        """What `change` makes of a file; errors name it."""
        medium = decode(data, name)
        try:
            return self.change(medium, rng)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _is_rewritten(self, data: bytes, rng: np.random.Generator | None) -> bool:
        """Whether a file is decoded and encoded again."""
        config = self.config
        if config.format is not None:
            return True
        pictures, sounds = config.image_size is not None, config.rate is not None or config.seconds is not None
        changes = pictures or sounds
        if rng is not None:
            pictures, sounds = pictures or changes_images(self.augment), sounds or changes_audio(self.augment)
        if not (pictures or sounds):
            return False
        medium = medium_of(data)
        if medium is None:
            return changes  # not for augmentation alone: what is neither picture nor sound goes through unread
        return pictures if medium == "image" else sounds

    def _format_for(self, medium: Image | Audio, name: str, rng: np.random.Generator | None) -> str | None:
        """The format to write a medium in: of several, one that fits it. None: as it came."""
        if not self.formats:
            return None
        known, word = (IMAGE_FORMATS, "picture") if isinstance(medium, Image) else (AUDIO_FORMATS, "sound")
        fitting = [format for format in self.formats if format in known]
        if not fitting:
            raise ValueError(f"{name}: a {word} cannot be written as {' or '.join(self.formats)}")
        return fitting[0] if rng is None or len(fitting) == 1 else fitting[int(rng.integers(len(fitting)))]

    def _protect(self, data: bytes, name: str, rng: np.random.Generator | None) -> bytes:
        try:
            return self.protection(data, rng)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _checked(self, data: bytes, name: str) -> bytes:
        self.check_length(data, name)
        return data


def split_formats(format: str | None) -> tuple[str, ...]:
    """The names in `ReadingConfig.format`, which stand with commas between."""
    return () if format is None else tuple(part.strip() for part in format.split(","))


def check_bytes(config: ReadingConfig) -> None:
    """Nothing, if the settings make sense; those of privacy are looked at by `Protection`.

    Raises:
        ValueError: they do not; the message names the field or the format.
    """
    if not isinstance(config.format, str | None):
        raise ValueError(f"reading.format is {config.format!r}; it is the name of a format, or None")
    for format in split_formats(config.format):
        check_format(format)
    for name in ("image_size", "rate"):
        value = getattr(config, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"reading.{name} is {value!r}; it is a whole number, at least 1, or None")
    seconds = config.seconds
    if seconds is not None and (
        not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < math.inf
    ):
        raise ValueError(f"reading.seconds is {seconds!r}; it is a positive number, or None")
    if not isinstance(config.privacy, PrivacyConfig):
        raise ValueError(f"reading.privacy is {config.privacy!r}; it is a group of settings")


def reading_digest(config: ReadingConfig) -> bytes:
    """8 bytes that tell ways of reading apart. Which key is used is not part of it: the fingerprint says that."""
    fields = dataclasses.asdict(config)
    del fields["kind"]  # sealed files know of no other
    for name in ("key", "permutation", "fingerprint"):
        del fields["privacy"][name]
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:READING_SIZE]
