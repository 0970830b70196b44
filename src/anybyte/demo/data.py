"""The demo's files: handwritten digits as pictures, spoken digits as sounds, sorted by what they say.

    data/{train,val,test}/{zero,...,nine}/written-0007.tiff   .png   .pgm
                                          spoken-012.s16.wav  .u8.wav

A written digit comes as three files, one a format; a spoken one as a 16-bit or an 8-bit file. Formats that pack their
bits (JPEG, compressed PNG, MP3) are left out: bytes that no longer line up with pixels and samples take longer to
learn than a demo lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybyte.demo import speech
from anybyte.files.media import encode_audio, encode_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = tuple(speech.WORDS)
"""The classes: zero to nine, whether written or spoken."""

PARTS = ("train", "val", "test")

PICTURE_FORMATS = {".tiff": "tiff", ".png": "png:0", ".pgm": "ppm"}
"""Suffix -> format."""
SOUND_FORMATS = {".u8.wav": "wav:u8", ".s16.wav": "wav:s16"}


@dataclass(frozen=True)
class DemoSize:
    """How many digits each part of the data set holds, in the order of `PARTS`.

    Attributes:
        written: pictures; there are 1,797 in all.
        speakers: voices. Each says every digit once, and speaks in one part only.
    """

    written: tuple[int, int, int] = (1377, 60, 360)
    speakers: tuple[int, int, int] = (130, 10, 40)


def format_of(name: str) -> str:
    """What kind of file a demo file is, by its name: a value of `PICTURE_FORMATS` or `SOUND_FORMATS`."""
    for suffix, format in (PICTURE_FORMATS | SOUND_FORMATS).items():
        if name.endswith(suffix):
            return format
    raise ValueError(f"{name} is not a file of the demo")


def is_spoken(name: str) -> bool:
    """Whether a demo file is a sound."""
    return format_of(name) in SOUND_FORMATS.values()


def write_files(folder: Path, seed: int, size: DemoSize | None = None) -> int:
    """Writes the data set into `folder` and says how many files it has. Equal seeds write equal bytes.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: there are not that many written digits.
        OSError: the folder cannot be written.
    """
    size = size or DemoSize()
    for part in PARTS:
        for digit in DIGITS:
            (folder / part / digit).mkdir(parents=True, exist_ok=True)
    count = 0
    for name, data in (*_written(size), *_spoken(size, seed)):
        (folder / name).write_bytes(data)
        count += 1
    return count


def load_written() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The handwritten digits: uint8 [1797, 8, 8], light on dark, and what they are: int64 [1797].

    Raises:
        ModuleNotFoundError: scikit-learn, which brings them along, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the demo needs scikit-learn: pip install 'anybyte[demo]'") from error
    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64)


def _written(size: DemoSize) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the pictures.

    The digits lie in the order in which people wrote them, and the parts are cut in that order: most of the hands that
    wrote the test digits are not among those that wrote the training digits.
    """
    pixels, digits = load_written()
    if sum(size.written) > len(pixels):
        raise ValueError(f"there are {len(pixels)} handwritten digits, not {sum(size.written)}")
    ends = np.cumsum(size.written)
    for index in range(ends[-1]):
        part = PARTS[int(np.searchsorted(ends, index, side="right"))]
        for suffix, format in PICTURE_FORMATS.items():
            name = f"{part}/{DIGITS[digits[index]]}/written-{index:04d}{suffix}"
            yield name, encode_image(pixels[index], format)


def _spoken(size: DemoSize, seed: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the sounds. Each voice has its own random numbers, so that more voices change no other."""
    ends = np.cumsum(size.speakers)
    for number in range(ends[-1]):
        part = PARTS[int(np.searchsorted(ends, number, side="right"))]
        rng = np.random.default_rng([seed, number])
        speaker = speech.draw_speaker(rng)
        for index, digit in enumerate(DIGITS):
            # Half of the digits of a voice in each format, the other half with the next voice.
            suffix, format = list(SOUND_FORMATS.items())[(index + number) % 2]
            samples = speech.say(digit, speaker, rng)
            yield f"{part}/{digit}/spoken-{number:03d}{suffix}", encode_audio(samples, speech.RATE, format)
