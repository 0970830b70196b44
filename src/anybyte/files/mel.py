"""Log-mel spectrograms: how strong a sound is in bands that follow human pitch, many times a second.

Written out here: a window, a Fourier transform and a matrix product are a screen of NumPy, while the libraries that
have them bring a hundred megabytes of dependencies, or a PyTorch of their own.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

FLOOR_DB = -100.0
"""Weaker than this counts as this: digital silence has a finite value."""
_CENTRE_DB, _SPAN_DB = -50.0, 25.0
"""What becomes 0, and the step that becomes 1."""


def to_mel(frequency: float) -> float:
    """Hertz as mels, 2595 log10(1 + f / 700): even steps sound evenly spaced."""
    return 2595.0 * math.log10(1.0 + frequency / 700.0)


def num_frames(samples: int, hop: int) -> int:
    """Frames of a spectrogram of so many samples: one for each hop that has begun."""
    return -(-samples // hop)


@functools.lru_cache(maxsize=16)
def mel_filters(rate: int, size: int, bands: int, low: float, high: float) -> NDArray[np.float32]:
    """Weights of the frequencies in each band: float32 [size // 2 + 1, bands].

    Bands are triangles over the frequencies. Their centres lie evenly on the mel scale between `low` and `high`, each
    is 1 at its own and falls to 0 at its neighbours': between the first centre and the last they sum to 1.

    Args:
        rate: samples a second.
        size: samples of the Fourier transform.
        bands: how many.
        low: hertz at which the first band begins.
        high: hertz at which the last one ends.

    Raises:
        ValueError: the range is empty or goes beyond half the rate, or a band lies between two frequencies of the
            transform, and would be silent for any sound.
    """
    if bands < 1:
        raise ValueError(f"a mel spectrogram has at least 1 band, not {bands}")
    if not 0 <= low < high <= rate / 2:
        raise ValueError(f"mel bands from {low:g} to {high:g} Hz do not lie between 0 and half of {rate} Hz")
    edges = 700.0 * (10.0 ** (np.linspace(to_mel(low), to_mel(high), bands + 2) / 2595.0) - 1.0)
    frequencies = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    silent = np.flatnonzero(filters.sum(axis=0) == 0)
    if len(silent):
        band = int(silent[0])
        raise ValueError(
            f"mel band {band} of {bands} ({edges[band]:.0f} to {edges[band + 2]:.0f} Hz) falls between the frequencies "
            f"of {size} samples at {rate} Hz: take fewer bands or a longer window"
        )
    weights: NDArray[np.float32] = filters.astype(np.float32)
    weights.setflags(write=False)  # it is shared by all callers
    return weights


@functools.lru_cache(maxsize=16)
def _window(size: int) -> NDArray[np.float32]:
    """A Hann window (periodic): float32 [size]."""
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    window.setflags(write=False)
    return window


def band_powers(
    samples: NDArray[np.float32], rate: int, *, bands: int, window: int, hop: int, low: float = 0.0, high: float = 0.0
) -> NDArray[np.float32]:
    """The power of a sound in each band and frame.

    Frame i looks at `window` samples around sample (i + 1/2) hop, weighted by a Hann window; silence lies beyond both
    ends. The powers of all frequencies sum to the weighted mean square of the frame (Parseval), so a sine of
    amplitude 1 has 1/2 in all, and so does any sound that lies between the first band's centre and the last's.

    Args:
        samples: float32 [N].
        rate: samples a second.
        bands: mel bands.
        window: samples that a frame looks at.
        hop: samples from frame to frame.
        low: hertz at which the first band begins.
        high: hertz at which the last one ends; 0: half the rate.

    Returns:
        float32 [frames, bands], `frames` being N / hop, rounded up.

    Raises:
        ValueError: no samples, or sizes that make no sense.
    """
    if window < 2 or hop < 1:
        raise ValueError(f"a mel spectrogram takes windows of at least 2 samples, every 1 or more, not {window}, {hop}")
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"a mel spectrogram is made of samples [N], not {list(samples.shape)}")
    filters = mel_filters(rate, window, bands, low, high or rate / 2)
    frames = num_frames(len(samples), hop)
    # Sample i * hop of the padded sound begins the window around the middle of hop i.
    before = (window - hop) // 2
    first = max(before, 0)
    padded = np.zeros(max(first + len(samples), (frames - 1) * hop + window + max(-before, 0)), np.float32)
    padded[first : first + len(samples)] = samples
    views = np.lib.stride_tricks.sliding_window_view(padded[max(-before, 0) :], window)[::hop][:frames]
    weights = _window(window)
    spectrum = np.fft.rfft(views * weights, axis=1)
    powers = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    powers *= np.float32(2 / (window * float(np.square(weights, dtype=np.float64).sum())))
    powers[:, 0] /= 2  # of a real sound, all others stand for two frequencies
    if window % 2 == 0:
        powers[:, -1] /= 2
    found: NDArray[np.float32] = powers @ filters
    return found


def log_mel(
    samples: NDArray[np.float32], rate: int, *, bands: int, window: int, hop: int, low: float = 0.0, high: float = 0.0
) -> NDArray[np.float32]:
    """`band_powers` as a model reads them: (decibels + 50) / 25, at least -2, which is -100 dB or silence.

    Decibels are relative to a mean square of 1: noise of full scale is near 2, quiet recordings near 0.

    Returns:
        float32 [frames, bands].

    Raises:
        ValueError: as `band_powers`.
    """
    powers = band_powers(samples, rate, bands=bands, window=window, hop=hop, low=low, high=high)
    np.maximum(powers, np.float32(10 ** (FLOOR_DB / 10)), out=powers)
    np.log10(powers, out=powers)
    powers *= np.float32(10 / _SPAN_DB)
    powers -= np.float32(_CENTRE_DB / _SPAN_DB)
    return powers
