"""Video with sound: a short clip out of a file, and into one.

Frames are picked by their time stamps, since headers often give a wrong frame rate. Time 0 is that of the first frame.
"""

from __future__ import annotations

import io
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.files.audio import to_mono_rate

FRAME_RATE, SAMPLE_RATE = 25.0, 48_000
"""Of the Perceiver's clips: 16 frames with 1,920 samples each (Jaegle et al. 2022, section 4.3)."""

_STAMP = 1e-3
"""Seconds by which a time stamp may be off."""
_JUMP = 0.05
"""Seconds between two pieces of sound below which rounding explains the gap."""
_MARGIN = 0.05
"""Seconds of sound around a clip that are read, for the resampling filter."""
_SEEK_FROM = 10.0
"""Seconds from which on a place is sought: up to there, decoding everything is as quick."""
_WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CODECS = ("libx264", "libopenh264", "mpeg4")
"""Video codecs to write, best first: which of them there are depends on how libav was built."""
_NO_VIDEO = ("ansi", "bintext", "xbin", "idf")
"""libav draws any text as a video of a terminal."""


_File: TypeAlias = "str | Stored"
"""A path, or a file in memory; as a string it is the name for messages."""


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
    if not (math.isfinite(start) and start >= 0):
        raise ValueError(f"start is {start}, expected seconds from 0 on")
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"frame_rate is {frame_rate}, expected a positive number")
    times = [start + number / frame_rate for number in range(frames)]
    file = _stored(path)
    origin, pictures = _pick_frames(file, times, size)
    samples, notes = _read_sound(file, origin + start, round(frames / frame_rate * rate), rate)
    return Clip(np.stack(pictures), samples, frame_rate, rate, notes)


def probe(path: str | os.PathLike[str] | Stored) -> Probe:
    """What can be known of a video without decoding it.

    Raises:
        ValueError: not a video, or a damaged one; the message names the file.
        OSError: the file cannot be read.
    """
    file = _stored(path)
    with _opened(file, "video") as (container, stream):
        sounds = bool(container.streams.audio)
        first, end = math.inf, -math.inf
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None:
                    first = min(first, packet.pts * packet.time_base)
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        except av.error.FFmpegError as error:
            raise ValueError(f"{file} is damaged: {error.strerror}") from error
    return Probe(max(0.0, float(end - first)) if end > first else 0.0, sounds)


def video_frames(path: str | os.PathLike[str], start: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The frames of a video as they are: seconds after the first one, and uint8 [H, W, 3].

    Args:
        path: a file in any format that libav reads.
        start: seconds after the first frame; the first frame given is the one that is shown then.

    Raises:
        ValueError: not a video, a damaged one, or one that ends before `start`; the message names the file.
        OSError: the file cannot be read.
    """
    origin = None
    for before, frame in _shown_from(os.fspath(path), start):
        origin = before
        yield _time(frame, os.fspath(path)) - origin, _pixels(frame)
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


def _pick_frames(
    path: _File, times: list[float], size: tuple[int, int] | None
) -> tuple[float, list[NDArray[np.uint8]]]:
    """The time stamp of the first frame of the file, and the pixels of the frames at `times` after it."""
    picked: list[NDArray[np.uint8]] = []
    shown: av.VideoFrame | None = None
    origin = end = 0.0
    step: float | None = None
    # Some containers round time stamps to milliseconds.
    slack = min(_STAMP, (times[1] - times[0]) / 4) if len(times) > 1 else _STAMP

    def pick(until: float) -> None:
        """The frame on show is the answer for all times before `until`."""
        assert shown is not None
        count = sum(time < until - slack for time in times[len(picked) :])
        if count:
            picked.extend([_resize(_pixels(shown), size)] * count)

    for origin, frame in _shown_from(path, times[0]):
        time = _time(frame, path) - origin
        if shown is not None:
            pick(time)
            step = time - (_time(shown, path) - origin)
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


def _shown_from(path: _File, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """The frame on show `start` seconds after the first one, and all that follow; each with the time of the first."""
    with _opened(path, "video") as (container, stream):
        frames = _decoded(container, stream, path)
        first = next(frames, None)
        if first is None:
            raise ValueError(f"{path} has no frames")
        origin = _time(first, path)
        frames = itertools.chain([first], frames)
        if start > _SEEK_FROM:
            frames = _sought(container, stream, path, origin + start)
        shown = None
        for frame in frames:
            if _time(frame, path) - origin > start + _STAMP:
                if shown is not None:
                    yield origin, shown
                yield origin, frame
                yield from ((origin, frame) for frame in frames)
                return
            shown = frame
        if shown is not None:
            yield origin, shown


def _sought(container: Any, stream: Any, path: _File, time: float) -> Iterator[Any]:
    """The frames from some place at or before `time` on, in the file's own time."""

    container.seek(math.floor(time / stream.time_base), stream=stream)
    frames = _decoded(container, stream, path)
    first = next(frames, None)
    if first is None or _time(first, path) > time:  # some files cannot be sought in: from the start, then
        container.seek(0)
        return _decoded(container, stream, path)
    return itertools.chain([first], frames)


def _read_sound(path: _File, begin: float, count: int, rate: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """`count` samples from `begin` on, in the file's own time, and what is to be said of them."""
    with _opened(path, "audio") as (container, stream):
        if stream is None:
            return np.zeros(count, np.float32), (f"{path} has no sound: silence stands for it",)
        native, first = stream.rate, begin - _MARGIN
        line = np.zeros(math.ceil((count / rate + 2 * _MARGIN) * native), np.float32)
        if begin > _SEEK_FROM:
            container.seek(math.floor((begin - 1) / stream.time_base), stream=stream)
        filled, place = 0, None
        for frame in _decoded(container, stream, path):
            piece = _mono(frame)
            due = round((_time(frame, path) - first) * native)
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


def _stored(path: str | os.PathLike[str] | Stored) -> _File:
    return path if isinstance(path, Stored) else os.fspath(path)


def _begin(path: _File) -> bytes:
    """The first byte of a file. What cannot be read is an OSError here that names the path."""
    if isinstance(path, Stored):
        return path.data[:1]
    with open(path, "rb") as file:
        return file.read(1)


@contextmanager
def _opened(path: _File, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
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


def _decoded(container: Any, stream: Any, path: _File) -> Iterator[Any]:
    """The frames of a stream from where the container stands."""
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} is damaged: {error.strerror}") from error


def _time(frame: av.VideoFrame | av.AudioFrame, path: _File) -> float:
    if frame.time is None:
        raise ValueError(f"{path} has frames without a time stamp: nobody knows when they are shown")
    return float(frame.time)


def _pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], turned as the file says that it was filmed."""
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels


def _resize(pixels: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
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


def _mono(frame: av.AudioFrame) -> NDArray[np.float32]:
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
