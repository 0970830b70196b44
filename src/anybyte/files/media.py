"""Media to file bytes and back, in memory: one name a format (`tiff`, `png:0`, `jpeg:q60`, `wav:s16`, `fhwc`)."""

from __future__ import annotations

from typing import Literal

from anybyte.files.audio import (
    AUDIO_FORMATS,
    Audio,
    audio_suffix,
    decode_audio,
    describe_audio_formats,
    encode_audio,
    sniff_audio,
)
from anybyte.files.images import (
    IMAGE_FORMATS,
    Image,
    decode_image,
    describe_image_formats,
    encode_image,
    image_suffix,
    sniff_image,
)

__all__ = [
    "AUDIO_FORMATS",
    "IMAGE_FORMATS",
    "Audio",
    "Image",
    "check_format",
    "decode",
    "encode",
    "encode_audio",
    "encode_image",
    "medium_of",
    "suffix_of",
]


def check_format(format: str) -> None:
    """Nothing, if pictures or sounds can be written in this format.

    Raises:
        ValueError: they cannot; the message lists the formats.
    """
    if format not in IMAGE_FORMATS and format not in AUDIO_FORMATS:
        raise ValueError(
            f"unknown format {format!r}; pictures can be {describe_image_formats()}; sounds can be "
            f"{describe_audio_formats()}"
        )


def suffix_of(format: str) -> str:
    """What files of a format are called: `.tiff`, `.jpg`, `.wav`.

    Raises:
        ValueError: there is no such format; the message lists them.
    """
    check_format(format)
    return image_suffix(format) if format in IMAGE_FORMATS else audio_suffix(format)


def medium_of(data: bytes) -> Literal["image", "audio"] | None:
    """What a file's first bytes announce. None: neither a picture nor a sound of a known format."""
    # Sounds first: WAV and WebP both open with RIFF, and the sound side looks at both words of it.
    if sniff_audio(data) is not None:
        return "audio"
    return "image" if sniff_image(data) is not None else None


def decode(data: bytes, name: str = "") -> Image | Audio:
    """The picture or sound in a file, told by its first bytes.

    Args:
        data: The whole file.
        name: What to call it in an error.

    Raises:
        ValueError: not a picture or sound of a known format, or damaged, or cut off; the message starts with `name`.
    """
    medium = medium_of(data)
    if medium == "audio":
        return decode_audio(data, name)
    if medium == "image":
        return decode_image(data, name)
    start = f"it starts with {data[:4].hex(' ')}" if data else "it is empty"
    raise ValueError(f"{name or 'file'}: neither a picture nor a sound of a known format ({start})")


def encode(medium: Image | Audio, format: str | None = None) -> bytes:
    """The bytes of a file that holds the medium.

    Args:
        medium: What `decode` gave, perhaps changed since.
        format: One of `IMAGE_FORMATS` or `AUDIO_FORMATS`. None: the format that the medium came in.

    Raises:
        ValueError: the format is unknown, is only ever read (AIFF, AU), or is for the other medium.
    """
    target = medium.format if format is None else format
    formats, word = (IMAGE_FORMATS, "picture") if isinstance(medium, Image) else (AUDIO_FORMATS, "sound")
    if target not in formats:
        if format is None:
            raise ValueError(f"a {word} can be read from {target} but not written to it: name another format")
        check_format(target)
        raise ValueError(f"a {word} cannot be written as {target}")
    if isinstance(medium, Image):
        return encode_image(medium.pixels, target)
    return encode_audio(medium.samples, medium.rate, target)
