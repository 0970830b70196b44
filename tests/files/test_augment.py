from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from anybyte.config import AugmentConfig
from anybyte.files.augment import augment_audio, augment_image, changes_audio, changes_images, check_augment

ALL_IMAGE = AugmentConfig(crop_padding=3, flip=True, rand_augment=2, brightness=0.5, erase=0.7)
ALL_AUDIO = AugmentConfig(
    gain_db=12, shift_seconds=0.1, roll=0.1, speed=0.2, noise_db=-10, noise_dbfs=-50, time_mask_seconds=0.1
)
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
    assert 0.30 < max(areas) < 0.34


def test_erase_takes_the_area_and_the_value_asked_for() -> None:
    pixels = picture(40, 40, 3)  # holds no 0
    config = AugmentConfig(erase=1.0, erase_area=(0.1, 0.1), erase_value=0)
    for seed in range(20):
        erased = (augment_image(pixels, config, rng(seed)) == 0).all(axis=2)
        assert erased.mean() == pytest.approx(0.1, abs=0.02)
    seen = [
        bool((augment_image(pixels, AugmentConfig(erase=0.25, erase_value=0), rng(s)) == 0).any()) for s in range(400)
    ]
    assert 70 < sum(seen) < 130


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 999), grey=st.booleans())
def test_any_picture_can_be_cropped_to_a_square(height: int, width: int, seed: int, grey: bool) -> None:
    pixels = frozen(picture(height, width) if grey else picture(height, width, 3))
    config = AugmentConfig(crop_size=16)
    changed = augment_image(pixels, config, rng(seed))
    assert (changed.shape, changed.dtype) == ((16, 16, *pixels.shape[2:]), np.uint8)
    np.testing.assert_array_equal(changed, augment_image(pixels, config, rng(seed)))


def test_crops_have_the_areas_and_aspects_asked_for() -> None:
    # Two ramps: a crop's own corners tell where it was.
    rows, columns = np.mgrid[:200, :200]
    pixels = np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)
    areas, aspects = [], []
    for seed in range(300):
        crop = augment_image(pixels, AugmentConfig(crop_size=64), rng(seed)).astype(float)
        height, width = ((crop[-1, -1, axis] - crop[0, 0, axis]) * 64 / 63 for axis in (0, 1))
        areas.append(height * width / 200**2)
        aspects.append(width / height)
    assert 0.07 < min(areas) < 0.15
    assert 0.85 < max(areas) < 1.02
    assert 0.70 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.40
    assert abs(np.log(aspects).mean()) < 0.05


def test_the_whole_picture_is_the_crop_of_all_its_area() -> None:
    pixels = picture(20, 20, 3)
    whole = AugmentConfig(crop_size=20, crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0))
    np.testing.assert_array_equal(augment_image(pixels, whole, rng()), pixels)


def test_a_strip_is_cropped_in_its_middle() -> None:
    strip = np.repeat(np.arange(90, dtype=np.uint8)[None], 3, axis=0)
    crop = augment_image(strip, AugmentConfig(crop_size=4, crop_area=(1.0, 1.0)), rng())
    assert 43 <= crop.min() <= crop.max() <= 46


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


def test_noise_has_the_level_asked_for_whatever_the_sound() -> None:
    for peak in (0, 0.5):
        samples = np.full(20_000, peak, dtype=np.float32)
        changed = augment_audio(samples, RATE, AugmentConfig(noise_dbfs=-50), rng())
        assert 20 * np.log10((changed - samples).std()) == pytest.approx(-50, abs=0.2)


def test_roll_turns_the_sound_by_up_to_its_share() -> None:
    samples = sound(1000)
    delays = []
    for seed in range(100):
        changed = augment_audio(samples, RATE, AugmentConfig(roll=0.1), rng(seed))
        delays.append(next(d for d in range(-100, 101) if np.array_equal(np.roll(samples, d), changed)))
    assert -100 <= min(delays) < -80
    assert 80 < max(delays) <= 100


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
        (AugmentConfig(noise_dbfs=float("nan")), "augment.noise_dbfs is nan"),
        (AugmentConfig(crop_size=0), "augment.crop_size is 0; it must be at least 1"),
        (AugmentConfig(crop_area=(0.5, 0.1)), r"augment.crop_area is \(0.5, 0.1\)"),
        (AugmentConfig(crop_aspect=(0.0, 1.0)), "augment.crop_aspect is"),
        (AugmentConfig(erase_area=(0.0, 1.5)), "augment.erase_area is"),
        (AugmentConfig(erase_value=256), "augment.erase_value is 256; it must be in 0 to 255"),
        (AugmentConfig(rand_augment=-1), "augment.rand_augment is -1"),
        (AugmentConfig(rand_augment_magnitude=31), "augment.rand_augment_magnitude is 31; it must be in 0 to 30"),
        (AugmentConfig(roll=2.0), "augment.roll is 2.0"),
        (AugmentConfig(mixup=-0.1), "augment.mixup is -0.1; it must be a probability"),
        (AugmentConfig(mixup_alpha=0.0), "augment.mixup_alpha is 0.0; it must be positive"),
    ],
)
def test_senseless_settings_are_refused_by_name(config: AugmentConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_augment(config)
