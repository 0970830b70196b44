from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from anybyte.config import AugmentConfig
from anybyte.files.augment import augment_audio, augment_image, changes_audio, changes_images, check_augment

ALL_IMAGE = AugmentConfig(crop_padding=3, flip=True, brightness=0.5, erase=0.7)
ALL_AUDIO = AugmentConfig(gain_db=12, shift_seconds=0.1, speed=0.2, noise_db=-10, time_mask_seconds=0.1)
RATE = 8000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(*shape: int) -> NDArray[np.uint8]:
    return rng().integers(1, 256, shape, dtype=np.uint8)


def sound(length: int = 4000) -> NDArray[np.float32]:
    return rng().uniform(-0.9, 0.9, length).astype(np.float32)


def frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    array.setflags(write=False)
    return array


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), channels=st.sampled_from([(), (3,)]), seed=st.integers(0, 999)
)
def test_a_picture_keeps_shape_and_type(height: int, width: int, channels: tuple[int, ...], seed: int) -> None:
    pixels = frozen(picture(height, width, *channels))
    changed = augment_image(pixels, ALL_IMAGE, rng(seed))
    assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
    np.testing.assert_array_equal(changed, augment_image(pixels, ALL_IMAGE, rng(seed)))


@given(length=st.integers(1, 3000), channels=st.sampled_from([(), (2,)]), seed=st.integers(0, 999))
def test_a_sound_stays_within_full_scale(length: int, channels: tuple[int, ...], seed: int) -> None:
    samples = frozen(rng().uniform(-1, 1, (length, *channels)).astype(np.float32))
    changed = augment_audio(samples, RATE, ALL_AUDIO, rng(seed))
    assert changed.dtype == np.float32
    assert changed.ndim == samples.ndim
    assert np.abs(changed).max() <= 1
    np.testing.assert_array_equal(changed, augment_audio(samples, RATE, ALL_AUDIO, rng(seed)))


def test_nothing_changes_and_nothing_is_drawn_by_default() -> None:
    generator = rng()
    pixels, samples = picture(5, 5), sound()
    np.testing.assert_array_equal(augment_image(pixels, AugmentConfig(), generator), pixels)
    np.testing.assert_array_equal(augment_audio(samples, RATE, AugmentConfig(), generator), samples)
    assert generator.bit_generator.state == rng().bit_generator.state


def test_what_is_on_is_known() -> None:
    assert (changes_images(ALL_IMAGE), changes_audio(ALL_IMAGE)) == (True, False)
    assert (changes_images(ALL_AUDIO), changes_audio(ALL_AUDIO)) == (False, True)
    assert changes_audio(AugmentConfig(noise_db=0.0))


def test_crop_padding_shifts_and_fills_with_zeros() -> None:
    pixels = picture(8, 8)
    seen = set()
    for seed in range(200):
        changed = augment_image(pixels, AugmentConfig(crop_padding=2), rng(seed))
        matches = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if np.array_equal(changed, np.pad(pixels, 2)[2 + y : 10 + y, 2 + x : 10 + x])
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 25


def test_flip_mirrors_half_of_the_pictures() -> None:
    pixels = picture(4, 5, 3)
    flipped = [
        np.array_equal(augment_image(pixels, AugmentConfig(flip=True), rng(seed)), pixels[:, ::-1])
        for seed in range(200)
    ]
    assert 70 < sum(flipped) < 130


def test_brightness_scales_within_its_limits() -> None:
    pixels = np.full((2, 2), 100, dtype=np.uint8)
    values = [int(augment_image(pixels, AugmentConfig(brightness=0.2), rng(seed))[0, 0]) for seed in range(200)]
    assert 80 <= min(values) < 85 < 115 < max(values) <= 120


def test_erase_overwrites_a_rectangle_of_its_area() -> None:
    pixels = picture(40, 40, 3)
    areas = []
    for seed in range(200):
        changed = (augment_image(pixels, AugmentConfig(erase=1.0), rng(seed)) != pixels).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        areas.append((np.ptp(rows) + 1) * (np.ptp(columns) + 1) / 1600)
    assert 0.015 < min(areas) < 0.04
    assert 0.17 < max(areas) < 0.21


def test_speed_changes_the_length_and_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype(np.float32) * 0.5
    for seed in range(10):
        changed = augment_audio(tone, RATE, AugmentConfig(speed=0.2), rng(seed))
        factor = len(tone) / len(changed)
        assert 0.8 <= factor <= 1.25
        peak = np.abs(np.fft.rfft(changed)).argmax() * RATE / len(changed)
        assert peak == pytest.approx(500 * factor, abs=3)


def test_shift_moves_and_leaves_silence() -> None:
    samples = sound()
    for seed in range(20):
        changed = augment_audio(samples, RATE, AugmentConfig(shift_seconds=0.05), rng(seed))
        assert len(changed) == len(samples)
        delay = next(d for d in range(-400, 401) if np.array_equal(np.roll(samples, d)[500:-500], changed[500:-500]))
        silent = changed[:delay] if delay > 0 else changed[len(changed) + delay :]
        assert not silent.any()


def test_gain_stays_within_its_decibels() -> None:
    samples = np.full(4, 0.1, dtype=np.float32)
    gains = [
        20 * np.log10(augment_audio(samples, RATE, AugmentConfig(gain_db=6), rng(seed))[0] / 0.1) for seed in range(200)
    ]
    assert -6.001 <= min(gains) < -5 < 5 < max(gains) <= 6.001


def test_noise_is_relative_to_the_peak() -> None:
    samples = np.zeros(20_000, dtype=np.float32)
    samples[0] = 0.5
    levels = [
        20 * np.log10(augment_audio(samples, RATE, AugmentConfig(noise_db=-20), rng(seed))[1:].std() / 0.5)
        for seed in range(50)
    ]
    assert -50.5 <= min(levels) < max(levels) <= -19.5


def test_time_mask_silences_one_stretch() -> None:
    samples = np.full(4000, 0.5, dtype=np.float32)
    for seed in range(50):
        changed = augment_audio(samples, RATE, AugmentConfig(time_mask_seconds=0.1), rng(seed))
        silent = np.flatnonzero(changed == 0)
        assert len(silent) <= 800
        assert len(silent) == 0 or np.ptp(silent) + 1 == len(silent)


def test_short_files_keep_at_least_half_of_themselves() -> None:
    for seed in range(50):
        assert augment_image(picture(4, 4), AugmentConfig(crop_padding=100), rng(seed)).any()
        assert np.count_nonzero(augment_audio(sound(10), RATE, AugmentConfig(shift_seconds=9), rng(seed))) >= 5
        assert np.count_nonzero(augment_audio(sound(10), RATE, AugmentConfig(time_mask_seconds=9), rng(seed))) >= 5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AugmentConfig(crop_padding=-1), "augment.crop_padding is -1"),
        (AugmentConfig(erase=1.5), "augment.erase is 1.5"),
        (AugmentConfig(speed=1.0), r"augment.speed is 1.0; it must be in \[0, 1\)"),
        (AugmentConfig(gain_db=float("nan")), "augment.gain_db is nan"),
        (AugmentConfig(noise_db=float("inf")), "augment.noise_db is inf"),
    ],
)
def test_senseless_settings_are_refused_by_name(config: AugmentConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_augment(config)
