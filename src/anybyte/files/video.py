"""Video with sound: a short clip out of a file, and into one.

Frames are picked by their time stamps, since headers often give a wrong frame rate. Time 0 is that of the first frame.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from numpy.typing import NDArray

from anybyte.files.media import medium_of
from anybyte.files.streams import (
    Stored,
    opened,
    pick_frames,
    pixels_of,
    read_sound,
    shown_from,
    stored,
    time_of,
)

FRAME_RATE, SAMPLE_RATE = 25.0, 48_000
"""Of the Perceiver's clips: 16 frames with 1,920 samples each (Jaegle et al. 2022, section 4.3)."""

_LONGEST = 10**8
"""Seconds, three years: times beyond are no mistake that a decoder should see, and libav counts them in 64 bits."""
_HEAD = 64
_WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CODECS = ("libx264", "libopenh264", "mpeg4")
"""Video codecs to write, best first: which of them there are depends on how libav was built."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of video with its sound.

    Attributes:
        frames: uint8 [frames, H, W, 3].
        samples: float32 [N], one channel; silence where the file has none.
        frame_rate: frames a second.
        rate: samples a second.
        notes: what a user should know of how it was read, each a sentence without its end.
    """

    frames: NDArray[np.uint8]
    samples: NDArray[np.float32]
    frame_rate: float = FRAME_RATE
    rate: int = SAMPLE_RATE
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or not len(self.frames) or self.frames.dtype != np.uint8:
            raise ValueError(f"frames are uint8 [frames, H, W, 3], not {self.frames.dtype} {list(self.frames.shape)}")
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"samples are float32 [N], not {self.samples.dtype} {list(self.samples.shape)}")


@dataclass(frozen=True)
class Probe:
    """What can be known of a video without decoding it.

    Attributes:
        seconds: from the first frame to the end of the last, by their time stamps.
        has_sound: whether there is a sound track.
    """

    seconds: float
    has_sound: bool


def read_clip(
    path: str | os.PathLike[str] | Stored,
    start: float = 0.0,
    frames: int = 16,
    size: tuple[int, int] | None = (224, 224),
    frame_rate: float = FRAME_RATE,
    rate: int = SAMPLE_RATE,
) -> Clip:
    """A piece of a video, and the sound that belongs to its frames.

    At each of the wanted times the frame is taken that is being shown then.

    Args:
        path: a file in any format that libav reads, or one that is in memory.
        start: seconds after the first frame.
        frames: how many.
        size: height and width: the largest part of this shape in the middle is resized. None: as they are.
        frame_rate: frames a second to take, whatever the file has.
        rate: samples a second of the sound, which is mixed to one channel.

    Raises:
        ValueError: not a video, a damaged or too short one, or arguments out of range; the message names the file.
        OSError: the file cannot be read.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1")
    check_start(start)
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"frame_rate is {frame_rate}, expected a positive number")
    times = [start + number / frame_rate for number in range(frames)]
    file = stored(path)
    origin, pictures = pick_frames(file, times, size)
    samples, notes = read_sound(file, origin + start, round(frames / frame_rate * rate), rate)
    return Clip(np.stack(pictures), samples, frame_rate, rate, notes)


def check_start(start: float) -> None:
    """Nothing, if `start` can be a place in a video; ValueError if not."""
    if not 0 <= start <= _LONGEST:
        raise ValueError(f"start is {start}, expected seconds from 0 to {_LONGEST:,}")


def check_video(path: str | os.PathLike[str]) -> None:
    """Raises ValueError for a picture, to libav a video of one frame; OSError where nothing can be read."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if medium_of(head) == "image" and not head.startswith(b"GIF"):  # which may move
        raise ValueError(f"{os.fspath(path)} is a picture, expected a video")


def probe(path: str | os.PathLike[str] | Stored) -> Probe:
    """What can be known of a video without decoding it.

    Raises:
        ValueError: not a video, or a damaged one; the message names the file.
        OSError: the file cannot be read.
    """
    file = stored(path)
    with opened(file, "video") as (container, stream):
        sounds = bool(container.streams.audio)
        times: list[float] = []
        length = 0.0  # of a lone frame nothing else is known than what the header says
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None:
                    times.append(float(packet.pts * packet.time_base))
                    length = float((packet.duration or 0) * packet.time_base)
        except av.error.FFmpegError as error:
            raise ValueError(f"{file} is damaged: {error.strerror}") from error
    times.sort()
    if len(times) > 1:
        length = times[-1] - times[-2]
    return Probe(times[-1] - times[0] + length if times else 0.0, sounds)


def video_frames(path: str | os.PathLike[str], start: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The frames of a video as they are: seconds after the first one, and uint8 [H, W, 3].

    Args:
        path: a file in any format that libav reads.
        start: seconds after the first frame; the first frame given is the one that is shown then.

    Raises:
        ValueError: not a video, a damaged one, or one that ends before `start`, and the message names the file; or a
            `start` out of range.
        OSError: the file cannot be read.
    """
    check_start(start)
    origin = None
    for before, frame in shown_from(os.fspath(path), start):
        origin = before
        yield time_of(frame, os.fspath(path)) - origin, pixels_of(frame)
    if origin is None:
        raise ValueError(f"{os.fspath(path)} has ended before {start:g} s")


def write_clip(path: str | os.PathLike[str], clip: Clip) -> None:
    """Writes a clip with its sound: H.264 (MPEG-4 where libav cannot write that) and AAC.

    Raises:
        ValueError: the ending of the path is not that of a video.
        OSError: the file cannot be written.
    """
    height, width = clip.frames.shape[1:3]
    with VideoWriter(path, height, width, clip.frame_rate, clip.rate if len(clip.samples) else None) as writer:
        for frame in clip.frames:
            writer.add_frame(frame)
        if len(clip.samples):
            writer.add_sound(clip.samples)


class VideoWriter:
    """Writes a video frame by frame; the file appears when all went well.

    Args:
        path: ends in .mp4, .m4v, .mov or .mkv.
        height: of each frame.
        width: of each frame. An odd number of rows or columns is written with the last one repeated.
        frame_rate: frames a second.
        rate: samples a second of the sound; None: there is none.
    """

    def __init__(
        self, path: str | os.PathLike[str], height: int, width: int, frame_rate: float, rate: int | None = None
    ) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in _WRITTEN:
            raise ValueError(
                f"{self.path}: a video is written as {', '.join(_WRITTEN)}, not {suffix or 'without an ending'}"
            )
        if not self.path.parent.is_dir():
            raise FileNotFoundError(2, "No such directory", str(self.path.parent))
        self._data = io.BytesIO()
        self._container = av.open(self._data, "w", format=_WRITTEN[suffix])
        codec = next(name for name in _CODECS if name in av.codecs_available)
        quality = {"crf": "18"} if codec == "libx264" else {"q:v": "3"}
        self._rate = Fraction(frame_rate).limit_denominator(60_000)
        self._video = cast(av.VideoStream, self._container.add_stream(codec, self._rate, options=quality))
        self._shape = (height, width, 3)
        self._video.height, self._video.width = height + height % 2, width + width % 2
        self._video.pix_fmt = "yuv420p"
        self._sound: av.AudioStream | None = None
        if rate is not None:
            self._sound = self._container.add_stream("aac", rate=rate, layout="mono")
        self._frames = self._samples = 0

    def add_frame(self, pixels: NDArray[np.uint8]) -> None:
        """The next frame, uint8 [H, W, 3]."""
        if pixels.shape != self._shape:
            raise ValueError(f"a frame is {list(self._shape)}, not {list(pixels.shape)}")
        height, width, _ = pixels.shape
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = self._frames
        frame.time_base = 1 / self._rate
        self._frames += 1
        self._container.mux(self._video.encode(frame))

    def add_sound(self, samples: NDArray[np.float32]) -> None:
        """The next samples, float32 [N]."""
        if self._sound is None:
            raise ValueError("this video was begun without sound: name its rate")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = self._sound.rate
        frame.time_base = Fraction(1, self._sound.rate)
        frame.pts = self._samples
        self._samples += len(samples)
        self._container.mux(self._sound.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._frames:
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.encode(None))
            self._container.close()
            self.path.write_bytes(self._data.getvalue())
