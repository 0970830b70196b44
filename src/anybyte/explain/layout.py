"""Where the bytes of each pixel, or of each sample, lie in a file that stores them plainly.

TIFF, BMP, PPM and PNG without compression, and WAV. A file of these formats that is compressed, or put together in an
unusual way (tiles, palettes of less than a byte, interlacing), has no layout here; nor has one that is damaged.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from anybyte.files.media import medium_of


@dataclass(frozen=True, eq=False)
class Layout:
    """Offsets of what a file shows.

    Attributes:
        kind: `picture`, or `waveform`.
        offsets: int64. Of a picture [height, width, bytes], top row first, where the bytes of a pixel are its channels
            in the order red, green, blue, alpha (or grey, alpha, or one index into a palette), each of one byte or two,
            as they are stored. Of a waveform [samples, channels, bytes].
        width: bytes of one channel, or sample.
        is_little: whether the first of these bytes is the least.
        filters: of a PNG, what the bytes of each row are: 0 values, 1 to 4 differences to what stands before, above, or
            both (PNG, section 9), uint8 [height]. None: values everywhere.
        rate: samples a second of a waveform.
    """

    kind: Literal["picture", "waveform"]
    offsets: Int64[np.ndarray, "..."]
    width: int = 1
    is_little: bool = True
    filters: NDArray[np.uint8] | None = None
    rate: int | None = None


def layout_of(data: bytes) -> Layout | None:
    """The layout of a file; None if it has none that is known, or is not such a file."""
    if medium_of(data) is None:
        return None
    readers = {b"II": _tiff, b"MM": _tiff, b"BM": _bmp, b"P5": _ppm, b"P6": _ppm, b"\x89P": _png, b"RI": _wav}
    reader = readers.get(data[:2])
    try:
        layout = None if reader is None else reader(data)
    except (struct.error, LookupError, ValueError, ArithmeticError, MemoryError):
        return None  # cut off, or not what its head says: then nothing is known of its bytes
    if layout is None or not layout.offsets.size or int(layout.offsets.max()) >= len(data):
        return None
    return layout


_TIFF_TYPES = {1: "u1", 3: "u2", 4: "u4"}
_TIFF_TAGS = frozenset({256, 257, 258, 259, 266, 273, 277, 278, 284, 317})
"""Those that say where pixels lie; no other is read."""


def _tiff(data: bytes) -> Layout | None:
    """TIFF 6.0, sections 2 and 8: strips of whole rows."""
    order = "<" if data[:2] == b"II" else ">"
    tags = _tiff_tags(data, order)

    def first(tag: int, default: int) -> int:
        return int(tags[tag][0]) if tag in tags else default

    width, height, samples = int(tags[256][0]), int(tags[257][0]), first(277, 1)
    bits = first(258, 1)
    plain = first(259, 1) == first(266, 1) == first(317, 1) == 1 and bits in (8, 16) and bool((tags[258] == bits).all())
    rows = min(first(278, height), height)
    if not plain or rows < 1 or samples < 1:
        return None
    size = bits // 8
    planes = samples if first(284, 1) == 2 else 1
    row = width * (samples // planes) * size
    if _is_too_large(height * row * planes, data):
        return None
    strips = -(-height // rows)
    starts = tags[273][: strips * planes].astype(np.int64).reshape(planes, strips)
    in_strip = np.arange(height, dtype=np.int64)
    rows_at = starts[:, in_strip // rows] + in_strip % rows * row  # [planes, height]
    offsets = rows_at[..., None] + np.arange(row, dtype=np.int64)
    offsets = offsets.reshape(planes, height, width, -1).transpose(1, 2, 0, 3).reshape(height, width, -1)
    return Layout("picture", offsets, size, order == "<")


def _tiff_tags(data: bytes, order: str) -> dict[int, NDArray[np.unsignedinteger]]:
    """The whole numbers in the first directory, as views of the file: however many it claims, none is copied."""
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    tags = {}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
        if tag in _TIFF_TAGS and kind in _TIFF_TYPES:
            form = np.dtype(order + _TIFF_TYPES[kind])
            place = entry + 8
            if form.itemsize * values > 4:
                (place,) = struct.unpack_from(f"{order}I", data, place)
            tags[tag] = np.frombuffer(data, dtype=form, count=values, offset=place)
    return tags


def _bmp(data: bytes) -> Layout | None:
    """Rows from the bottom up, each filled to four bytes, channels blue first."""
    start, head = struct.unpack_from("<II", data, 10)
    if head < 40:
        return None
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    channels = {8: [0], 24: [2, 1, 0], 32: [2, 1, 0, 3]}.get(bits)
    if channels is None or compression != 0 or width < 1:
        return None
    row = -(-width * bits // 32) * 4
    if _is_too_large(abs(height) * row, data):
        return None
    lines = np.arange(abs(height), dtype=np.int64)
    lines = start + row * (lines if height < 0 else lines[::-1])
    pixels = np.arange(width, dtype=np.int64) * (bits // 8)
    return Layout("picture", lines[:, None, None] + pixels[:, None] + np.array(channels, dtype=np.int64))


_PPM = re.compile(rb"P[56](?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+(\d+)\s")


def _ppm(data: bytes) -> Layout | None:
    found = _PPM.match(data)
    if found is None:
        return None
    width, height, most = map(int, found.groups())
    size = 1 if most < 256 else 2
    channels = (3 if data[1:2] == b"6" else 1) * size
    if _is_too_large(width * height * channels, data):
        return None
    offsets = found.end() + np.arange(width * height * channels, dtype=np.int64)
    return Layout("picture", offsets.reshape(height, width, channels), size, False)


_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _png(data: bytes) -> Layout | None:
    """Chunks, a zlib stream of stored blocks cut into them, rows with a filter byte in front."""
    width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if bits not in (8, 16) or interlaced or colour not in _PNG_CHANNELS:
        return None
    channels = _PNG_CHANNELS[colour] * (bits // 8)
    row = 1 + width * channels
    if _is_too_large(height * row, data):
        return None
    place = _stored(data, _idat(data), height * row)
    if place is None:
        return None
    rows = place.reshape(height, row)
    filters = np.frombuffer(data, dtype=np.uint8)[rows[:, 0]]
    offsets = rows[:, 1:].reshape(height, width, channels)
    return Layout("picture", offsets, bits // 8, False, filters if filters.any() else None)


def _idat(data: bytes) -> NDArray[np.int64]:
    """Offsets of the bytes of the compressed stream."""
    parts, at = [], 8
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            parts.append(np.arange(at + 8, min(at + 8 + size, len(data)), dtype=np.int64))
        at += 12 + size
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _stored(data: bytes, stream: NDArray[np.int64], needed: int) -> NDArray[np.int64] | None:
    """Offsets of the first `needed` bytes that a zlib stream holds; None if not all are stored (RFC 1951, 3.2.4)."""
    values = np.frombuffer(data, dtype=np.uint8)[stream]
    parts, at, found = [], 2, 0
    while found < needed:
        head = int(values[at])
        if head & 0b110:
            return None
        size = int(values[at + 1]) | int(values[at + 2]) << 8
        parts.append(stream[at + 5 : at + 5 + size])
        at, found = at + 5 + size, found + len(parts[-1])
        if head & 1:
            break
    return np.concatenate(parts)[:needed] if found >= needed else None


def _wav(data: bytes) -> Layout | None:
    """The samples of the data chunk, whatever their encoding, if they are whole bytes."""
    at, form = 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"fmt ":
            form = struct.unpack_from("<HHIIHH", data, at + 8)
        if name == b"data" and form is not None:
            _, channels, rate, _, block, bits = form
            width = bits // 8
            if bits % 8 or block < 1 or width > 8 or width * channels != block:
                return None
            count = min(size, len(data) - at - 8) // block
            offsets = at + 8 + np.arange(count * block, dtype=np.int64)
            return Layout("waveform", offsets.reshape(count, channels, width), width, rate=rate)
        at += 8 + size + size % 2
    return None


def _is_too_large(size: int, data: bytes) -> bool:
    """Whether a head announces nothing, or more than there is: no array is made for what only a broken file claims."""
    return not 0 < size <= len(data)
