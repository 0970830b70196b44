"""Spectrograms of sounds whose bands are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anybyte.files.mel import FLOOR_DB, band_powers, log_mel, mel_filters, num_frames, to_mel

RATE = 16_000


def sine(hertz: float, seconds: float = 0.5, amplitude: float = 1.0) -> NDArray[np.float32]:
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE), np.float32)


def by_definition(samples: NDArray[np.float32], bands: int, window: int, hop: int, low: float) -> NDArray[np.float64]:
    """Band powers, written as the formulas are: one frame, frequency and band after the other."""
    frames, size = math.ceil(len(samples) / hop), window
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / size) for n in range(size)]
    edges = np.linspace(to_mel(low), to_mel(RATE / 2), bands + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    found = np.zeros((frames, bands))
    for frame in range(frames):
        start = frame * hop - (size - hop) // 2
        cut = [samples[start + n] * hann[n] if 0 <= start + n < len(samples) else 0.0 for n in range(size)]
        for k in range(size // 2 + 1):
            angle = -2j * np.pi * k * np.arange(size) / size
            power = abs(np.sum(np.asarray(cut) * np.exp(angle))) ** 2 / (size * sum(w * w for w in hann))
            power *= 1 if k in (0, size / 2) else 2
            for band in range(bands):
                left, centre, right = edges[band : band + 3]
                hertz = k * RATE / size
                found[frame, band] += power * max(
                    0.0, min((hertz - left) / (centre - left), (right - hertz) / (right - centre))
                )
    return found


@pytest.mark.parametrize(("window", "hop", "count"), [(64, 32, 150), (63, 20, 100), (32, 50, 170)])
def test_powers_are_those_of_the_definition(window: int, hop: int, count: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, count).astype(np.float32)
    found = band_powers(samples, RATE, bands=6, window=window, hop=hop, low=100.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_definition(samples, 6, window, hop, 100.0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("hertz", [200, 700, 1000, 2500, 5000])
def test_a_sine_is_in_the_band_of_its_frequency(hertz: int) -> None:
    powers = band_powers(sine(hertz), RATE, bands=40, window=1024, hop=320, low=50.0)[8]
    step = (to_mel(RATE / 2) - to_mel(50.0)) / 41
    assert powers.argmax() == round((to_mel(hertz) - to_mel(50.0)) / step) - 1
    assert powers.sum() == pytest.approx(0.5, rel=1e-3)  # its mean square


def test_filters_sum_to_one_between_the_first_and_the_last_centre() -> None:
    filters = mel_filters(RATE, 2048, 20, 0.0, 8000.0)
    centres = [int(column.argmax()) for column in filters.T]
    np.testing.assert_allclose(filters[centres[0] + 1 : centres[-1]].sum(axis=1), 1, rtol=1e-6)
    assert centres == sorted(centres)


@settings(max_examples=25)
@given(st.integers(1, 3000), st.integers(1, 400), st.sampled_from([128, 200, 255, 512]), st.integers(0, 2**32 - 1))
def test_the_bands_hold_no_more_than_the_frame_has(count: int, hop: int, window: int, seed: int) -> None:
    """Parseval: all frequencies together are the weighted mean square, and triangles that sum to 1 add nothing."""
    samples = np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32)
    powers = band_powers(samples, RATE, bands=8, window=window, hop=hop)
    assert powers.shape == (num_frames(count, hop), 8)
    assert powers.min() >= 0
    assert powers.sum(axis=1).max() <= np.square(samples, dtype=np.float64).max() * (1 + 1e-4)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_later_sound_has_later_frames(hops: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, 1600).astype(np.float32)
    late = np.concatenate([np.zeros(hops * 160, np.float32), samples])
    first, second = (band_powers(each, RATE, bands=8, window=256, hop=160) for each in (samples, late))
    np.testing.assert_allclose(second[hops + 1 :], first[1:], rtol=1e-4, atol=1e-8)


def test_decibels_are_shifted_and_scaled_as_stated() -> None:
    sound, quiet = sine(1000), sine(1000, amplitude=0.1)
    sizes = {"bands": 20, "window": 1024, "hop": 320}
    loud = log_mel(sound, RATE, **sizes)[8]
    powers = band_powers(sound, RATE, **sizes)[8]
    best = int(powers.argmax())
    assert loud[best] == pytest.approx((10 * math.log10(powers[best]) + 50) / 25, rel=1e-5)
    assert loud[best] - log_mel(quiet, RATE, **sizes)[8][best] == pytest.approx(20 / 25, rel=1e-4)


def test_silence_is_finite() -> None:
    assert FLOOR_DB == -100
    np.testing.assert_allclose(log_mel(np.zeros(1000, np.float32), RATE, bands=8, window=256, hop=160), -2, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": 200}, "mel band 0 of 200 .* take fewer bands or a longer window"),
        ({"bands": 0}, "at least 1 band, not 0"),
        ({"low": 9000.0}, "from 9000 to 8000 Hz"),
        ({"high": 9000.0}, "from 0 to 9000 Hz do not lie between 0 and half of 16000 Hz"),
        ({"hop": 0}, "windows of at least 2 samples"),
    ],
)
def test_sizes_that_make_no_sense_are_named(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        band_powers(sine(1000), RATE, **({"bands": 8, "window": 256, "hop": 160} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0,), (10, 2)])
def test_what_is_not_a_row_of_samples_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"made of samples \[N\]"):
        band_powers(np.zeros(shape, np.float32), RATE, bands=8, window=256, hop=160)
