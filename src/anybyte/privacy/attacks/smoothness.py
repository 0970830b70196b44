"""The order of byte values from the smoothness of pictures and sounds, without any file to compare with.

Neighbouring pixels and samples have near values. So the values that often occur side by side are near each other, and
ordering them along a line is a seriation problem: the Fiedler vector of the co-occurrence graph sorts them (Atkins,
Boman and Hendrickson 1998), up to the direction. Noise added modulo 256 closes the line to a circle, and the two first
vectors give an angle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.guesses import UNKNOWN, Guess
from anybyte.privacy.attacks.matching import Evidence, Renaming
from anybyte.privacy.attacks.statistics import NUM_VALUES, Counts


def affinity(tables: Counts) -> Counts:
    """How much more often values meet than their frequencies explain, over all relations: float64 [256, 256]."""
    together = tables.sum(axis=0)
    together = together + together.T
    frequency = together.sum(axis=1)
    scale = np.sqrt(np.maximum(frequency, 1))
    normalised: Counts = together / scale[:, None] / scale[None, :]
    np.fill_diagonal(normalised, 0)
    return normalised


def seriate(affinities: Counts, circle: bool = False) -> NDArray[np.int64]:
    """The values that have any affinity, sorted along the line or circle that it suggests: int64 [n].

    Args:
        affinities: float64 [256, 256], symmetric, not negative.
        circle: whether the order closes; it then starts anywhere.
    """
    present = np.flatnonzero(affinities.sum(axis=1) > 0)
    if len(present) < 3:
        return present
    weights = affinities[np.ix_(present, present)]
    degrees = weights.sum(axis=1)
    scale = 1 / np.sqrt(degrees)
    vectors = np.linalg.eigh(scale[:, None] * weights * scale[None, :])[1] * scale[:, None]
    first = vectors[:, -2]
    keys = np.arctan2(vectors[:, -3] / vectors[:, -3].std(), first / first.std()) if circle else first
    order: NDArray[np.int64] = present[_polish(weights, np.argsort(keys, kind="stable"), circle)]
    return order


def spread(order: NDArray[np.int64], clues: Counts, circle: bool, lowest: int = 0) -> Guess:
    """Plain values for an order of sent values, evenly over all: int16 [256], UNKNOWN for those not in it.

    Args:
        order: int64 [n].
        clues: float64 [256, 256], what is known otherwise: it decides the direction, and on a circle the start. With
            no clues both are arbitrary.
        circle: whether to try all starts.
        lowest: the plain value at the lower end of a line: 0 for brightness, 128 for the high byte of signed samples.
    """
    best, best_value = np.full(NUM_VALUES, UNKNOWN, dtype=np.int16), -np.inf
    levels = (np.rint(np.linspace(0, NUM_VALUES - 1, len(order))).astype(np.int16) + lowest) % NUM_VALUES
    soft = _blur(clues)  # the values are near the true ones, hardly ever equal
    for direction in (order, order[::-1]):
        for start in range(len(order) if circle else 1):
            guess = np.full(NUM_VALUES, UNKNOWN, dtype=np.int16)
            guess[np.roll(direction, -start)] = levels
            value = float(soft[order, guess[order]].sum())
            if value > best_value:
                best, best_value = guess, value
    return best


def place_order(order: NDArray[np.int64], evidence: Evidence, circle: bool) -> Renaming:
    """A bijection from an order of sent values: the direction, and on a circle the start, that the evidence favours.

    Clues come first: only where they are near enough to undecided, pairs decide. Few files have many wrong explanations
    that are as probable as the right one, and a header has one.

    Args:
        order: int64 [n]; values that do not occur follow in the order of their numbers.
        evidence: what is seen and expected.
        circle: whether to try all starts.
    """
    rest = np.setdiff1d(np.arange(NUM_VALUES), order)
    soft = _blur(evidence.clues)
    candidates = []
    for direction in (order, order[::-1]):
        for start in range(len(order) if circle else 1):
            renaming = np.empty(NUM_VALUES, dtype=np.int64)
            renaming[np.concatenate([np.roll(direction, -start), rest])] = np.arange(NUM_VALUES)
            candidates.append((float(soft[np.arange(NUM_VALUES), renaming].sum()), renaming))
    enough = 0.9 * max(fit for fit, _ in candidates)
    return max((renaming for fit, renaming in candidates if fit >= enough), key=evidence.agreement)


def _polish(weights: Counts, order: NDArray[np.int64], circle: bool, rounds: int = 20) -> NDArray[np.int64]:
    """The order after moving each value to the mean place of those it meets within reach, as long as places change.

    The eigenvector is flat where values are rare and at its ends; near neighbours sort those out.
    """
    size = len(order)
    place = np.empty(size)
    place[order] = np.arange(size)
    for reach in np.linspace(size / 8, 3, rounds):
        offset = place[None, :] - place[:, None]
        if circle:
            offset = (offset + size / 2) % size - size / 2
        near = weights * (np.abs(offset) <= reach)
        moved = place + (near * offset).sum(axis=1) / np.maximum(near.sum(axis=1), 1e-12)
        again = np.argsort(moved, kind="stable")
        place[again] = np.arange(size)
        order = again
    return order


def _blur(clues: Counts, width: float = 12.0) -> Counts:
    """Clues that also favour values nearby: float64 [256, 256]."""
    values = np.arange(NUM_VALUES)
    kernel = np.exp(-(((values[:, None] - values[None, :]) / width) ** 2) / 2)
    weights = np.exp(clues - clues.max(axis=1, keepdims=True))
    told = clues.max(axis=1, keepdims=True) - clues.min(axis=1, keepdims=True)
    blurred: Counts = np.minimum(told, 1) * (weights / weights.sum(axis=1, keepdims=True)) @ kernel
    return blurred
