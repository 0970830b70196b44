"""Speech Commands v2 (12-way) as WAV of four sample types, at several kernel sizes; window 128."""

from __future__ import annotations

from anybyte.config import Recipe
from anybyte.recipes.byteformer.pieces import speech_commands


def float32_k16() -> Recipe:
    """Speech Commands as 32-bit floating-point WAV; kernel 16, window 128."""
    return speech_commands("wav_float32_k16", "wav:f32", kernel_size=16)


def float32_k32() -> Recipe:
    """Speech Commands as 32-bit floating-point WAV; kernel 32, window 128."""
    return speech_commands("wav_float32_k32", "wav:f32", kernel_size=32)


def int32_k16() -> Recipe:
    """Speech Commands as 32-bit WAV; kernel 16, window 128."""
    return speech_commands("wav_int32_k16", "wav:s32", kernel_size=16)


def int32_k32() -> Recipe:
    """Speech Commands as 32-bit WAV; kernel 32, window 128."""
    return speech_commands("wav_int32_k32", "wav:s32", kernel_size=32)


def int16_k8() -> Recipe:
    """Speech Commands as 16-bit WAV; kernel 8, window 128."""
    return speech_commands("wav_int16_k8", "wav:s16", kernel_size=8)


def int16_k16() -> Recipe:
    """Speech Commands as 16-bit WAV; kernel 16, window 128."""
    return speech_commands("wav_int16_k16", "wav:s16", kernel_size=16)


def int16_k32() -> Recipe:
    """Speech Commands as 16-bit WAV; kernel 32, window 128."""
    return speech_commands("wav_int16_k32", "wav:s16", kernel_size=32)


def uint8_k4() -> Recipe:
    """Speech Commands as 8-bit WAV; kernel 4, window 128."""
    return speech_commands("wav_uint8_k4", "wav:u8", kernel_size=4)


def uint8_k8() -> Recipe:
    """Speech Commands as 8-bit WAV; kernel 8, window 128."""
    return speech_commands("wav_uint8_k8", "wav:u8", kernel_size=8)


def uint8_k16() -> Recipe:
    """Speech Commands as 8-bit WAV; kernel 16, window 128."""
    return speech_commands("wav_uint8_k16", "wav:u8", kernel_size=16)


def uint8_k32() -> Recipe:
    """Speech Commands as 8-bit WAV; kernel 32, window 128."""
    return speech_commands("wav_uint8_k32", "wav:u8", kernel_size=32)


ROWS = (
    float32_k16,
    float32_k32,
    int32_k16,
    int32_k32,
    int16_k8,
    int16_k16,
    int16_k32,
    uint8_k4,
    uint8_k8,
    uint8_k16,
    uint8_k32,
)
