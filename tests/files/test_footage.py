"""Videos decoded once give the clips that reading them each time gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.footage import Footage, Shelf, read_footage
from anybyte.files.streams import Stored
from anybyte.files.video import read_clip

from .test_video import evenly, make_video


def noise(seconds: float, rate: int = 8000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (int(seconds * rate), 1)).astype(np.float32)


@pytest.mark.parametrize("start", [0.0, 0.13, 0.4, 1.0])
def test_a_clip_of_footage_is_the_clip_of_the_file(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "a.mkv", [0, 30, 100, 140, 150, 400, *evenly(40, first=440)], noise(2.2))
    footage = read_footage(path, 16_000)
    expected = read_clip(path, start, 8, None, 25.0, 16_000)
    found = footage.clip(start, 8, 25.0)
    assert np.array_equal(found.frames, expected.frames)
    assert found.samples.shape == expected.samples.shape
    assert found.samples[100:-100] == pytest.approx(expected.samples[100:-100], abs=0.02)
    assert footage.has_sound
    assert footage.times[:4] == pytest.approx([0, 0.03, 0.1, 0.14])


def test_too_short_footage_says_what_reading_says(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", evenly(10), noise(0.4))
    with pytest.raises(ValueError, match="is too short") as expected:
        read_clip(path)
    with pytest.raises(ValueError, match="is too short") as found:
        read_footage(path, 16_000).clip(0.0, 16, 25.0)
    assert str(found.value) == str(expected.value)
    with pytest.raises(ValueError, match="is too short"):
        read_footage(path, 16_000).clip(-0.1, 2, 25.0)


def test_footage_is_made_small(tmp_path: Path) -> None:
    pixels = [np.full((20, 60, 3), 9, np.uint8)] * 3
    path = make_video(tmp_path / "a.mkv", evenly(3), noise(0.1), pixels=pixels)
    assert read_footage(path, 8000, size=(10, 10)).frames.shape == (3, 10, 10, 3)
    assert read_footage(path, 8000, short_side=10).frames.shape == (3, 10, 30, 3)
    assert read_footage(path, 8000, short_side=40).frames.shape == (3, 20, 60, 3), "nothing is blown up"
    stored = Stored(path.read_bytes(), "in memory")
    assert np.array_equal(read_footage(stored, 8000).frames, read_footage(path, 8000).frames)


def test_silent_footage_says_so(tmp_path: Path) -> None:
    footage = read_footage(make_video(tmp_path / "a.mkv", evenly(3)), 8000)
    assert not footage.has_sound
    assert not footage.samples.any()


def test_a_shelf_keeps_what_was_used_last() -> None:
    read: list[int] = []

    def load(number: int) -> Footage:
        read.append(number)
        frames = np.zeros((10, 10, 10, 3), np.uint8)
        return Footage(str(number), frames, np.arange(10.0), 10.0, np.zeros(0, np.float32), 8000, True)

    shelf = Shelf(load, limit=7000)
    assert [shelf[number].name for number in (0, 1, 0, 2, 0, 1)] == ["0", "1", "0", "2", "0", "1"]
    assert read == [0, 1, 2, 1], "two fit, and 1 had to go for 2"


def test_a_shelf_travels_empty() -> None:
    shelf = Shelf(_blank)
    assert shelf[3].end == 1.0
    again = pickle.loads(pickle.dumps(shelf))
    assert (len(again.kept), again.size) == (0, 0)
    assert again[3].end == 1.0


def _blank(number: int) -> Footage:
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    return Footage(str(number), frames, np.zeros(1), 1.0, np.zeros(0, np.float32), 8000, False)
