"""Videos with their sound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.config import AugmentConfig, ClipConfig, SoundConfig
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.mel import log_mel
from anybyte.reading import check_reading, describe, make_reading
from tests.reading.videos import RATE, moving_square, tone, video_bytes

WAVE = SoundConfig(rate=RATE, seconds=0.5)
MEL = replace(WAVE, form="mel", num_mels=16, window=256, hop=160)
CONFIG = ClipConfig(frames=4, frame_rate=8.0, image_size=24, sound=WAVE)

Arrays = Mapping[str, NDArray[Any]]


def read(config: ClipConfig, data: bytes, seed: int | None = None, **augment: Any) -> Arrays:
    rng = None if seed is None else np.random.default_rng(seed)
    found = make_reading(config, AugmentConfig(**augment))(data, "a", rng)
    assert isinstance(found, Mapping)
    return found


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    """12 frames at 8 a second; the sound grows louder."""
    sound = tone(500, 1.5) * np.linspace(0, 1, 12_000, dtype=np.float32)[:, None]
    return video_bytes(tmp_path, moving_square(12, down=True), sound)


def test_the_middle_is_read_with_the_sound_that_belongs_to_it(video: bytes) -> None:
    found = read(CONFIG, video)
    frames = np.stack(moving_square(12, down=True))[4:8]
    assert {name: array.dtype for name, array in found.items()} == {"image": np.float32, "audio": np.float32}
    np.testing.assert_allclose(found["image"], frames / 255, atol=1e-6)
    sound = tone(500, 1.5)[:, 0] * np.linspace(0, 1, 12_000, dtype=np.float32)
    np.testing.assert_allclose(found["audio"], sound[4000:8000], atol=1e-3)


def test_frames_are_resized_to_the_square_in_their_middle(tmp_path: Path) -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 8:24] = 200
    data = video_bytes(tmp_path, [picture] * 4, tone(500, 0.5))
    found = read(replace(CONFIG, image_size=8), data)["image"]
    assert found.shape == (4, 8, 8, 3)
    np.testing.assert_allclose(found[:, :, 2:6], 200 / 255, atol=0.02)


def test_mel_is_that_of_the_samples(video: bytes) -> None:
    samples = read(CONFIG, video)["audio"]
    found = read(replace(CONFIG, sound=MEL), video)["audio"]
    np.testing.assert_array_equal(found, log_mel(samples, RATE, bands=16, window=256, hop=160, low=50.0))


def test_blank_has_the_form_of_what_is_read(video: bytes) -> None:
    for config in (CONFIG, replace(CONFIG, sound=MEL)):
        blank, found = make_reading(config).blank(), read(config, video)
        assert isinstance(blank, Mapping)
        assert {name: array.shape for name, array in blank.items()} == {n: a.shape for n, a in found.items()}


def test_training_begins_anywhere_and_changes_all_frames_alike(video: bytes) -> None:
    starts = {int(read(CONFIG, video, seed)["image"][0, :, 12, 0].argmax()) for seed in range(12)}
    assert len(starts) > 4
    for seed in range(6):
        found = read(CONFIG, video, seed, flip=True, crop_size=24, crop_area=(0.5, 0.5), crop_aspect=(1, 1))["image"]
        whole = read(CONFIG, video, seed)["image"]
        assert found.shape == whole.shape
        columns = [frame[..., 0].mean(axis=0) for frame in found if frame.max() > 0.5]  # those where it is in view
        assert len({int(column.argmax()) for column in columns}) <= 2  # it moves down, and so it does in the crop


def test_reading_follows_the_generator(video: bytes) -> None:
    first, again, other = (read(CONFIG, video, seed, brightness=0.5, gain_db=6.0) for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert np.abs(first[name] - other[name]).max() > 0.01


def test_views_are_spread_over_the_video(video: bytes) -> None:
    found = make_reading(replace(CONFIG, views=3)).in_use(video, "a")
    assert isinstance(found, Mapping)
    assert found["audio"].shape == (3, 4000)
    frames = np.stack(moving_square(12, down=True)) / np.float32(255)
    for view, start in zip(found["image"], (0, 4, 8), strict=True):
        np.testing.assert_allclose(view, frames[start : start + 4], atol=1e-6)


def test_mixing_adds_up_frames_and_samples(tmp_path: Path) -> None:
    files = [
        video_bytes(tmp_path, moving_square(4, down), tone(hertz, 0.5)) for down, hertz in ((True, 500), (False, 900))
    ]
    first, second = (read(CONFIG, data, 0) for data in files)
    mixed = make_reading(replace(CONFIG, sound=MEL)).mix(files[0], "a", files[1], "b", 0.25, np.random.default_rng(0))
    assert mixed is not None
    assert isinstance(mixed.data, Mapping)
    np.testing.assert_allclose(mixed.data["image"], 0.25 * first["image"] + 0.75 * second["image"], atol=1e-6)
    samples = (0.25 * first["audio"] + 0.75 * second["audio"]).astype(np.float32)
    expected = log_mel(samples, RATE, bands=16, window=256, hop=160, low=50.0)
    np.testing.assert_allclose(mixed.data["audio"], expected, atol=1e-3)


def test_what_a_file_lacks_is_refused_or_absent(tmp_path: Path) -> None:
    silent = video_bytes(tmp_path, moving_square(4, down=True), None)
    sound = encode_audio(tone(500, 1.0)[:, 0], RATE, "wav:s16")
    lenient = replace(CONFIG, missing="absent")
    with pytest.raises(ValueError, match=r"^a is a video without sound, but the model reads both"):
        read(CONFIG, silent)
    with pytest.raises(ValueError, match=r"^a is a sound without pictures, but the model reads videos with sound"):
        read(CONFIG, sound)
    assert set(read(lenient, silent)) == {"image"}
    assert set(read(lenient, sound)) == {"audio"}
    for data in (silent, sound):  # there is nothing to learn from it of how the two go together
        with pytest.raises(ValueError, match=r"^a is a"):
            read(lenient, data, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a: the file is empty"),
        (b"some text", "a is not a video"),
        (encode_image(np.zeros((4, 4), np.uint8), "png"), "a is a picture, but the model reads videos with sound"),
    ],
)
def test_what_is_no_video_is_named(data: bytes, message: str) -> None:
    for config in (CONFIG, replace(CONFIG, missing="absent"), replace(CONFIG, views=2)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            make_reading(config).in_use(data, "a")


def test_a_video_that_is_too_short_is_named(tmp_path: Path) -> None:
    data = video_bytes(tmp_path, moving_square(3, down=True), tone(500, 0.4))
    with pytest.raises(ValueError, match=r"^a is too short: it ends 0.38 s after its first frame, and 4 frames"):
        read(CONFIG, data)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(CONFIG, frames=0), "reading.frames is 0"),
        (replace(CONFIG, image_size=True), "reading.image_size is True"),
        (replace(CONFIG, frame_rate=0), "reading.frame_rate is 0; it is a positive number"),
        (replace(CONFIG, missing="maybe"), "reading.missing is 'maybe'"),  # type: ignore[arg-type]
        (replace(CONFIG, sound=None), "reading.sound is None"),  # type: ignore[arg-type]
        (replace(CONFIG, sound=replace(WAVE, rate=0)), "reading.sound.rate is 0"),
        (replace(CONFIG, sound=replace(WAVE, views=2)), "reading.sound.views is 2; those of a clip are reading.views"),
        (replace(CONFIG, frames=8), "reading.sound.seconds is 0.5, but 8 frames at 8 a second are 1 s"),
    ],
)
def test_settings_that_make_no_sense_are_named(config: ClipConfig, message: str) -> None:
    for act in (make_reading, check_reading):
        with pytest.raises(ValueError, match=re.escape(message)):
            act(config)


def test_a_card_says_what_is_read() -> None:
    assert describe(CONFIG) == "4 frames of videos, 24 x 24, and the samples of sounds, 0.5 s at 8000 Hz"
