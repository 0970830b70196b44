"""Sounds as samples and as mel spectrograms."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.config import AugmentConfig, SoundConfig
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.mel import log_mel
from anybyte.reading import SoundReading, check_reading, describe, make_reading

RATE = 8000
WAVE = SoundConfig(rate=RATE, seconds=0.25)
MEL = replace(WAVE, form="mel", num_mels=16, window=256, hop=100)


def noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    shape = (round(seconds * rate), channels)[: 1 + (channels > 1)]
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def wav(samples: NDArray[np.float32], rate: int = RATE) -> bytes:
    return encode_audio(samples, rate, "wav:f32")


def read(config: SoundConfig, data: bytes, rng: np.random.Generator | None = None, **augment: Any) -> NDArray[Any]:
    found = make_reading(config, AugmentConfig(**augment))(data, "a", rng)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    return found


def test_samples_come_as_they_are() -> None:
    samples = noise(0.25)
    np.testing.assert_array_equal(read(WAVE, wav(samples)), samples)


def test_a_long_sound_is_read_in_its_middle_and_silence_follows_a_short_one() -> None:
    long, short = noise(1.0), noise(0.1)
    np.testing.assert_array_equal(read(WAVE, wav(long)), long[3000:5000])
    found = read(WAVE, wav(short))
    np.testing.assert_array_equal(found[:800], short)
    assert not found[800:].any()
    assert len(found) == 2000


@pytest.mark.parametrize("format", ["wav:s16", "flac", "ogg", "mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (8000, 1)])
def test_every_format_becomes_one_channel_at_the_rate(format: str, rate: int, channels: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate, dtype=np.float32) * np.float32(0.5)
    data = encode_audio(np.stack([tone] * channels, 1) if channels > 1 else tone, rate, format)
    found = read(replace(MEL, seconds=0.5), data)
    assert found.shape == (40, 16)
    edges = np.linspace(*np.log(1 + np.array([50, RATE / 2]) / 700), 18)  # mels are a multiple of this
    assert found[20].argmax() == np.abs(edges[1:-1] - np.log(1 + 1000 / 700)).argmin()


def test_mel_is_that_of_the_samples() -> None:
    samples = noise(0.25)
    expected = log_mel(samples, RATE, bands=16, window=256, hop=100, low=50.0)
    np.testing.assert_array_equal(read(MEL, wav(samples)), expected)
    assert make_reading(MEL).blank().shape == expected.shape == (20, 16)  # type: ignore[union-attr]


@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_equal_level_is_a_mean_square_of_one(gain: float) -> None:
    found = read(replace(WAVE, level="equal"), wav(noise(0.25) * np.float32(gain)))
    assert np.mean(np.square(found)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("config", [WAVE, MEL, replace(WAVE, level="equal"), replace(MEL, level="equal")])
def test_silence_is_read(config: SoundConfig) -> None:
    found = read(config, wav(np.zeros(2000, np.float32)))
    assert np.isfinite(found).all()
    assert np.ptp(found) == 0


def test_reading_is_the_same_twice_and_random_changes_follow_the_generator() -> None:
    data = wav(noise(0.6))
    changes = {"roll": 1.0, "gain_db": 6.0, "noise_dbfs": -40.0, "speed": 0.1, "time_mask_seconds": 0.05}
    np.testing.assert_array_equal(read(MEL, data), read(MEL, data))
    first, again, other = (read(MEL, data, np.random.default_rng(seed), **changes) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape == read(MEL, data, **changes).shape
    assert np.abs(first - other).max() > 0.1


def test_training_cuts_and_places_anywhere() -> None:
    ramp = (np.arange(4000, dtype=np.float32) + 1) / 8000
    starts = {round(float(read(WAVE, wav(ramp), np.random.default_rng(seed))[0] * 8000)) for seed in range(20)}
    assert len(starts) > 15
    assert min(starts) < 600
    assert max(starts) > 1400
    places = set()
    for seed in range(20):
        found = read(WAVE, wav(ramp[:500]), np.random.default_rng(seed))
        np.testing.assert_array_equal(found[found > 0], ramp[:500])
        places.add(int(found.argmax()))
    assert len(places) > 15


def test_mixing_adds_up_samples_before_the_spectrogram() -> None:
    first, second = noise(0.25), noise(0.25, seed=1)
    reading = make_reading(MEL)
    mixed = reading.mix(wav(first), "a", wav(second), "b", 0.25, np.random.default_rng(0))
    assert mixed is not None
    assert mixed.weight == 0.25
    expected = log_mel(0.25 * first + 0.75 * second, RATE, bands=16, window=256, hop=100, low=50.0)
    np.testing.assert_allclose(mixed.data, expected, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


def test_what_cannot_be_mixed_in_is_left_out() -> None:
    reading, rng = make_reading(WAVE), np.random.default_rng(0)
    assert reading.mix(wav(noise(0.1)), "a", b"nothing", "b", 0.5, rng) is None
    assert reading.mix(wav(noise(0.1)), "a", wav(noise(0.1)), "b", 0.5, rng, cut=True) is None
    with pytest.raises(ValueError, match=r"^a"):
        reading.mix(b"nothing", "a", wav(noise(0.1)), "b", 0.5, rng)


def test_views_are_spread_over_a_long_sound() -> None:
    samples = noise(1.0)
    reading = make_reading(replace(WAVE, views=4))
    assert isinstance(reading, SoundReading)
    assert reading.views == 4
    found = reading.in_use(wav(samples), "a")
    assert isinstance(found, np.ndarray)
    assert found.shape == (4, 2000)
    for view, start in zip(found, (0, 2000, 4000, 6000), strict=True):
        np.testing.assert_array_equal(view, samples[start : start + 2000])
    np.testing.assert_array_equal(reading(wav(samples), "a"), samples[3000:5000])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a: the file is empty"),
        (encode_image(np.zeros((4, 4), np.uint8), "png"), "a is a picture, but the model reads sounds"),
        (b"\0\0\0\x18ftypmp42", "a is a video (MP4 or Matroska), but the model reads sounds"),
        (b"\x1aE\xdf\xa3 webm", "a is a video (MP4 or Matroska), but the model reads sounds"),
        (b"some text", "a: not a sound in a known format (wav, flac, ogg, mp3"),
        (wav(noise(0.25))[:-10], "a: cannot be decoded as WAV (the file is truncated"),
        (encode_audio(noise(0.25), RATE, "ogg")[:-10], "a: cannot be decoded as OGG (the file is truncated"),
    ],
)
def test_what_is_no_sound_is_named(data: bytes, message: str) -> None:
    for act in (make_reading(WAVE), make_reading(MEL), make_reading(replace(WAVE, views=2)).in_use):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            act(data, "a")


def test_numbers_that_are_none_are_refused() -> None:
    data = bytearray(wav(noise(0.25)))
    data[-4:] = np.float32(np.nan).tobytes()
    with pytest.raises(ValueError, match=r"^a: it has samples that are not finite numbers"):
        make_reading(WAVE)(bytes(data), "a")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(WAVE, rate=0), "reading.rate is 0; it is a whole number"),
        (replace(WAVE, seconds=float("inf")), "reading.seconds is inf; it is a positive number"),
        (replace(WAVE, form="bytes"), "reading.form is 'bytes'; it is 'samples' or 'mel'"),  # type: ignore[arg-type]
        (replace(WAVE, level="loud"), "reading.level is 'loud'; it is 'stored' or 'equal'"),  # type: ignore[arg-type]
        (replace(MEL, num_mels=200), "reading: mel band 2 of 200"),
        (replace(MEL, high=5000.0), "reading: mel bands from 50 to 5000 Hz"),
        (replace(WAVE, views=0), "reading.views is 0"),
    ],
)
def test_settings_that_make_no_sense_are_named(config: SoundConfig, message: str) -> None:
    for act in (make_reading, check_reading):
        with pytest.raises(ValueError, match=re.escape(message)):
            act(config)


def test_a_card_says_what_is_read() -> None:
    assert describe(WAVE) == "the samples of sounds, 0.25 s at 8000 Hz"
    assert describe(MEL) == "the 16 mel bands of sounds, 0.25 s at 8000 Hz"
