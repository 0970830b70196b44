"""What happens to a file between storage and model: decode, change at random, encode. Often nothing at all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anybyte.config import AugmentConfig
from anybyte.files.augment import augment_audio, augment_image, changes_audio, changes_images, check_augment
from anybyte.files.media import Audio, Image, check_format, decode, encode, medium_of


@dataclass(frozen=True)
class FileTransform:
    """File bytes to the bytes that a model reads. Holds settings only, so it can be sent to data loader workers.

    Attributes:
        format: Every file is written in this format. None: in the format it came in, and only if it was changed.
        augment: Random changes; those that do not fit a file's medium are left out for it.
        max_bytes: A file longer than this, before or after, is an error.
    """

    format: str | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    max_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        if self.format is not None:
            check_format(self.format)
        check_augment(self.augment)

    def __call__(self, data: bytes, name: str, rng: np.random.Generator | None = None) -> bytes:
        """The bytes that a model reads.

        A file is only decoded if it will be written again; what is neither picture nor sound is so only for a `format`,
        and then an error. A changed file is written as it was: a 16-bit WAV of 8 kHz
        stays one, a PNG without compression stays one, a JPEG keeps its quality.

        Args:
            data: The file as it is stored.
            name: What to call it in an error.
            rng: Where the random changes come from: equal generators give equal bytes. None: no changes.

        Raises:
            ValueError: the file is empty or too long, cannot be decoded, or its medium cannot be written in the format.
        """
        if not data:
            raise ValueError(f"{name}: the file is empty")
        self._check_length(data, name)
        changes = rng is not None and self._changes(data)
        if self.format is None and not changes:
            return data
        medium = decode(data, name)
        if changes and rng is not None:
            medium = self._change(medium, rng)
        try:
            encoded = encode(medium, self.format)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self._check_length(encoded, name)
        return encoded

    def _changes(self, data: bytes) -> bool:
        """Whether augmentation touches this file: not what is neither picture nor sound."""
        pictures, sounds = changes_images(self.augment), changes_audio(self.augment)
        if not (pictures or sounds):
            return False
        medium = medium_of(data)
        return (pictures and medium == "image") or (sounds and medium == "audio")

    def _change(self, medium: Image | Audio, rng: np.random.Generator) -> Image | Audio:
        if isinstance(medium, Image):
            return replace(medium, pixels=augment_image(medium.pixels, self.augment, rng))
        return replace(medium, samples=augment_audio(medium.samples, medium.rate, self.augment, rng))

    def _check_length(self, data: bytes, name: str) -> None:
        if len(data) > self.max_bytes:
            raise ValueError(f"{name}: {len(data):,} bytes are more than max_bytes, {self.max_bytes:,}")
