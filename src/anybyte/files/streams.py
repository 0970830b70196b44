"""What libav decodes of a video: its frames by their time stamps, and the sound that belongs to them.

Headers often give a wrong frame rate, so that only time stamps are believed. Time 0 is that of the first frame.
"""

from __future__ import annotations

import io
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.files.audio import to_mono_rate

STAMP = 1e-3
"""Seconds by which a time stamp may be off."""
_JUMP = 0.05
"""Seconds between two pieces of sound below which rounding explains the gap."""
_MARGIN = 0.05
"""Seconds of sound around a clip that are read, for the resampling filter."""
_SEEK_FROM = 10.0
"""Seconds from which on a place is sought: up to there, decoding everything is as quick."""
_NO_VIDEO = ("ansi", "bintext", "xbin", "idf")
"""libav draws any text as a video of a terminal."""

File: TypeAlias = "str | Stored"
"""A path, or a file in memory; as a string it is the name for messages."""


@dataclass(frozen=True)
class Stored:
    """A video that is in memory.

    Attributes:
        data: the whole file.
        name: what to call it in an error.
    """

    data: bytes
    name: str

    def __str__(self) -> str:
        return self.name


def stored(path: str | os.PathLike[str] | Stored) -> File:
    return path if isinstance(path, Stored) else os.fspath(path)


def pick_frames(path: File, times: list[float], size: tuple[int, int] | None) -> tuple[float, list[NDArray[np.uint8]]]:
    """The time stamp of the first frame of the file, and the pixels of the frames at `times` after it."""
    picked: list[NDArray[np.uint8]] = []
    shown: av.VideoFrame | None = None
    origin = end = 0.0
    step: float | None = None
    # Some containers round time stamps to milliseconds.
    slack = min(STAMP, (times[1] - times[0]) / 4) if len(times) > 1 else STAMP

    def pick(until: float) -> None:
        """The frame on show is the answer for all times before `until`."""
        assert shown is not None
        count = sum(time < until - slack for time in times[len(picked) :])
        if count:
            picked.extend([resized(pixels_of(shown), size)] * count)

    for origin, frame in shown_from(path, times[0]):
        time = time_of(frame, path) - origin
        if shown is not None:
            pick(time)
            step = time - (time_of(shown, path) - origin)
        if len(picked) == len(times):
            return origin, picked
        shown, end = frame, time
    if shown is not None:
        if step is None:  # of a lone frame nothing else is known than what the header says
            step = float(shown.duration * shown.time_base) if shown.duration and shown.time_base else 0.0
        end += step
        pick(end)
    if len(picked) < len(times):
        wanted = f"{len(times)} frames at {1 / (times[1] - times[0]):g} a second" if len(times) > 1 else "a frame"
        raise ValueError(
            f"{path} is too short: it ends {end:.2f} s after its first frame, and {wanted} from {times[0]:g} s on "
            f"need {times[-1]:.2f} s"
        )
    return origin, picked


def shown_from(path: File, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """The frame on show `start` seconds after the first one, and all that follow; each with the time of the first."""
    with opened(path, "video") as (container, stream):
        frames = decoded(container, stream, path)
        first = next(frames, None)
        if first is None:
            raise ValueError(f"{path} has no frames")
        origin = time_of(first, path)
        frames = itertools.chain([first], frames)
        if start > _SEEK_FROM:
            frames = _sought(container, stream, path, origin + start)
        shown = None
        for frame in frames:
            if time_of(frame, path) - origin > start + STAMP:
                if shown is not None:
                    yield origin, shown
                yield origin, frame
                yield from ((origin, frame) for frame in frames)
                return
            shown = frame
        if shown is not None:
            yield origin, shown


def _sought(container: Any, stream: Any, path: File, time: float) -> Iterator[Any]:
    """The frames from some place at or before `time` on, in the file's own time."""

    container.seek(math.floor(time / stream.time_base), stream=stream)
    frames = decoded(container, stream, path)
    first = next(frames, None)
    if first is None or time_of(first, path) > time:  # some files cannot be sought in: from the start, then
        container.seek(0)
        return decoded(container, stream, path)
    return itertools.chain([first], frames)


def read_sound(path: File, begin: float, count: int, rate: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """`count` samples from `begin` on, in the file's own time, and what is to be said of them."""
    with opened(path, "audio") as (container, stream):
        if stream is None:
            return np.zeros(count, np.float32), (f"{path} has no sound: silence stands for it",)
        native, first = stream.rate, begin - _MARGIN
        line = np.zeros(math.ceil((count / rate + 2 * _MARGIN) * native), np.float32)
        if begin > _SEEK_FROM:
            container.seek(math.floor((begin - 1) / stream.time_base), stream=stream)
        filled, place = 0, None
        for frame in decoded(container, stream, path):
            piece = mono_of(frame)
            due = round((time_of(frame, path) - first) * native)
            if place is None or abs(due - place) > _JUMP * native:
                place = due
            if place >= len(line):
                break
            low, high = max(place, 0), min(place + len(piece), len(line))
            if low < high:
                line[low:high] = piece[low - place : high - place]
                filled = high
            place += len(piece)
    margin = round(_MARGIN * rate)
    samples = to_mono_rate(line, native, rate)[margin : margin + count]
    seconds = filled / native - _MARGIN
    if seconds <= 0:
        return samples, (f"{path} has no sound at this place: silence stands for it",)
    if seconds < count / rate - _JUMP:
        return samples, (f"the sound of {path} ends {seconds:.2f} s into the clip: silence follows",)
    return samples, ()


def _begin(path: File) -> bytes:
    """The first byte of a file. What cannot be read is an OSError here that names the path."""
    if isinstance(path, Stored):
        return path.data[:1]
    with open(path, "rb") as file:
        return file.read(1)


@contextmanager
def opened(path: File, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
    """A container and its main stream of a kind; None if there is no sound.

    Raises:
        ValueError: not a video; the message names the file and says what it is instead.
        OSError: the file cannot be read.
    """
    if not _begin(path):
        raise ValueError(f"{path} is empty: expected a video")
    try:
        source = io.BytesIO(path.data) if isinstance(path, Stored) else path
        container = av.open(source, metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} is not a video, or a damaged one: {error.strerror}") from error
    with container:
        if not container.streams.video:
            what = "a sound without a picture" if container.streams.audio else "nothing to look at"
            raise ValueError(f"{path} is not a video: there is {what} in it")
        video = container.streams.best("video")
        if video is None or video.codec_context is None or video.codec_context.name in _NO_VIDEO:
            raise ValueError(f"{path} is not a video")
        stream: Any = container.streams.best(kind)
        if stream is not None:
            stream.thread_type = "AUTO"
        yield container, stream


def decoded(container: Any, stream: Any, path: File) -> Iterator[Any]:
    """The frames of a stream from where the container stands."""
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} is damaged: {error.strerror}") from error


def time_of(frame: av.VideoFrame | av.AudioFrame, path: File) -> float:
    if frame.time is None:
        raise ValueError(f"{path} has frames without a time stamp: nobody knows when they are shown")
    return float(frame.time)


def pixels_of(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], turned as the file says that it was filmed."""
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels


def resized(pixels: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The largest part in the middle that has the shape of `size`, at that size."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    rows, columns = size[0] * scale, size[1] * scale
    top, left = (height - rows) / 2, (width - columns) / 2
    picture = Pillow.fromarray(pixels)
    box = (left, top, left + columns, top + rows)
    return np.asarray(picture.resize((size[1], size[0]), Pillow.Resampling.BICUBIC, box=box))


def mono_of(frame: av.AudioFrame) -> NDArray[np.float32]:
    """The mean of the channels, float32 [N] in [-1, 1]."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype == np.uint8:
        samples = samples.astype(np.float32) / 128 - 1
    elif samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / 2.0 ** (8 * samples.dtype.itemsize - 1)
    mono: NDArray[np.float32] = samples.mean(axis=0, dtype=np.float32)
    return mono
