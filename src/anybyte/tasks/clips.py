"""Clips of videos as examples: what an autoencoder of video, sound and label learns from (Jaegle et al. 2022, section
4.3).

Each file gives several clips an epoch: at random places in training, evenly spread over the file otherwise. Small sets
are decoded once and kept in memory at the size that is needed; of large ones only the clip is decoded, each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybyte.config import (
    AudioInputConfig,
    ClassOutputConfig,
    ClipConfig,
    DataConfig,
    LabelInputConfig,
    PerceiverConfig,
    VideoInputConfig,
)
from anybyte.files.footage import Footage, Shelf, read_footage
from anybyte.files.listing import Listing, Record, Store
from anybyte.files.splits import divide
from anybyte.files.streams import Stored
from anybyte.files.video import Clip, probe, read_clip
from anybyte.files.video_sets import open_videos
from anybyte.reading.clips import PICTURES, SOUND, ClipReading, check_clip, clip_seconds
from anybyte.reading.sounds import sound_shape

_SMALL_SET = 2**28
"""Bytes of all files up to which a set is decoded once and kept."""

_HELD_OUT = 8
"""Clips of a video that is measured on, at most."""


@dataclass(frozen=True)
class Stretch:
    """The part of a video that clips are taken from, as shares of its length.

    Attributes:
        begin, end: shares in [0, 1].
        gap: seconds that are left out at its beginning.
    """

    begin: float = 0.0
    end: float = 1.0
    gap: float = 0.0


@dataclass(frozen=True)
class Video:
    """One file of a set, and what of it is used."""

    record: Record
    store: Store
    label: int
    stretch: Stretch


@dataclass(frozen=True)
class ClipNames:
    """How the model calls what a clip has.

    Attributes:
        video, audio: its inputs.
        label: its input of a class; None if it has none, or the files have no classes.
        answer: its output of a class; None if it has none.
    """

    video: str = PICTURES
    audio: str = SOUND
    label: str | None = None
    answer: str | None = None


class Clips:
    """`Examples` of clips. The label is shown in training, where the model masks it at random, and left out otherwise.

    Args:
        videos: the files.
        reading: what a model reads of a clip, and the random changes.
        per_video: clips of each.
        names: of the model's inputs and outputs.
    """

    def __init__(self, videos: Sequence[Video], reading: ClipReading, per_video: int, names: ClipNames) -> None:
        self.videos, self.reading, self.per_video, self.names = tuple(videos), reading, per_video, names
        self.shelf = Shelf(self._decode)
        self.is_small = sum(video.record.size for video in videos) <= _SMALL_SET

    def __len__(self) -> int:
        return len(self.videos) * self.per_video

    def name(self, index: int) -> str:
        video, turn = self._which(index)
        return f"{self.videos[video].record.name}, clip {turn + 1} of {self.per_video}"

    def file_name(self, index: int) -> str:
        """Of the video that a clip is from."""
        return self.videos[self._which(index)[0]].record.name

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of what the model reads of each: all the same."""
        return np.full(len(self), sum(array.nbytes for array in self.reading.blank().values()), dtype=np.int64)

    def identity(self) -> str:
        """Of the files' names, labels, sizes and stretches, wherever they lie."""
        digest = hashlib.sha256(f"{self.per_video}\n".encode())
        for video in self.videos:
            about = f"{video.record.name}\0{video.label}\0{video.record.size}\0{video.stretch}\n"
            digest.update(about.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """A clip, and its class; the class is among the inputs only with `rng`.

        Raises:
            ValueError: not a video with sound, or too short a one; the message names it.
            OSError: it cannot be read.
        """
        number, turn = self._which(index)
        arrays = self.reading.present(self._clip(number, turn, rng), rng)
        return self._example(dict(arrays), self.videos[number].label, rng is not None)

    def blank(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._example(dict(self.reading.blank()), 0, True)

    def clip(self, index: int) -> Clip:
        """A clip as it is, for those who compare."""
        return self._clip(*self._which(index), None)

    def _which(self, index: int) -> tuple[int, int]:
        """The number of the file, and which of its clips. Neighbouring indices are of different files."""
        return index % len(self.videos), index // len(self.videos)

    def _example(self, arrays: dict[str, Any], label: int, is_training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        names = self.names
        inputs: dict[str, Any] = {names.video: arrays[PICTURES], names.audio: arrays[SOUND]}
        if names.label is not None and is_training:
            inputs[names.label] = np.int64(label)
        return inputs, {} if names.answer is None else {names.answer: np.int64(label)}

    def _clip(self, number: int, turn: int, rng: np.random.Generator | None) -> Clip:
        config, video = self.reading.config, self.videos[number]
        if self.is_small:
            footage = self.shelf[number]
            return footage.clip(self._start(video, footage.end, turn, rng), config.frames, config.frame_rate)
        file = self._stored(video)
        start = self._start(video, probe(file).seconds, turn, rng)
        size = None if self._is_cropped else (config.image_size, config.image_size)
        return read_clip(file, start, config.frames, size, config.frame_rate, config.sound.rate)

    def _start(self, video: Video, seconds: float, turn: int, rng: np.random.Generator | None) -> float:
        """Where a clip begins: anywhere in the stretch, or at one of evenly spaced places."""
        stretch, length = video.stretch, clip_seconds(self.reading.config)
        first, last = stretch.begin * seconds + stretch.gap, stretch.end * seconds - length
        if last < first:
            part = "" if stretch == Stretch() else f" between {first:.2f} and {stretch.end * seconds:.2f} s"
            raise ValueError(
                f"{video.record.name} is too short: it has {seconds:.2f} s, and no clip of {length:g} s{part}"
            )
        if rng is not None:
            return float(rng.uniform(first, last))
        share = 0.5 if self.per_video == 1 else turn / (self.per_video - 1)
        return first + share * (last - first)

    @property
    def _is_cropped(self) -> bool:
        return self.reading.augment.crop_size is not None

    def _decode(self, number: int) -> Footage:
        config, augment = self.reading.config, self.reading.augment
        file = self._stored(self.videos[number])
        if not self._is_cropped:
            return read_footage(file, config.sound.rate, size=(config.image_size, config.image_size))
        # As large as the smallest crop needs, so that none is blown up.
        side = round(config.image_size / augment.crop_area[0] ** 0.5)
        return read_footage(file, config.sound.rate, short_side=side)

    def _stored(self, video: Video) -> Stored:
        """The file, if it can be used."""
        name = video.record.name
        try:
            data = video.store.read(video.record.key)
            self.reading.check_length(data, name)
            self.reading.check_medium(data, name)
            file = Stored(data, name)
            has_sound = probe(file).has_sound
        except ValueError as error:
            raise ValueError(str(error) if name in str(error) else f"{name}: {error}") from error
        if not has_sound:
            raise ValueError(f"{name} is a video without sound, but the model reads both")
        return file


@dataclass(frozen=True)
class ClipSplits:
    """The parts of a set of videos; `classes` are those of its folders, if it has any."""

    classes: tuple[str, ...]
    train: Clips
    val: Clips
    test: Clips


def open_clips(data: DataConfig, config: ClipConfig, names: ClipNames) -> ClipSplits:
    """A set of videos in parts: its own, drawn by file, or cut from each file by time (`data.split_by`).

    Raises:
        ValueError: a setting makes no sense, or there is nothing to train on; the message names it.
        OSError: the set cannot be read.
    """
    listing = open_videos(data.path)
    if data.clips < 1:
        raise ValueError(f"data.clips is {data.clips}; a video has at least 1 in an epoch")
    if not names.label and not names.answer:
        listing = replace(listing, classes=())
    parts = _by_time(listing, data) if data.split_by == "time" else _by_file(listing, data)
    plain = ClipReading(config, None, data.max_bytes)
    if not listing.classes:
        names = replace(names, label=None)
    return ClipSplits(
        listing.classes,
        Clips(parts["train"], ClipReading(config, data.augment, data.max_bytes), data.clips, names),
        Clips(parts["val"], plain, min(data.clips, _HELD_OUT), names),
        Clips(parts["test"], plain, min(data.clips, _HELD_OUT), names),
    )


def clip_names(config: PerceiverConfig) -> ClipNames:
    """What the model calls its parts of a clip.

    Raises:
        ValueError: it has not one input of video and one of sound.
    """
    video, audio, label = (
        [part.name for part in config.inputs if isinstance(part, kind)]
        for kind in (VideoInputConfig, AudioInputConfig, LabelInputConfig)
    )
    answers = [part.name for part in config.outputs if isinstance(part, ClassOutputConfig)]
    if len(video) != 1 or len(audio) != 1 or len(label) > 1 or len(answers) > 1:
        raise ValueError(
            "a model of clips reads one video and one sound, and one label at most; this one reads "
            f"{', '.join(part.kind for part in config.inputs)}"
        )
    return ClipNames(video[0], audio[0], label[0] if label else None, answers[0] if answers else None)


def check_reading_fits(config: PerceiverConfig, reading: ClipConfig) -> None:
    """Raises ValueError unless what is read of a file is what the model is made for; the message names both."""
    check_clip(reading)
    wanted = (reading.frames, reading.image_size, reading.image_size)
    for part in config.inputs:
        if isinstance(part, VideoInputConfig) and part.shape != wanted:
            raise ValueError(f"input {part.name!r} of the model is {part.shape}, but the reading gives {wanted}")
        if isinstance(part, AudioInputConfig) and (part.num_samples,) != sound_shape(reading.sound):
            raise ValueError(
                f"input {part.name!r} of the model has {part.num_samples} samples, but the reading gives "
                f"{sound_shape(reading.sound)}"
            )


def _by_file(listing: Listing, data: DataConfig) -> dict[str, list[Video]]:
    try:
        parts = divide(listing.records, data.val_fraction, data.test_fraction, data.split_seed)
    except ValueError as error:
        raise ValueError(f"{listing.origin}: {error}") from error
    return {part: [_video(listing, record) for record in records] for part, records in parts.items()}


def _by_time(listing: Listing, data: DataConfig) -> dict[str, list[Video]]:
    """Stretches of the files that are in no part, or to be trained on; the others stay whole."""
    val, test = data.val_fraction, data.test_fraction
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise ValueError(f"data.val_fraction {val} and data.test_fraction {test} must leave something to train on")
    if data.split_gap < 0:
        raise ValueError(f"data.split_gap is {data.split_gap}; it is a number of seconds")
    parts: dict[str, list[Video]] = {"train": [], "val": [], "test": []}
    shares = {"train": (0.0, 1 - val - test), "val": (1 - val - test, 1 - test), "test": (1 - test, 1.0)}
    for record in listing.records:
        if record.part in ("val", "test"):
            parts[record.part].append(_video(listing, record))
            continue
        for part, (begin, end) in shares.items():
            if end > begin:
                gap = data.split_gap if begin else 0.0
                parts[part].append(_video(listing, record, Stretch(begin, end, gap)))
    if not parts["train"]:
        raise ValueError(f"{listing.origin}: there is no train part")
    return parts


def _video(listing: Listing, record: Record, stretch: Stretch | None = None) -> Video:
    label = listing.classes.index(record.label) if record.label in listing.classes else -1
    return Video(record, listing.store, label, stretch or Stretch())
