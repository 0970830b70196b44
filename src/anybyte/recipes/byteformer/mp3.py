"""Speech Commands v2 (12-way) as MP3, at two kernel and two window sizes."""

from __future__ import annotations

from anybyte.config import Recipe
from anybyte.recipes.byteformer.pieces import speech_commands


def k4_w128() -> Recipe:
    """Speech Commands as MP3; kernel 4, window 128."""
    return speech_commands("mp3_k4_w128", "mp3", kernel_size=4, window=128)


def k4_w32() -> Recipe:
    """Speech Commands as MP3; kernel 4, window 32."""
    return speech_commands("mp3_k4_w32", "mp3", kernel_size=4, window=32)


def k8_w128() -> Recipe:
    """Speech Commands as MP3; kernel 8, window 128."""
    return speech_commands("mp3_k8_w128", "mp3", kernel_size=8, window=128)


def k8_w32() -> Recipe:
    """Speech Commands as MP3; kernel 8, window 32."""
    return speech_commands("mp3_k8_w32", "mp3", kernel_size=8, window=32)


ROWS = (k4_w128, k4_w32, k8_w128, k8_w32)
