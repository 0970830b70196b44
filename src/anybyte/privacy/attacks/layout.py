"""Where a file format puts pixels and samples, found out by writing files with it: an attacker can do the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybyte.files.media import AUDIO_FORMATS, check_format, encode_audio, encode_image

_SAMPLE_BYTES = {"wav:u8": 1, "wav:s16": 2, "wav:s32": 4, "wav:f32": 4, "wav": 2}


@dataclass(frozen=True)
class Layout:
    """The plan of files of one format, shape and length.

    Attributes:
        length: bytes of a file. 0: files of this format differ in length.
        header: places of the bytes that are the same in every such file: int64 [K].
        values: what they are: uint8 [K].
        places: where each pixel channel lies, int64 [H, W, C], or each byte of each sample, int64 [T, B]. None: the
            format compresses, so that no byte belongs to one pixel.
    """

    length: int
    header: NDArray[np.int64]
    values: NDArray[np.uint8]
    places: NDArray[np.int64] | None

    def body(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels or samples in files uint8 [..., length], in the shape of `places`.

        Raises:
            ValueError: the format compresses, or the files have another length.
        """
        if self.places is None:
            raise ValueError("in files of a compressed format no byte belongs to one pixel or sample")
        if data.shape[-1] != self.length:
            raise ValueError(f"expected files of {self.length:,} bytes, got {data.shape[-1]:,}")
        return data[..., self.places]


def picture_layout(format: str, height: int, width: int, channels: int = 3) -> Layout:
    """The plan of pictures of this size.

    Bytes that do not depend on the pixels are found by writing two pictures; the place of each pixel channel by writing
    its number in base 256, a digit a picture.

    Raises:
        ValueError: the format is unknown.
    """
    check_format(format)
    count = height * width * channels
    shape = (height, width) if channels == 1 else (height, width, channels)
    numbers = np.arange(count, dtype=np.int64)
    rng = np.random.default_rng(0)
    digits = [(numbers >> (8 * digit)) & 255 for digit in range(max(1, (count.bit_length() + 7) // 8))]
    probes = [rng.integers(0, 256, count), *digits]
    files = [_write(probe, shape, format) for probe in probes]
    opposites = [_write(255 - probe, shape, format) for probe in probes]
    if len({file.size for file in (*files, *opposites)}) > 1:
        header = _common_start([*files, *opposites])
        return Layout(0, np.arange(len(header)), header, None)
    same = np.all([file == files[0] for file in (*files, *opposites)], axis=0)
    mirrored = np.all([a.astype(int) + b == 255 for a, b in zip(files, opposites, strict=True)], axis=0)
    found = sum(file.astype(np.int64) << (8 * digit) for digit, file in enumerate(files[1:]))
    places = np.full(count, -1)
    where = np.flatnonzero(mirrored & (found < count))
    places[np.asarray(found)[where]] = where
    header_places = np.flatnonzero(same)
    complete = len(where) == count and bool((places >= 0).all()) and bool((files[0][places] == probes[0]).all())
    shaped = places.reshape(height, width, channels) if complete else None
    return Layout(files[0].size, header_places, files[0][header_places], shaped)


def sound_layout(format: str, samples: int, rate: int) -> Layout:
    """The plan of sounds of one channel with this many samples.

    Raises:
        ValueError: sounds cannot be written in this format.
    """
    if format not in AUDIO_FORMATS:
        raise ValueError(f"sounds cannot be written as {format}; they can be {', '.join(AUDIO_FORMATS)}")
    rng = np.random.default_rng(0)
    noises = [rng.uniform(-1, 1, samples).astype(np.float32) for _ in range(8)]
    files = [np.frombuffer(encode_audio(noise, rate, format), np.uint8) for noise in noises]
    width = _SAMPLE_BYTES.get(format)
    if width is None or len({file.size for file in files}) > 1:
        header = _common_start(files)
        return Layout(0, np.arange(len(header)), header, None)
    start = files[0].size - samples * width
    places = start + np.arange(samples * width).reshape(samples, width)
    return Layout(files[0].size, np.arange(start), files[0][:start], places)


def _write(values: NDArray[np.int64], shape: tuple[int, ...], format: str) -> NDArray[np.uint8]:
    return np.frombuffer(encode_image(values.astype(np.uint8).reshape(shape), format), np.uint8)


def _common_start(files: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    length = min(file.size for file in files)
    differ = np.any([file[:length] != files[0][:length] for file in files], axis=0)
    return files[0][: int(differ.argmax()) if differ.any() else length]
