"""A video that is decoded once and kept small: training takes many clips out of few files."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.files.streams import STAMP, Stored, pixels_of, read_sound, resized, shown_from, stored, time_of
from anybyte.files.video import Clip, probe


@dataclass(frozen=True, eq=False)
class Footage:
    """A whole video, in memory.

    Attributes:
        name: what to call it in an error.
        frames: uint8 [frames, H, W, 3].
        times: when each of them is shown, in seconds after the first: float64 [frames].
        end: when the last is over, in seconds.
        samples: of its sound from the first frame on, in one channel: float32 [N]; silence where it has none.
        rate: samples a second.
        has_sound: whether there is a sound track.
    """

    name: str
    frames: NDArray[np.uint8]
    times: NDArray[np.float64]
    end: float
    samples: NDArray[np.float32]
    rate: int
    has_sound: bool

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.frames.nbytes + self.samples.nbytes

    def clip(self, start: float, frames: int, frame_rate: float) -> Clip:
        """The piece that `read_clip` would give: at each time the frame that is shown then, and its sound.

        Raises:
            ValueError: it ends before the clip does; the message names it.
        """
        step = 1 / frame_rate
        wanted = start + np.arange(frames) * step
        slack = min(STAMP, step / 4) if frames > 1 else STAMP
        if start < 0 or wanted[-1] >= self.end - slack:
            raise ValueError(
                f"{self.name} is too short: it ends {self.end:.2f} s after its first frame, and {frames} frames at "
                f"{frame_rate:g} a second from {start:g} s on need {wanted[-1]:.2f} s"
            )
        shown = np.searchsorted(self.times, wanted + slack, side="right") - 1
        count, first = round(frames * step * self.rate), round(start * self.rate)
        samples = self.samples[first : first + count]
        samples = np.pad(samples, (0, count - len(samples)))
        return Clip(self.frames[np.maximum(shown, 0)], samples, frame_rate, self.rate)


def read_footage(
    path: str | os.PathLike[str] | Stored, rate: int, size: tuple[int, int] | None = None, short_side: int | None = None
) -> Footage:
    """All frames of a video, made small, and all of its sound.

    Args:
        path: a file in any format that libav reads, or one that is in memory.
        rate: samples a second of the sound, which is mixed to one channel.
        size: height and width: the largest part of this shape in the middle is resized.
        short_side: without `size`: pixels of the shorter side, to which larger frames are resized whole.

    Raises:
        ValueError: not a video, or a damaged one; the message names the file.
        OSError: it cannot be read.
    """
    file = stored(path)
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    origin, last = 0.0, 0.0
    for origin, frame in shown_from(file, 0.0):
        times.append(time_of(frame, file) - origin)
        pixels = pixels_of(frame)
        frames.append(resized(pixels, size) if size is not None else _shrunk(pixels, short_side))
        last = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    if not frames:
        raise ValueError(f"{file} has no frames")
    if any(pixels.shape != frames[0].shape for pixels in frames):
        raise ValueError(f"{file} has frames of different sizes")
    end = times[-1] + (times[-1] - times[-2] if len(times) > 1 else last)
    has_sound = probe(path).has_sound
    samples, _ = read_sound(file, origin, max(1, round(end * rate)), rate)
    return Footage(str(file), np.stack(frames), np.array(times), end, samples, rate, has_sound)


class Shelf:
    """Footage by number, kept up to a limit of memory: what was not needed for longest goes first.

    It can be sent to data loading processes, and arrives there empty.

    Args:
        read: what reads the footage of a number.
        limit: bytes kept, at most.
    """

    def __init__(self, read: Callable[[int], Footage], limit: int = 2**30) -> None:
        self.read, self.limit = read, limit
        self.kept: OrderedDict[int, Footage] = OrderedDict()
        self.size = 0

    def __getitem__(self, number: int) -> Footage:
        if number in self.kept:
            self.kept.move_to_end(number)
            return self.kept[number]
        footage = self.read(number)
        self.kept[number] = footage
        self.size += footage.nbytes
        while self.size > self.limit and len(self.kept) > 1:
            _, gone = self.kept.popitem(last=False)
            self.size -= gone.nbytes
        return footage

    def __getstate__(self) -> dict[str, object]:
        return {"read": self.read, "limit": self.limit, "kept": OrderedDict(), "size": 0}


def _shrunk(pixels: NDArray[np.uint8], side: int | None) -> NDArray[np.uint8]:
    """The whole frame with a shorter side of `side` pixels; one that is smaller stays as it is."""
    height, width = pixels.shape[:2]
    if side is None or min(height, width) <= side:
        return pixels
    scale = side / min(height, width)
    size = (max(side, math.floor(width * scale + 0.5)), max(side, math.floor(height * scale + 0.5)))
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BICUBIC))
