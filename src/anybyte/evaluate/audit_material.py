"""What an audit works on: the files that are attacked, public files of the same kind, and what lies where in them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.files.media import Audio, Image, decode
from anybyte.files.sources import Entry, Source
from anybyte.privacy.attacks.layout import Layout, picture_layout, sound_layout
from anybyte.reading import ByteReading, split_formats

_MOST_BYTES = 2**28
"""Of files held in memory at once."""


@dataclass(frozen=True)
class Part:
    """Some files of a source, as a source."""

    source: Source
    indices: tuple[int, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def entries(self) -> Sequence[Entry]:
        return [self.source.entries[index] for index in self.indices]

    def read(self, index: int) -> bytes:
        """The bytes of `entries[index]`, as stored."""
        return self.source.read(self.indices[index])


def draw(source: Source, count: int, seed: int) -> Part:
    """That many files of a source, or all if it has fewer, at random and in random order."""
    chosen = np.random.default_rng(seed).permutation(len(source.entries))[:count]
    return Part(source, tuple(chosen.tolist()))


@dataclass(frozen=True)
class Material:
    """Decoded files and the bytes that are written of them, without any protection.

    Attributes:
        media: pictures uint8 [H, W, C] or sounds (kept for their length and rate), in order.
        plain: the encoded bytes, uint8 [length], in the same order.
        layouts: the plan of each file.
        left_out: files that could not be used, and why.
    """

    media: tuple[NDArray[np.uint8] | Audio, ...]
    plain: tuple[NDArray[np.uint8], ...]
    layouts: tuple[Layout, ...]
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def has_bodies(self) -> bool:
        """Whether it is known of every file which byte belongs to which pixel or sample."""
        return all(layout.places is not None for layout in self.layouts)

    @property
    def pictures(self) -> NDArray[np.uint8] | None:
        """uint8 [N, H, W, C], if all files are pictures of one shape."""
        pictures = [medium for medium in self.media if isinstance(medium, np.ndarray)]
        if len(pictures) < len(self) or len({picture.shape for picture in pictures}) != 1:
            return None
        return np.stack(pictures)

    def bodies(self, files: Sequence[NDArray[np.uint8]] | None = None) -> list[NDArray[np.uint8]]:
        """Pixels or samples in the files, or in other bytes of the same layouts."""
        chosen = self.plain if files is None else files
        return [layout.body(file) for layout, file in zip(self.layouts, chosen, strict=False)]


def collect(source: Source, reading: ReadingConfig, on_error: str = "fail") -> Material:
    """The files of a source as a model's reading writes them, before anything protects them.

    Files whose bytes exceed what is held in memory at once are not read.

    Raises:
        ValueError: a file is neither picture nor sound or cannot be written (unless `on_error` is "skip"), or none is
            left; the message names it.
        OSError: a file cannot be read.
    """
    writer = ByteReading(replace(reading, privacy=PrivacyConfig()))
    media: list[NDArray[np.uint8] | Audio] = []
    plain: list[NDArray[np.uint8]] = []
    layouts: list[Layout] = []
    left_out: list[str] = []
    total = 0
    for index, entry in enumerate(source.entries):
        try:
            stored = source.read(index)
            medium = writer.change(decode(stored, entry.name))
            data = np.frombuffer(writer(stored, entry.name), np.uint8)
        except (ValueError, OSError) as error:
            if on_error == "fail":
                raise
            left_out.append(str(error))
            continue
        layout = _plan(medium, _format_of(medium, reading.format))
        if layout.length and layout.length != data.size:  # a variant of the format that nobody writes here
            layout = replace(layout, length=0, header=layout.header[:0], values=layout.values[:0], places=None)
        media.append(_as_picture(medium.pixels) if isinstance(medium, Image) else medium)
        plain.append(data)
        layouts.append(layout)
        total += data.size
        if total > _MOST_BYTES:
            break
    if not plain:
        raise ValueError("there is no picture or sound to attack" + (f": {left_out[0]}" if left_out else ""))
    return Material(tuple(media), tuple(plain), tuple(layouts), tuple(left_out))


def _format_of(medium: Image | Audio, formats: str | None) -> str:
    """The format that a medium is written in: the first that fits it."""
    for format in split_formats(formats):
        is_sound = format.startswith(("wav", "mp3", "flac", "ogg"))
        if is_sound == isinstance(medium, Audio):
            return format
    return medium.format


def _plan(medium: Image | Audio, format: str) -> Layout:
    if isinstance(medium, Image):
        return _picture_plan(format, medium.pixels.shape)
    if medium.samples.ndim != 1:
        raise ValueError("the audit reads sounds of one channel: set a rate, which mixes channels down")
    return _sound_plan(format, len(medium.samples), medium.rate)


@functools.lru_cache(maxsize=64)
def _picture_plan(format: str, shape: tuple[int, ...]) -> Layout:
    height, width, channels = (*shape, 1)[:3]
    return picture_layout(format, height, width, channels)


@functools.lru_cache(maxsize=2048)
def _sound_plan(format: str, samples: int, rate: int) -> Layout:
    return sound_layout(format, samples, rate)


def _as_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
