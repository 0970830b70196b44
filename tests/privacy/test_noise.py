from __future__ import annotations

import numpy as np
import pytest

from anybyte.privacy.noise import add_noise


@pytest.mark.parametrize("width", [0, 1, 20, 127])
def test_noise_is_spread_evenly_over_its_width_and_wraps(width: int) -> None:
    for value in (0, 128, 255):
        data = np.full(60_000, value, dtype=np.uint8)
        noisy = add_noise(data, width, np.random.default_rng(width))
        counts = np.bincount((noisy.astype(int) - value + width) % 256, minlength=256)
        assert (data == value).all()
        assert counts[2 * width + 1 :].sum() == 0
        expected = len(data) / (2 * width + 1)
        assert np.abs(counts[: 2 * width + 1] - expected).max() < 6 * expected**0.5


def test_equal_generators_give_equal_noise() -> None:
    data = np.zeros(100, dtype=np.uint8)
    first, again, other = (add_noise(data, 9, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("width", [-1, 128])
def test_impossible_widths_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=rf"noise is {width}; it must be in \[0, 127\]"):
        add_noise(np.zeros(1, dtype=np.uint8), width, np.random.default_rng(0))
