"""A guess at a permutation, and how much of it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.statistics import NUM_VALUES, Counts

UNKNOWN = -1
Guess = NDArray[np.int16]
"""int16 [256]: the plain value that each sent value is believed to stand for, or UNKNOWN."""


@dataclass(frozen=True)
class KeyScore:
    """How much of a permutation an attack gave.

    Attributes:
        values: share of the 256 values that are right.
        occurring: share of the values that occur in the files.
        bytes: share of the bytes of the files that are read rightly.
        error: mean distance from the true value, over the bytes of the files, 0 to 255; an unknown value counts as
            128. Small where the order is right and the values are a little off, which is enough for a picture.
    """

    values: float
    occurring: float
    bytes: float
    error: float


def score_guess(guess: Guess, plain_of: NDArray[np.uint8], counts: Counts) -> KeyScore:
    """How much of the truth a guess is.

    Args:
        guess: int16 [256].
        plain_of: uint8 [256]: the plain value of each sent value, the inverse of the permutation.
        counts: float64 [256]: how often each sent value occurs in the attacked files.
    """
    right = guess == plain_of
    believed = np.where(guess == UNKNOWN, NUM_VALUES // 2, guess)
    distance = np.abs(believed - plain_of.astype(np.int16))
    shares = counts / max(1.0, counts.sum())
    occurs = counts > 0
    occurring = float(right[occurs].mean()) if occurs.any() else 0.0
    return KeyScore(float(right.mean()), occurring, float(shares[right].sum()), float((shares * distance).sum()))


def read_with(guess: Guess, sent: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes under a guess; those of unknown value become 128, a middle grey."""
    table = np.where(guess == UNKNOWN, NUM_VALUES // 2, guess).astype(np.uint8)
    return table[sent]


def complete(guess: Guess, sent: Counts, public: Counts) -> Guess:
    """The guess as a bijection: unknown values get the plain values that are left, by rank of frequency.

    Args:
        guess: int16 [256], no plain value twice.
        sent: float64 [256], how often each value occurs in permuted files.
        public: float64 [256], the same in plain files of the same kind.
    """
    left = np.setdiff1d(np.arange(NUM_VALUES), guess[guess != UNKNOWN])
    unknown = np.flatnonzero(guess == UNKNOWN)
    whole = guess.copy()
    whole[unknown[np.argsort(sent[unknown], kind="stable")]] = left[np.argsort(public[left], kind="stable")]
    return whole
