"""Videos with known pictures and sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.files.test_video import make_video

RATE = 8000


def tone(hertz: float, seconds: float, amplitude: float = 0.5, phase: float = 0.0) -> NDArray[np.float32]:
    """float32 [N, 1]."""
    angle = 2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE + phase
    return (amplitude * np.sin(angle))[:, None].astype(np.float32)


def moving_square(frames: int, down: bool, side: int = 24, start: int = 0) -> list[NDArray[np.uint8]]:
    """A white square on black that goes down or right by 2 pixels a frame."""
    pictures = []
    for number in range(frames):
        picture = np.zeros((side, side, 3), np.uint8)
        place = (start + 2 * number) % (side - 6)
        rows, columns = (slice(place, place + 6), slice(9, 15)) if down else (slice(9, 15), slice(place, place + 6))
        picture[rows, columns] = 255
        pictures.append(picture)
    return pictures


def video_bytes(
    folder: Path, pictures: list[NDArray[np.uint8]], sound: NDArray[np.float32] | None, rate: int = 8
) -> bytes:
    """A file without loss, `rate` frames a second."""
    times = [round(1000 * number / rate) for number in range(len(pictures))]
    return make_video(folder / "made.mkv", times, sound, RATE, pixels=pictures).read_bytes()
