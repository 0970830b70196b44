"""Bitrates of MP3: which there are, how libsndfile is asked for one, and which one a file has.

An MP3 is a row of frames. The first four bytes of each tell its bitrate and how long it is.
"""

from __future__ import annotations

from collections.abc import Iterator

FRAME_SAMPLES = 1152
"""Samples in a frame, at most."""

_KBPS = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Version of MPEG -> kilobits a second, by the number (from 1) that stands for them in a frame."""
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""The two bits of the version (3 is MPEG 1, 2 is MPEG 2, 0 is its extension 2.5) -> samples a second."""

BITRATES = tuple(sorted(set(_KBPS[1]) | set(_KBPS[2])))
"""Kilobits a second that some sampling rate has."""

_MOST_OF_MPEG_2_5 = 64
"""What LAME writes at most where there are 12,000 samples a second or fewer."""
_LAYER_3 = 1


class WrongBitrate(ValueError):
    """Sounds of this sampling rate have no such bitrate."""


def bitrates(rate: int) -> tuple[int, ...]:
    """Kilobits a second that an MP3 of `rate` samples a second can have; none at rates that MP3 does not have."""
    for bits, rates in _RATES.items():
        if rate in rates:
            kbps = _KBPS[1 if bits == 3 else 2]
            return kbps if bits else tuple(value for value in kbps if value <= _MOST_OF_MPEG_2_5)
    return ()


def compression_level(kbps: int, rate: int) -> float:
    """The number from 0 to 1 by which libsndfile knows a constant bitrate.

    Raises:
        WrongBitrate: `rate` does not have it; the message lists those that it has.
    """
    known = bitrates(rate)
    if not known:
        raise WrongBitrate(f"MP3 has {', '.join(map(str, sorted(r for rates in _RATES.values() for r in rates)))} Hz")
    if kbps not in known:
        raise WrongBitrate(f"at {rate} Hz there are {', '.join(f'{value}k' for value in known)}")
    # A level of 1 itself is refused; LAME takes the bitrate nearest to what it is given.
    return min((known[-1] - kbps) / (known[-1] - known[0]), 0.9999)


def constant_bitrate(data: bytes) -> int | None:
    """Kilobits a second, if all frames have the same. None: they differ, or there are none.

    A first frame that holds no sound but facts about the file may differ.
    """
    frames = list(_frames(data))
    if frames and (_is_tag(data, *frames[0])):
        frames = frames[1:] or frames
    found = {kbps for _, _, kbps in frames}
    return found.pop() if len(found) == 1 else None


def _is_tag(data: bytes, start: int, end: int, _: int) -> bool:
    """Whether a frame is what encoders put in front: `Xing` for a variable bitrate, `Info` for a constant one."""
    return b"Info" in data[start : start + 40] or b"Xing" in data[start : start + 40]


def _frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, end and kilobits a second of each frame, up to the first thing that is not one."""
    position = 0
    if data.startswith(b"ID3") and len(data) >= 10:
        # The length of the tag in seven bits a byte.
        position = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    while position + 4 <= len(data):
        sync, second, third = data[position : position + 3]
        version, layer = second >> 3 & 3, second >> 1 & 3
        bitrate, rate = third >> 4, third >> 2 & 3
        if sync != 0xFF or second & 0xE0 != 0xE0 or version not in _RATES or layer != _LAYER_3:
            return
        if not 1 <= bitrate <= 14 or rate > 2:
            return
        kbps = _KBPS[1 if version == 3 else 2][bitrate - 1]
        slots = (144 if version == 3 else 72) * kbps * 1000 // _RATES[version][rate] + (third >> 1 & 1)
        yield position, position + slots, kbps
        position += slots
