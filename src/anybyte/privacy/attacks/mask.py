"""A secret mask is learnt from what the camera sends: nearby places show like values, in every picture.

What the camera sends is in the order of the places. How strongly two sent values go together over many pictures tells
how far apart they were measured, and public pictures tell what that means. The most probable ascending choice of
places is found by the Viterbi algorithm, first from each value's mean and spread and its likeness to the one before
it, then again and again with its likeness to all others, where they were last believed to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_LENGTH = 4096
"""Channels of a picture, at most: the correlations of all with all are formed."""
_MIN_PICTURES = 8


@dataclass(frozen=True)
class PlacesScore:
    """How well a mask was found: the share of places that are exact, the share within a pixel in each direction (of any
    channel), and the mean distance in pixels."""

    exact: float
    near: float
    distance: float


def find_places(sent: NDArray[np.uint8], public: NDArray[np.uint8], rounds: int = 8) -> NDArray[np.int64]:
    """Where a camera with a secret mask probably measured: int64 [K], ascending.

    Args:
        sent: uint8 [N, K], what it sent of N pictures.
        public: uint8 [M, H, W, C], whole pictures of the same kind and size.
        rounds: of revision.

    Raises:
        ValueError: there are too few pictures to correlate, they are too large, or more was sent than a picture has.
    """
    flat = public.reshape(len(public), -1)
    count, length = sent.shape[1], flat.shape[1]
    if min(len(sent), len(flat)) < _MIN_PICTURES:
        raise ValueError(f"correlations need {_MIN_PICTURES} pictures at least, got {len(sent)} and {len(flat)}")
    if length > MAX_LENGTH or not 0 < count <= length:
        raise ValueError(f"cannot look for {count:,} of {length:,} places: at most {MAX_LENGTH:,} can be compared")
    noise = 1 / len(sent) + 1 / len(flat) + 1e-4
    ours, theirs = _Moments.of(sent), _Moments.of(flat)
    alone = -((ours.mean[:, None] - theirs.mean) ** 2) / (2 * noise * theirs.spread**2)
    alone -= np.log(ours.spread[:, None] / theirs.spread) ** 2 / noise
    widest = min(length - count + 1, int(np.ceil(10 * length / count)))
    places = _best_chain(alone, ours.likeness.diagonal(1), theirs.likeness, widest, noise)
    for _ in range(rounds):
        again = _best_path(alone + _among_others(ours, theirs, places) / (2 * noise))
        if (again == places).all():
            break
        places = again
    return places


def score_places(found: NDArray[np.int64], true: NDArray[np.int64], shape: tuple[int, int, int]) -> PlacesScore:
    """How well a mask was found, for int64 [K] each."""
    rows, columns, _ = np.unravel_index(found, shape)
    true_rows, true_columns, _ = np.unravel_index(true, shape)
    down, right = np.abs(rows - true_rows), np.abs(columns - true_columns)
    near = (down <= 1) & (right <= 1)
    return PlacesScore(float((found == true).mean()), float(near.mean()), float(np.hypot(down, right).mean()))


@dataclass(frozen=True)
class _Moments:
    mean: Floats
    spread: Floats
    likeness: Floats
    """Correlations as Fisher's z, whose error does not depend on its size."""

    @classmethod
    def of(cls, values: NDArray[np.uint8]) -> _Moments:
        numbers = values.astype(np.float32)
        mean = numbers.mean(axis=0)
        numbers -= mean
        spread = np.sqrt((numbers**2).mean(axis=0)) + np.float32(1)
        numbers /= spread
        correlation = np.clip(numbers.T @ numbers / np.float32(len(numbers)), -0.99, 0.99)
        return cls(mean, spread, np.arctanh(correlation))


def _among_others(ours: _Moments, theirs: _Moments, places: NDArray[np.int64]) -> Floats:
    """How badly each sent value fits each place, seen from the others where they are believed to be: [K, length]."""
    there = theirs.likeness[:, places]
    misfit = (ours.likeness**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * ours.likeness @ there.T
    # A value's likeness to itself says nothing about where it is.
    fit: Floats = -(misfit - (ours.likeness.diagonal()[:, None] - there.T) ** 2)
    return fit


def _best_path(alone: Floats) -> NDArray[np.int64]:
    """The ascending places int64 [K] of largest total score, for [K, length] scores of each value at each place."""
    count, length = alone.shape
    best_before = np.zeros((count, length), dtype=np.int32)
    numbers = np.arange(length, dtype=np.int32)
    score = alone[0].astype(np.float64)
    for index in range(1, count):
        reached = np.maximum.accumulate(score)
        leaders = np.maximum.accumulate(np.where(score >= reached, numbers, 0))
        score = np.full(length, -np.inf)
        score[1:] = reached[:-1] + alone[index, 1:]
        best_before[index, 1:] = leaders[:-1]
    return _trace(best_before, int(score.argmax()))


def _best_chain(alone: Floats, ours: Floats, theirs: Floats, widest: int, noise: float) -> NDArray[np.int64]:
    """The same, with each value also held to its likeness to the one before it.

    Args:
        alone: [K, length].
        ours: [K - 1], the likeness of each sent value to the next.
        theirs: [length, length], likenesses of places.
        widest: largest step between neighbours.
        noise: variance of a difference of likenesses.
    """
    count, length = alone.shape
    numbers = np.arange(length)
    before = numbers[None, :] - np.arange(1, widest + 1)[:, None]
    barred = np.where(before < 0, np.float32(-np.inf), np.float32(0))
    before = np.maximum(before, 0)
    expected = theirs[before, numbers[None, :]]
    score = np.where(numbers < widest, alone[0], np.float32(-np.inf)).astype(np.float32)
    best_before = np.zeros((count, length), dtype=np.int32)
    for index in range(1, count):
        candidates = score[before] + barred - (ours[index - 1] - expected) ** 2 * np.float32(0.5 / noise)
        gaps = candidates.argmax(axis=0)
        best_before[index] = before[gaps, numbers]
        score = candidates[gaps, numbers] + alone[index]
        score -= score.max()  # float32 holds what differs
    return _trace(best_before, int(score.argmax()))


def _trace(best_before: NDArray[np.int32], last: int) -> NDArray[np.int64]:
    places = np.empty(len(best_before), dtype=np.int64)
    places[-1] = last
    for index in range(len(places) - 1, 0, -1):
        places[index - 1] = best_before[index, places[index]]
    return places
