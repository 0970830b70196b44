"""The synthesiser: repeatable, bounded, and with the spectra that the words have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from anybyte.demo import speech


def spoken(word: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return speech.say(word, speech.draw_speaker(rng), rng)


def average_man() -> speech.Speaker:
    speaker = speech.draw_speaker(np.random.default_rng(0))
    return dataclasses.replace(
        speaker, pitch=110, tract=1.0, rate=1.0, breathiness=0.05, accent=np.ones_like(speaker.accent), room=0.001
    )


def spectrum(samples: np.ndarray, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and power of a stretch from `start` to `end`, as shares of the clip."""
    stretch = samples[int(start * len(samples)) : int(end * len(samples))]
    power = np.abs(np.fft.rfft(stretch * np.hanning(len(stretch)))) ** 2
    return np.fft.rfftfreq(len(stretch), 1 / speech.RATE), power


def share_above(samples: np.ndarray, hertz: float, start: float, end: float) -> float:
    """How much of the power of a stretch lies above a frequency."""
    frequencies, power = spectrum(samples, start, end)
    return float(power[frequencies > hertz].sum() / power.sum())


def test_equal_seeds_say_the_same() -> None:
    np.testing.assert_array_equal(spoken("seven", 3), spoken("seven", 3))
    assert not np.array_equal(spoken("seven", 3), spoken("seven", 4)[: len(spoken("seven", 3))])


@pytest.mark.parametrize("word", speech.WORDS)
def test_every_word_is_short_and_within_bounds(word: str) -> None:
    for seed in range(10):
        samples = spoken(word, seed)
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert np.isfinite(samples).all()
        assert 0.25 < len(samples) / speech.RATE < 0.75
        assert 0.3 < np.abs(samples).max() <= 1


def test_one_voice_never_says_a_word_twice_alike() -> None:
    rng = np.random.default_rng(0)
    speaker = speech.draw_speaker(rng)
    first, second = speech.say("two", speaker, rng), speech.say("two", speaker, rng)
    assert not np.array_equal(first[:1000], second[:1000])


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(ValueError, match="no word 'ten'"):
        spoken("ten")


def test_the_s_of_six_hisses_and_the_vowel_of_four_does_not() -> None:
    rng = np.random.default_rng(1)
    speaker = average_man()
    assert share_above(speech.say("six", speaker, rng), 2500, 0.1, 0.25) > 0.8
    assert share_above(speech.say("four", speaker, rng), 2500, 0.45, 0.65) < 0.1


def test_the_second_formant_rises_in_nine() -> None:
    samples = speech.say("nine", average_man(), np.random.default_rng(2))

    def second_formant(start: float, end: float) -> float:
        frequencies, power = spectrum(samples, start, end)
        band = (frequencies > 900) & (frequencies < 2400)
        return float((frequencies[band] * power[band]).sum() / power[band].sum())

    assert second_formant(0.55, 0.7) > second_formant(0.25, 0.4) + 250


def test_the_pitch_is_the_speakers() -> None:
    speaker = dataclasses.replace(average_man(), pitch=200, melody=0.0)
    samples = speech.say("three", speaker, np.random.default_rng(3)).astype(np.float64)
    vowel = samples[len(samples) // 2 : len(samples) * 3 // 4]
    lags = np.arange(25, 100)  # 80 to 320 Hz
    likeness = [np.dot(vowel[:-lag], vowel[lag:]) / (len(vowel) - lag) for lag in lags]
    assert speech.RATE / lags[int(np.argmax(likeness))] == pytest.approx(200, rel=0.12)
