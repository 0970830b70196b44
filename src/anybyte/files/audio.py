"""Sounds to file bytes and back, in memory.

WAV is read and written here, because small clips spend more time in a library's set-up than on their samples, and
because scaling is then the same both ways: a 16-bit file that is decoded and encoded again has the samples it had.
FLAC, Ogg Vorbis and MP3 go through libsndfile.
"""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from anybyte.files import mp3, ogg


@dataclass(frozen=True)
class Audio:
    """A decoded sound.

    Attributes:
        samples: float32 [N] (mono) or [N, C], nominally in [-1, 1].
        rate: Samples a second.
        format: The name under which `encode_audio` writes such a file again.
    """

    samples: NDArray[np.float32]
    rate: int
    format: str


@dataclass(frozen=True)
class _Wav:
    """A WAV encoding. Integers are scaled by `peak`, and 8-bit ones are unsigned around 127.5 as the format has it."""

    tag: int
    bits: int
    peak: float


_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE

_WAVS = {
    "wav:u8": _Wav(_INTEGER, 8, 127.5),
    "wav:s16": _Wav(_INTEGER, 16, 2**15 - 1),
    "wav:s24": _Wav(_INTEGER, 24, 2**23 - 1),
    "wav:s32": _Wav(_INTEGER, 32, 2**31 - 1),
    "wav:f32": _Wav(_FLOAT, 32, 1.0),
    "wav:f64": _Wav(_FLOAT, 64, 1.0),
}
_WAV_NAMES = {(wav.tag, wav.bits): name for name, wav in _WAVS.items()}
_PLAIN_WAV = "wav:s16"
_INTEGERS = {8: "u1", 16: "<i2", 32: "<i4"}
_FLOATS = {32: "<f4", 64: "<f8"}

_LIBSNDFILE = {
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
_LIBSNDFILE_NAMES = {container: name for name, (container, _) in _LIBSNDFILE.items()}
_SUFFIXES = {"wav": ".wav", "flac": ".flac", "ogg": ".ogg", "mp3": ".mp3"}

_FLAC_LEVELS = range(9)
_OGG_QUALITIES = range(11)
_OGG_DEFAULT = 4

AUDIO_FORMATS: tuple[str, ...] = (
    "wav",
    *_WAVS,
    "flac",
    *(f"flac:{level}" for level in _FLAC_LEVELS),
    "ogg",
    *(f"ogg:q{quality}" for quality in _OGG_QUALITIES),
    "mp3",
    *(f"mp3:{kbps}k" for kbps in mp3.BITRATES),
)
"""Every name that `encode_audio` takes. `wav` is `wav:s16`, `flac` is `flac:5`, `ogg` is `ogg:q4`; `mp3` has a
variable bitrate."""

_BLOCK = 2**16
"""Frames handed to libsndfile at once: its Vorbis encoder overflows the stack on a few million."""
_MOST_VALUES = 2**29
"""Samples of all channels that a sound may have: 2 GB in memory, 100 minutes of stereo at 44.1 kHz. A small file can
announce more than any memory holds, by damage or on purpose."""
_OPEN_ENDED = (0xFFFFFFFF, 0x7FFFFFFF)
"""Data sizes that programs write when they cannot go back to fill in the real one."""


def describe_audio_formats() -> str:
    """The names in one line, for messages."""
    ranges = ("flac", "flac:0 to flac:8", "ogg", "ogg:q0 to ogg:q10", "mp3", *(f"mp3:{kbps}k" for kbps in mp3.BITRATES))
    return ", ".join(("wav", *_WAVS, *ranges))


def audio_suffix(format: str) -> str:
    """What files of one of `AUDIO_FORMATS` are called: `.wav`."""
    return _SUFFIXES[format.partition(":")[0]]


def sniff_audio(data: bytes) -> str | None:
    """The kind of sound file (`wav`, `flac`, `ogg`, `mp3`, `aiff`, `au`) that the first bytes announce, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"FORM" and data[8:11] == b"AIF":
        return "aiff"
    for magic, kind in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b".snd", "au")):
        if data.startswith(magic):
            return kind
    if data[:3] == b"ID3" and data[3:4] in (b"\2", b"\3", b"\4"):
        return "mp3"
    # An MPEG audio frame: eleven set bits, then layer II or III. JPEG's 0xffd8 has the reserved one, and the 0xfffe
    # that opens text in UTF-16 has layer I.
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06 in (2, 4):
        return "mp3"
    return None


def encode_audio(samples: NDArray[np.float32], rate: int, format: str) -> bytes:
    """The bytes of a sound file.

    Equal samples give equal bytes. One second at 16 kHz: `wav:s16` 32,044 bytes, `wav:f32` 64,058. Integer WAVs have
    the plain 44-byte header; floating-point ones have the longer one that the format asks of them. MP3 and Ogg change
    the samples; FLAC holds 16 bits of each. An MP3 of a bitrate so low that its first frame has no room for the length
    (below 40k at 16 kHz, 64k at 44.1 kHz) is longer when it is decoded, by silence at both ends.

    Args:
        samples: float32 [N] or [N, C] in [-1, 1]. What lies outside is clipped if the format is one of integers.
        rate: Samples a second.
        format: One of `AUDIO_FORMATS`.

    Raises:
        ValueError: unknown format, an array that is not a sound, or a rate that the format does not have.
    """
    if format not in AUDIO_FORMATS:
        raise ValueError(f"unknown sound format {format!r}; known are {describe_audio_formats()}")
    if samples.dtype != np.float32 or samples.ndim not in (1, 2):
        raise ValueError(f"a sound is float32 [N] or [N, C], not {samples.dtype} {list(samples.shape)}")
    if samples.size == 0:
        raise ValueError(f"a sound of shape {list(samples.shape)} has no samples")
    if not 0 < rate < 2**32:
        raise ValueError(f"a sound cannot have {rate} samples a second")
    if not np.isfinite(samples).all():
        raise ValueError("a sound has samples that are not finite numbers")
    if not format.startswith("wav"):
        return _encode_libsndfile(samples, rate, format)
    wav = _WAVS[_PLAIN_WAV if format == "wav" else format]
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return _with_wav_head(_pack(samples, wav), wav, rate, channels)


def _pack(samples: NDArray[np.float32], wav: _Wav) -> bytes:
    """Samples as they stand in a WAV file: x * 32767 (s16), (x + 1) * 127.5 (u8), each rounded to the nearest."""
    if wav.tag == _FLOAT:
        return samples.astype(_FLOATS[wav.bits]).tobytes()
    # float32 has the 24 bits that 16-bit samples need, and not the 32 of longer ones.
    scaled: NDArray[Any] = np.clip(samples, -1, 1, dtype=np.float32 if wav.bits <= 16 else np.float64)
    if wav.bits == 8:
        scaled += 1
    scaled *= wav.peak
    np.rint(scaled, out=scaled)
    if wav.bits == 24:
        return scaled.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return scaled.astype(_INTEGERS[wav.bits]).tobytes()


def _unpack(data: memoryview, wav: _Wav) -> NDArray[np.float32]:
    """The inverse of `_pack`: float32 [values]. -32768, which `_pack` never writes, reads as -1."""
    if wav.tag == _FLOAT:
        return np.frombuffer(data, dtype=_FLOATS[wav.bits]).astype(np.float32)
    if wav.bits == 24:
        # Into the upper three bytes, so that the sign comes along; the shift brings it back down.
        wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        values: NDArray[Any] = wide.view("<i4").reshape(-1) >> 8
    else:
        values = np.frombuffer(data, dtype=_INTEGERS[wav.bits])
    scaled: NDArray[Any] = values.astype(np.float32 if wav.bits <= 16 else np.float64)
    scaled /= wav.peak
    if wav.bits == 8:
        scaled -= 1
    unpacked: NDArray[np.float32] = np.maximum(scaled, -1).astype(np.float32, copy=False)
    return unpacked


def _with_wav_head(body: bytes, wav: _Wav, rate: int, channels: int) -> bytes:
    frame = channels * wav.bits // 8
    form = struct.pack("<HHIIHH", wav.tag, channels, rate, rate * frame, frame, wav.bits)
    chunks = b""
    if wav.tag == _FLOAT:
        # Encodings other than integers carry an extension size, here 0, and a chunk with the number of frames.
        form += struct.pack("<H", 0)
        chunks = struct.pack("<4sII", b"fact", 4, len(body) // frame)
    pad = b"\0" * (len(body) % 2)
    chunks = struct.pack("<4sI", b"fmt ", len(form)) + form + chunks + struct.pack("<4sI", b"data", len(body))
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + len(body) + len(pad), b"WAVE") + chunks + body + pad


def _encode_libsndfile(samples: NDArray[np.float32], rate: int, format: str) -> bytes:
    kind, _, setting = format.partition(":")
    container, subtype = _LIBSNDFILE[kind]
    file, channels = io.BytesIO(), 1 if samples.ndim == 1 else samples.shape[1]
    try:
        with soundfile.SoundFile(
            file, "w", rate, channels, subtype, format=container, **_compression(kind, setting, rate)
        ) as writer:
            for start in range(0, len(samples), _BLOCK):
                writer.write(samples[start : start + _BLOCK])
    except (soundfile.LibsndfileError, ValueError) as error:
        reason = f": {error}" if isinstance(error, mp3.WrongBitrate) else ""
        raise ValueError(
            f"a sound of {rate} Hz, {list(samples.shape)}, cannot be written as {format}{reason}"
        ) from error
    return ogg.with_serial(file.getvalue(), 0) if kind == "ogg" else file.getvalue()


def _compression(kind: str, setting: str, rate: int) -> dict[str, float | str]:
    """libsndfile's arguments: 0 is the largest file and 1 the smallest, whatever the format calls it."""
    if not setting:
        return {}
    if kind == "flac":
        return {"compression_level": int(setting) / _FLAC_LEVELS[-1]}
    if kind == "ogg":
        return {"compression_level": 1 - int(setting.removeprefix("q")) / _OGG_QUALITIES[-1]}
    return {
        "compression_level": mp3.compression_level(int(setting.removesuffix("k")), rate),
        "bitrate_mode": "CONSTANT",
    }


def decode_audio(data: bytes, name: str = "") -> Audio:
    """A sound from the bytes of its file: WAV, FLAC, Ogg, MP3, AIFF or AU.

    The `format` of an MP3 of constant bitrate, and of an Ogg Vorbis that libvorbis wrote, tells that; FLAC's level
    cannot be told.

    A cut-off file is an error wherever the format makes that visible. MP3 does so by the length that encoders write in
    front; without one, or if less than a frame (1,152 samples) is missing, it does not.

    Raises:
        ValueError: not such a file, or damaged, or cut off; the message starts with `name`.
    """
    kind = sniff_audio(data)
    if kind is None:
        raise ValueError(f"{name or 'sound'}: not a sound in a known format (wav, flac, ogg, mp3, aiff, au)")
    try:
        sound = _decode_wav(data) if kind == "wav" else None
        return sound or _decode_libsndfile(data, kind)
    except (ValueError, struct.error, soundfile.LibsndfileError) as error:
        reason = error if isinstance(error, ValueError) else "damaged or cut off"
        raise ValueError(f"{name or 'sound'}: cannot be decoded as {kind.upper()} ({reason})") from error


def _decode_wav(data: bytes) -> Audio | None:
    """None: a whole file, but of an encoding that libsndfile must read (ADPCM, mu-law)."""
    position, form = 12, b""
    while position + 8 <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if chunk == b"data":
            break
        if chunk == b"fmt ":
            form = data[position : position + size]
        position += size + size % 2
    else:
        raise ValueError("no data chunk: the file is truncated")
    if len(form) < 16:
        raise ValueError("no format chunk")
    if size in _OPEN_ENDED:
        size = len(data) - position
    if position + size > len(data):
        raise ValueError(f"the file is truncated: {len(data) - position} of {size} data bytes are there")
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from("<H", form, 24)
    encoding = _WAV_NAMES.get((tag, bits))
    if encoding is None:
        return None
    if rate == 0:
        raise ValueError("no sampling rate")
    if channels == 0 or frame != channels * bits // 8 or size < frame:
        raise ValueError("no samples" if size < max(frame, 1) else "contradicting format chunk")
    samples = _unpack(memoryview(data)[position : position + size - size % frame], _WAVS[encoding])
    return Audio(samples if channels == 1 else samples.reshape(-1, channels), rate, encoding)


def _decode_libsndfile(data: bytes, kind: str) -> Audio:
    if kind == "ogg" and not ogg.is_whole(data):
        raise ValueError("the file is truncated")
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        if file.frames * file.channels > _MOST_VALUES:  # room for all of them is taken before the first is read
            raise ValueError(f"it announces {file.frames:,} samples in {file.channels} channels: more than fit")
        samples = file.read(dtype="float32")
        expected, rate = file.frames, file.samplerate
    if len(samples) == 0:
        raise ValueError("no samples")
    if expected - len(samples) > (mp3.FRAME_SAMPLES if kind == "mp3" else 0):
        raise ValueError(f"the file is truncated: {len(samples)} of {expected} samples are there")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return Audio(samples, rate, _own_format(data, _LIBSNDFILE_NAMES.get(file.format, kind), rate, channels))


def _own_format(data: bytes, kind: str, rate: int, channels: int) -> str:
    if kind == "mp3":
        kbps = mp3.constant_bitrate(data)
        return f"mp3:{kbps}k" if kbps in mp3.BITRATES else "mp3"
    if kind == "ogg":
        bitrate = ogg.nominal_bitrate(data)
        quality = _ogg_qualities(rate, channels).get(bitrate, _OGG_DEFAULT) if bitrate else _OGG_DEFAULT
        return "ogg" if quality == _OGG_DEFAULT else f"ogg:q{quality}"
    return kind


@functools.lru_cache(maxsize=16)
def _ogg_qualities(rate: int, channels: int) -> dict[int, int]:
    """Which quality has libvorbis announce a bitrate."""
    silence = np.zeros((1, channels), dtype=np.float32)
    files = {quality: _encode_libsndfile(silence, rate, f"ogg:q{quality}") for quality in _OGG_QUALITIES}
    return {bitrate: quality for quality, data in files.items() if (bitrate := ogg.nominal_bitrate(data))}


def to_mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the channels of float32 [N] or [N, C]: float32 [N]."""
    return samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)


def to_mono_rate(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """The sound in one channel, the mean of those it has, at another rate. A sound of that kind comes back as it is.

    Args:
        samples: float32 [N] or [N, C].
        rate: Samples a second that it has.
        new_rate: Samples a second that it shall have.

    Returns:
        float32 [M], M being N new_rate / rate, rounded, and at least 1.

    Raises:
        ValueError: `new_rate` is not positive.
    """
    if new_rate < 1:
        raise ValueError(f"rate is {new_rate}; a sound has at least 1 sample a second")
    mono = to_mono(samples)
    if rate == new_rate:
        return mono
    return resample(mono, rate, new_rate)


def resample(samples: NDArray[np.float32], rate: float, new_rate: float) -> NDArray[np.float32]:
    """The same sound at another rate: float32 [N] or [N, C] to [M] or [M, C], M at least 1.

    Raises:
        ValueError: M would not fit into memory: `rate` is what a damaged file says.
    """
    if samples.size * new_rate > _MOST_VALUES * rate:
        raise ValueError(f"{len(samples):,} samples at {rate} Hz are too long to be resampled to {new_rate} Hz")
    resampled: NDArray[np.float32] = soxr.resample(samples, rate, new_rate, quality="HQ")
    return resampled if len(resampled) else samples[:1]


def to_length(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The first `count` samples, with silence behind them if there are fewer.

    Args:
        samples: float32 [N] or [N, C].

    Returns:
        float32 [count] or [count, C].

    Raises:
        ValueError: `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"a sound cannot be cut to {count} samples; it has at least 1")
    if len(samples) >= count:
        return samples[:count]
    padded = np.zeros((count, *samples.shape[1:]), dtype=np.float32)
    padded[: len(samples)] = samples
    return padded
