"""Clips of made videos as examples."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.config import AugmentConfig, ClipConfig, DataConfig, SoundConfig
from anybyte.files.audio import encode_audio
from anybyte.files.images import encode_image
from anybyte.tasks import clips
from anybyte.tasks.clips import ClipNames, Clips, open_clips

from ..files.test_video import evenly, make_video

READING = ClipConfig(frames=4, frame_rate=25.0, image_size=8, sound=SoundConfig(rate=4000, seconds=0.16))
LABELLED = ClipNames(label="label", answer="label")


def save(path: Path, seconds: float = 2.0) -> Path:
    """A video whose frames and sound grow with time: the level is 100 times the seconds, the sound a tenth of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = int(25 * seconds)
    pixels = [np.full((12, 16, 3), min(255, 4 * number), np.uint8) for number in range(count)]
    sound = (np.arange(int(seconds * 8000)) / 80_000).astype(np.float32)[:, None]
    return make_video(path, evenly(count), sound, pixels=pixels)


def data(path: Path, **changes: Any) -> DataConfig:
    return DataConfig(path=str(path), **({"split_by": "time", "clips": 5, "split_gap": 0.1} | changes))


def seconds_of(example: dict[str, np.ndarray]) -> np.ndarray:
    """When the frames of a clip are shown."""
    return example["image"].mean(axis=(1, 2, 3)) * 255 / 100


@pytest.mark.parametrize("is_small", [True, False])
def test_clips_begin_anywhere_in_their_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_small: bool) -> None:
    if not is_small:
        monkeypatch.setattr(clips, "_SMALL_SET", 0)
    save(tmp_path / "a.mkv")
    splits = open_clips(data(tmp_path, val_fraction=0.2, test_fraction=0.3), READING, ClipNames())
    begins = []
    for index in range(len(splits.train)):
        inputs, label = splits.train.read(index, np.random.default_rng(index))
        assert inputs["image"].shape == (4, 8, 8, 3)
        assert inputs["audio"].shape == (640,)
        times = seconds_of(inputs)
        assert np.diff(times) == pytest.approx(0.04, abs=0.005)
        assert inputs["audio"][320] == pytest.approx((times[0] + 0.08) / 10, abs=0.005), "sound belongs to the frames"
        begins.append(times[0])
        assert label == {}
    assert len(set(begins)) > 3
    assert max(begins) + 0.16 <= 1.0 + 0.04
    held = [seconds_of(splits.val.read(index, None)[0])[0] for index in range(len(splits.val))]
    assert held == sorted(held)
    assert (min(held), max(held)) == pytest.approx((1.1, 1.4 - 0.16), abs=0.045)
    assert min(seconds_of(splits.test.read(0, None)[0])) == pytest.approx(1.5, abs=0.045)


def test_equal_generators_give_equal_clips(tmp_path: Path) -> None:
    save(tmp_path / "a.mkv")
    augment = AugmentConfig(crop_size=8, crop_area=(0.3, 1.0), flip=True, gain_db=6.0)
    train = open_clips(data(tmp_path, augment=augment), READING, ClipNames()).train
    one, two = (train.read(0, np.random.default_rng(7))[0] for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    other = pickle.loads(pickle.dumps(train)).read(0, np.random.default_rng(7))[0]
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert train.sizes().tolist() == [one["image"].nbytes + one["audio"].nbytes] * 5


def test_parts_by_file_and_classes_by_folder(tmp_path: Path) -> None:
    for name in ("train/run/a.mkv", "train/walk/b.mkv", "val/walk/c.mkv", "test/run/d.mkv"):
        save(tmp_path / name, 0.4)
    splits = open_clips(data(tmp_path, split_by="file", clips=2), READING, LABELLED)
    assert splits.classes == ("run", "walk")
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [4, 2, 2]
    inputs, target = splits.train.read(1, np.random.default_rng(0))
    assert (inputs["label"], target["label"]) == (1, 1)
    assert splits.train.name(3) == "train/walk/b.mkv, clip 2 of 2"
    assert splits.train.file_name(3) == "train/walk/b.mkv"
    inputs, target = splits.val.read(0, None)
    assert "label" not in inputs, "hidden when it is to be guessed"
    assert target["label"] == 1
    assert set(splits.train.blank()[0]) == {"image", "audio", "label"}


def test_labels_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    save(tmp_path / "a.mkv")
    train = open_clips(data(tmp_path), READING, LABELLED).train
    inputs, target = train.read(0, np.random.default_rng(0))
    assert "label" not in inputs
    assert target["label"] == -1


def test_identity_follows_files_and_stretches(tmp_path: Path) -> None:
    save(tmp_path / "a.mkv")

    def identity(**changes: Any) -> str:
        return open_clips(data(tmp_path, **changes), READING, ClipNames()).train.identity()

    assert identity() == identity(split_seed=3)
    assert len({identity(), identity(val_fraction=0.3), identity(clips=6), identity(split_gap=0.2)}) == 3, (
        "the gap is none of the training stretch's"
    )


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    make_video(tmp_path / "silent.mkv", evenly(20))
    save(tmp_path / "short.mkv", 0.12)
    tone = np.zeros(8000, np.float32)
    (tmp_path / "tone.wav").write_bytes(encode_audio(tone, 8000, "wav"))
    (tmp_path / "picture.png").write_bytes(encode_image(np.zeros((8, 8, 3), np.uint8), "png"))
    (tmp_path / "text.txt").write_bytes(b"Dear reader,\n" * 30)
    messages = {
        "silent.mkv": "is a video without sound, but the model reads both",
        "short.mkv": r"is too short: it has 0\.12 s, and no clip of 0\.16 s",
        "tone.wav": "is a sound without pictures",
        "picture.png": "is a picture",
        "text.txt": "is not a video",
    }
    for name, message in messages.items():
        examples = open_clips(data(tmp_path / name, val_fraction=0.0, test_fraction=0.0), READING, ClipNames()).train
        with pytest.raises(ValueError, match=message) as caught:
            examples.read(0, None)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": 0}, "data.clips is 0"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "must leave something to train on"),
        ({"split_gap": -1.0}, "data.split_gap is -1.0"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save(tmp_path / "a.mkv", 0.4)
    with pytest.raises(ValueError, match=message):
        open_clips(data(tmp_path, **changes), READING, ClipNames())


def test_a_clip_is_as_it_is_for_those_who_compare(tmp_path: Path) -> None:
    save(tmp_path / "a.mkv")
    examples: Clips = open_clips(data(tmp_path, val_fraction=0.3), READING, ClipNames()).val
    clip = examples.clip(0)
    assert clip.frames.shape == (4, 8, 8, 3)
    assert np.array_equal(clip.frames / np.float32(255), examples.read(0, None)[0]["image"])
