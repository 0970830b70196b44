"""The pages of an Ogg stream: whether they are all there, and the same stream under a fixed serial number.

The Vorbis encoder draws a random serial number for every stream, so that equal samples would give unequal files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_HEAD = struct.Struct("<4sBBqIIIB")
"""capture pattern, version, flags, granule position, serial, sequence, checksum, number of segments."""
_SERIAL, _CHECKSUM = slice(14, 18), slice(22, 26)
_LAST_PAGE = 0x04

_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse."""


def _pages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, end and flags of each page. The last end is beyond `data` if the page is cut off."""
    start = 0
    while start + _HEAD.size <= len(data):
        pattern, _, flags, _, _, _, _, segments = _HEAD.unpack_from(data, start)
        if pattern != b"OggS":
            raise ValueError(f"no Ogg page at byte {start}")
        body = start + _HEAD.size
        end = body + segments + sum(data[body : body + segments])
        yield start, end, flags
        start = end


def is_whole(data: bytes) -> bool:
    """Whether the stream ends with the page marked as its last, in full."""
    try:
        pages = list(_pages(data))
    except ValueError:
        return False
    return bool(pages) and pages[-1][1] == len(data) and bool(pages[-1][2] & _LAST_PAGE)


def with_serial(data: bytes, serial: int) -> bytes:
    """The same stream under another serial number, with the checksums to match."""
    parts = []
    for start, end, _ in _pages(data):
        page = bytearray(data[start:end])
        page[_SERIAL] = struct.pack("<I", serial)
        page[_CHECKSUM] = bytes(4)
        page[_CHECKSUM] = _checksum(page)
        parts.append(bytes(page))
    return b"".join(parts)


def _checksum(page: bytearray) -> bytes:
    """CRC-32 as Ogg has it: zlib's polynomial with bits in the other order, starting at 0 and not inverted."""
    mirrored = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_MIRROR)


def nominal_bitrate(data: bytes) -> int | None:
    """Bits a second that the head of a Vorbis stream announces. None: another codec, or nothing is announced."""
    start = data.find(b"\x01vorbis", 0, 256)
    if start < 0 or len(data) < start + 24:
        return None
    bitrate = int.from_bytes(data[start + 20 : start + 24], "little", signed=True)
    return bitrate if bitrate > 0 else None
