"""What the model of clips is compared with."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from anybyte.evaluate.clips import Errors, band_limit, bicubic, numbers_of_latents, table, to_psnr
from anybyte.tasks.clips import ClipNames

from ..models.starts.test_places import config


def video(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((4, 8, 8, 3), dtype=np.float32)


def error(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.mean((one - two) ** 2))


def test_enough_numbers_lose_nothing() -> None:
    frames = video()
    assert bicubic(frames, frames.size) == pytest.approx(frames, abs=1e-6)
    samples = np.random.default_rng(0).standard_normal(200).astype(np.float32)
    assert np.array_equal(band_limit(samples, 200), samples)


def test_fewer_numbers_lose_more() -> None:
    frames = video()
    errors = [error(bicubic(frames, numbers), frames) for numbers in (700, 400, 100, 12)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]
    assert bicubic(frames, 12).std(axis=(1, 2)).max() < 1e-6, "one pixel a frame is its mean"


def test_a_still_costs_nothing_in_time() -> None:
    still = np.repeat(video()[:1], 4, axis=0)
    numbers = still.size // 2
    assert error(bicubic(still, numbers, every=2), still) < 1e-12
    assert error(bicubic(still, numbers), still) > 1e-3


def test_a_low_tone_passes_the_band_limit_and_a_high_one_does_not() -> None:
    time = np.arange(4000) / 4000
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (100, 1500))
    middle = slice(400, -400)
    assert error(band_limit(low, 1000)[middle], low[middle]) < 1e-4
    assert error(band_limit(high, 1000)[middle], np.zeros(3200)) < 1e-3
    assert band_limit(low, 1000).shape == low.shape


def test_numbers_are_shared_as_the_latents_are() -> None:
    plain = config()
    assert numbers_of_latents(plain, ClipNames()) == (6 * 40, 4 * 40)
    anywhere = dataclasses.replace(plain, latent_grids=())
    video_numbers, audio_numbers = numbers_of_latents(anywhere, ClipNames())
    assert video_numbers + audio_numbers == 400
    assert audio_numbers == 400 * 48 // (48 + 2 * 8 * 12 * 3)


def test_psnr_and_the_table() -> None:
    assert to_psnr(0.01) == pytest.approx(20)
    assert to_psnr(0.0) == math.inf
    errors = Errors(clips=2)
    for sums in (errors.video, errors.audio):
        for method in sums:
            sums[method] = 0.02
    rows = list(table({"a": errors, "b": errors}))
    assert rows[1] == ("a", "2", *["20.00"] * 7)
    assert rows[3][:3] == ("mean over files", "4", "20.00")
