"""Pictures to file bytes and back, in memory.

Every fact about a picture format stands once, in `_FILES`: from it come the names that `encode_image` knows, what their
settings are, and how a file of unknown kind is told by its first bytes.
"""

from __future__ import annotations

import functools
import io
import re
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

# Imported for effect: left alone, Pillow loads these, slowly and with all it has, at the first file it does not know.
from PIL import TiffImagePlugin as TiffImagePlugin
from PIL import UnidentifiedImageError
from PIL import WebPImagePlugin as WebPImagePlugin
from PIL.JpegImagePlugin import get_sampling


@dataclass(frozen=True)
class Image:
    """A decoded picture.

    Attributes:
        pixels: uint8 [H, W, 3] (red, green, blue) or [H, W] (grey).
        format: The name under which `encode_image` writes such a file again.
    """

    pixels: NDArray[np.uint8]
    format: str


Options = dict[str, int | str | bool]
"""Keyword arguments of Pillow's `save`."""


@dataclass(frozen=True)
class _File:
    """What there is to know about a picture format.

    Attributes:
        pillow: Pillow's name of it.
        suffix: What its files are called.
        magics: How its files start.
        names: The names it is written under, with what makes the difference.
        summary: The same names in short.
    """

    pillow: str
    suffix: str
    magics: tuple[bytes, ...]
    names: dict[str, Options]
    summary: tuple[str, ...]


_SUBSAMPLING = {"444": 0, "422": 1, "420": 2}
"""Pixels that share a colour: none, two in a row, or two by two. Pillow's numbers for them."""


def _jpeg_names() -> dict[str, Options]:
    names: dict[str, Options] = {"jpeg": {"quality": 75}}
    for quality in range(1, 101):
        names[f"jpeg:q{quality}"] = {"quality": quality}
    for quality in range(1, 101):
        for word, number in _SUBSAMPLING.items():
            names[f"jpeg:q{quality}:{word}"] = {"quality": quality, "subsampling": number}
    return names


def _webp_names() -> dict[str, Options]:
    names: dict[str, Options] = {"webp": {"quality": 80}, "webp:lossless": {"lossless": True}}
    return names | {f"webp:q{quality}": {"quality": quality} for quality in range(101)}


_FILES = {
    "tiff": _File(
        "TIFF",
        ".tiff",
        (b"II*\0", b"MM\0*"),
        {"tiff": {}, "tiff:lzw": {"compression": "tiff_lzw"}, "tiff:deflate": {"compression": "tiff_adobe_deflate"}},
        ("tiff", "tiff:lzw", "tiff:deflate"),
    ),
    "png": _File(
        "PNG",
        ".png",
        (b"\x89PNG\r\n\x1a\n",),
        {"png": {}} | {f"png:{level}": {"compress_level": level} for level in range(10)},
        ("png", "png:0 to png:9"),
    ),
    "jpeg": _File(
        "JPEG",
        ".jpg",
        (b"\xff\xd8\xff",),
        _jpeg_names(),
        ("jpeg", "jpeg:q1 to jpeg:q100", "jpeg:q1:444 (or :422, :420) to jpeg:q100:444"),
    ),
    "bmp": _File("BMP", ".bmp", (b"BM",), {"bmp": {}}, ("bmp",)),
    "webp": _File(
        "WEBP",
        ".webp",
        (b"RIFF",),
        _webp_names(),
        ("webp", "webp:lossless", "webp:q0 to webp:q100"),
    ),
    "gif": _File("GIF", ".gif", (b"GIF87a", b"GIF89a"), {"gif": {}}, ("gif",)),
    "ppm": _File("PPM", ".ppm", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), {"ppm": {}}, ("ppm",)),
}

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes of the second header, one a version of the format."""
_PPM_START = re.compile(rb"P[1-6](\s+#[^\n]*)*\s+\d")
"""The width follows; lines of comment may stand before it."""

HEADERLESS = ("fhwc", "fchw")
"""Formats that are pixels only, rows of (r, g, b) or one plane a channel. Such files do not tell their shape, so they
cannot be decoded."""


_SETTINGS = {name: (file.pillow, options) for file in _FILES.values() for name, options in file.names.items()}
"""Name -> Pillow's name of the format, and its keyword arguments."""

IMAGE_FORMATS: tuple[str, ...] = (*HEADERLESS, *_SETTINGS)
"""Every name that `encode_image` takes."""

_TIFF_COMPRESSIONS = {5: "tiff:lzw", 8: "tiff:deflate", 32946: "tiff:deflate"}
"""Values of the tag; others are only ever read."""
_TIFF_COMPRESSION_TAG = 259


def describe_image_formats() -> str:
    """The names in one line, for messages: `..., png, png:0 to png:9, ...`."""
    return ", ".join([*HEADERLESS, *(part for file in _FILES.values() for part in file.summary)])


def image_suffix(format: str) -> str:
    """What files of one of `IMAGE_FORMATS` are called: `.tiff`, `.jpg`, `.fhwc`."""
    return f".{format}" if format in HEADERLESS else _FILES[format.partition(":")[0]].suffix


def sniff_image(data: bytes) -> str | None:
    """The picture format that a file's first bytes announce, or None."""
    for name, file in _FILES.items():
        if data.startswith(file.magics) and _is_plausible(data, name):
            return name
    return None


def _is_plausible(data: bytes, kind: str) -> bool:
    """Whether more than the magic fits, where that is short enough for other files to begin with it."""
    if kind == "webp":
        return data[8:12] == b"WEBP"
    if kind == "bmp":
        return int.from_bytes(data[14:18], "little") in _BMP_HEADERS
    return kind != "ppm" or _PPM_START.match(data) is not None


def encode_image(pixels: NDArray[np.uint8], format: str) -> bytes:
    """The bytes of a picture file.

    Equal pixels give equal bytes. 224 x 224 in colour: `fhwc` 150,528 bytes, `tiff` 150,668, `png:0` 150,864.
    JPEG and WebP (but for `webp:lossless`) change the pixels, and so does GIF if there are more than 256 colours. GIF
    and WebP have no grey: it comes back in three equal channels.

    Args:
        pixels: uint8 [H, W, 3] or [H, W].
        format: One of `IMAGE_FORMATS`.

    Raises:
        ValueError: unknown format, an array that is not a picture, or one too large for the format.
    """
    if format not in IMAGE_FORMATS:
        raise ValueError(f"unknown picture format {format!r}; known are {describe_image_formats()}")
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"a picture is uint8 [H, W, 3] or [H, W], not {pixels.dtype} {list(pixels.shape)}")
    if pixels.size == 0:
        raise ValueError(f"a picture of shape {list(pixels.shape)} has no pixels")
    if format == "fhwc":
        return pixels.tobytes()
    if format == "fchw":
        return (pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)).tobytes()
    if format == "tiff":
        return _tiff_head(pixels.shape) + pixels.tobytes()
    pillow, options = _SETTINGS[format]
    try:
        return _save(pixels, pillow, options)
    except (OSError, ValueError, struct.error) as error:
        raise ValueError(f"a picture of {list(pixels.shape)} cannot be written as {format} ({error})") from error


def _save(pixels: NDArray[np.uint8], pillow: str, options: Options) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(file, format=pillow, **options)
    return file.getvalue()


@functools.lru_cache(maxsize=64)
def _tiff_head(shape: tuple[int, ...]) -> bytes:
    """What Pillow writes before the pixels of an uncompressed TIFF. It depends on the shape only.

    Taking it from Pillow once a shape makes small TIFFs about twenty times as fast, and the same to the byte.
    """
    pixels = np.zeros(shape, dtype=np.uint8)
    return _save(pixels, "TIFF", {})[: -pixels.size]


def _read_plain_tiff(data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a TIFF laid out as `encode_image` does it. None: another TIFF, for Pillow to read."""
    channels = {b"II*\0\x08\0\0\0\x0a\0": 3, b"II*\0\x08\0\0\0\x09\0": 1}.get(data[:10])
    if channels is None or len(data) < 34:
        return None
    width, height = struct.unpack_from("<I", data, 18)[0], struct.unpack_from("<I", data, 30)[0]
    size = width * height * channels
    # The comparison with the length comes first: a head is never built for sizes that only a broken file claims.
    if size == 0 or not 0 < len(data) - size < 256:
        return None
    shape = (height, width, 3) if channels == 3 else (height, width)
    head = _tiff_head(shape)
    if len(data) != len(head) + size or not data.startswith(head):
        return None
    return np.frombuffer(data, dtype=np.uint8, offset=len(head)).reshape(shape)


def decode_image(data: bytes, name: str = "") -> Image:
    """A picture from the bytes of its file: PNG, JPEG, TIFF, BMP, PPM, GIF (first frame) or WebP.

    Grey pictures stay grey, all others become RGB; transparency is dropped and 16-bit grey is cut to its upper 8 bits.
    The `format` of a JPEG is the quality whose quantisation tables are nearest to the file's, and its subsampling; that
    of a PNG is `png:0` if it is stored without compression, else `png`; that of a TIFF or WebP tells the compression,
    and not what it was asked for (WebP's quality).

    Raises:
        ValueError: not such a file, or damaged, or cut off; the message starts with `name`.
    """
    kind = sniff_image(data)
    if kind is None:
        raise ValueError(f"{name or 'picture'}: not a picture in a known format ({', '.join(_FILES)})")
    if kind == "tiff" and (plain := _read_plain_tiff(data)) is not None:
        return Image(plain, kind)
    if _lacks_end(data, kind):
        raise ValueError(f"{name or 'picture'}: the {kind.upper()} file is truncated")
    try:
        # Only the format just recognised: Pillow's others include interpreters (EPS runs Ghostscript). Its warnings are
        # about metadata, which nobody asked for; what concerns the pixels is raised.
        with (
            warnings.catch_warnings(action="ignore"),
            Pillow.open(io.BytesIO(data), formats=[_FILES[kind].pillow]) as file,
        ):
            own = _own_format(file, data, kind)
            pixels = _pixels(file)
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, Pillow.DecompressionBombError) as error:
        reason = "not a whole file" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{name or 'picture'}: cannot be decoded as {kind.upper()} ({reason})") from error
    return Image(pixels, own)


def _lacks_end(data: bytes, kind: str) -> bool:
    """Whether the closing mark is missing, where the format has one: Pillow reads some cut files without complaint."""
    if kind == "png":
        return data.rfind(b"IEND\xaeB`\x82") < 0
    if kind == "gif":
        return not data.rstrip(b"\0").endswith(b";")
    if kind == "tiff":
        return len(data) < _tiff_directory_end(data)
    if kind == "webp":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    # Inside the scan a 0xff is always stuffed, so an end mark after the start of the last scan is the real one.
    return kind == "jpeg" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


def _tiff_directory_end(data: bytes) -> int:
    """Where the first directory ends: libtiff writes it last, and Pillow does without what comes after its entries."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, start)
    except struct.error:
        return len(data) + 1
    return int(start + 2 + 12 * entries + 4)


def _pixels(picture: Pillow.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I;16"):
        return (np.asarray(picture) >> 8).astype(np.uint8)
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode} have no 8-bit meaning")
    grey = picture.mode in ("L", "1", "LA", "La")
    return np.asarray(picture.convert("L" if grey else "RGB"))


def _own_format(picture: Pillow.Image, data: bytes, kind: str) -> str:
    if kind == "jpeg":
        return _own_jpeg(picture)
    if kind == "tiff":
        tags: dict[int, int] = getattr(picture, "tag_v2", {})
        return _TIFF_COMPRESSIONS.get(tags.get(_TIFF_COMPRESSION_TAG, 1), "tiff")
    if kind == "webp":
        return "webp:lossless" if data[12:16] == b"VP8L" else "webp"
    if kind == "png":
        # IDAT: 4 bytes of name, 2 of zlib header, then the first deflate block; type 0 (bits 1 and 2) is stored.
        start = data.find(b"IDAT") + 6
        stored = start < len(data) and data[start - 1] & 0xC0 == 0 and data[start] & 0x06 == 0
        return "png:0" if stored else "png"
    return kind


def _own_jpeg(picture: Pillow.Image) -> str:
    tables: dict[int, list[int]] = getattr(picture, "quantization", {})
    if not tables:
        return "jpeg"
    quality = _jpeg_quality(tuple(tables[min(tables)]))
    sampling = get_sampling(picture) if picture.mode == "RGB" else _SUBSAMPLING["420"]
    word = {_SUBSAMPLING["444"]: ":444", _SUBSAMPLING["422"]: ":422"}.get(sampling, "")
    return f"jpeg:q{quality}{word}"


@functools.lru_cache(maxsize=256)
def _jpeg_quality(luma: tuple[int, ...]) -> int:
    """The quality setting (1 to 100) whose luminance table is nearest."""
    return min(_luma_tables(), key=lambda row: sum(abs(a - b) for a, b in zip(row[1], luma, strict=True)))[0]


@functools.cache
def _luma_tables() -> list[tuple[int, list[int]]]:
    tables = []
    for quality in range(1, 101):
        data = _save(np.zeros((8, 8), dtype=np.uint8), "JPEG", {"quality": quality})
        with Pillow.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            tables.append((quality, picture.quantization[0]))  # type: ignore[attr-defined]
    return tables


_MARGIN = 256 / 224
"""What the evaluations on ImageNet leave around the square that the model sees: short sides of 256, squares of 224."""


def centre_square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The square in the middle: the short side resized to 256/224 of `size` (bicubic), then cut.

    A picture that is such a square already comes back as it is: somebody has cut it before.

    Args:
        pixels: uint8 [H, W, 3] or [H, W].
        size: Side of the square in pixels.

    Returns:
        uint8 [size, size, 3] or [size, size].

    Raises:
        ValueError: `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"image_size is {size}; it must be at least 1")
    height, width = pixels.shape[:2]
    if height == width == size:
        return pixels
    short, shorter = round(size * _MARGIN), min(height, width)
    resized = height * short // shorter, width * short // shorter
    top, left = (round((side - size) / 2) for side in resized)
    # Only what stays is resized: a long strip of few rows would be huge otherwise. The filter still sees what lies
    # around the square, so that the result is that of resizing all and cutting then, but for rounding.
    across, down = width / resized[1], height / resized[0]
    box = (left * across, top * down, min((left + size) * across, width), min((top + size) * down, height))
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size, size), Pillow.Resampling.BICUBIC, box=box))
