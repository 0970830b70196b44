"""Attacks on a permutation of byte values: who sees permuted files, and what else, learns how much of the key?

Each takes counts of what was seen and returns a `Guess`: the plain value behind each sent one. All of them know how the
files were made (format, shape, width of the noise): only the permutation is secret.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.guesses import UNKNOWN, Guess
from anybyte.privacy.attacks.matching import Evidence, Renaming, climb, settle
from anybyte.privacy.attacks.smoothness import affinity, place_order, seriate, spread
from anybyte.privacy.attacks.statistics import NUM_VALUES, Counts

_DOUBT = 1e-6
"""The chance that a header is not what the format says."""
_MARGIN = 3.0
"""Nats by which the best meaning of a value must lead before it counts as known."""


def match_ranks(sent: Counts, public: Counts) -> Guess:
    """The most frequent value of permuted files is the most frequent one of public files, and so on: int16 [256].

    Of all pairings this is the one with the least distance between the two histograms.

    Args:
        sent: float64 [256], how often each value occurs in permuted files.
        public: float64 [256], the same in plain files of the same kind.
    """
    guess = np.empty(NUM_VALUES, dtype=np.int16)
    guess[np.argsort(sent, kind="stable")] = np.argsort(public, kind="stable")
    return guess


def match_bigrams(sent: Counts, public: Counts, evidence: Evidence) -> Guess:
    """Ranks first, then exchanges of two meanings as long as pairs of neighbours become more probable: int16 [256].

    Args:
        sent: float64 [256], how often each value occurs in permuted files.
        public: float64 [256], the same in plain files of the same kind.
        evidence: pairs in both; clues are not used.
    """
    plain = Evidence(evidence.seen, evidence.expected, no_clues())
    return climb(plain, match_ranks(sent, public).astype(np.int64)).astype(np.int16)


def no_clues() -> Counts:
    """Clues of someone who knows no header: float64 [256, 256] of zeros."""
    return np.zeros((NUM_VALUES, NUM_VALUES))


def header_clues(sent: NDArray[np.uint8], header: NDArray[np.uint8], noise: int = 0) -> Counts:
    """What known headers tell of the key: log-likelihoods that sent value i stands for v, float64 [256, 256].

    Args:
        sent: uint8 [N, K], what stands in N permuted files where the header is.
        header: uint8 [K], the header that the format prescribes.
        noise: each plain byte was shifted by a number in [-noise, noise], modulo 256.
    """
    met = np.zeros((NUM_VALUES, NUM_VALUES))
    np.add.at(met, (sent, np.broadcast_to(header, sent.shape)), 1)
    values = np.arange(NUM_VALUES)
    distance = (values[:, None] - values[None, :] + 128) % NUM_VALUES - 128
    chance = np.where(np.abs(distance) <= noise, (1 - _DOUBT) / (2 * noise + 1), 0) + _DOUBT / NUM_VALUES
    clues: Counts = met @ np.log(chance)
    return clues


def read_headers(clues: Counts) -> Guess:
    """The values that clues leave no doubt about, as int16 [256]; the others are UNKNOWN."""
    ranked = np.sort(clues, axis=1)
    certain = ranked[:, -1] - ranked[:, -2] > _MARGIN
    guess = np.where(certain, clues.argmax(axis=1), UNKNOWN).astype(np.int16)
    known, counts = np.unique(guess[certain], return_counts=True)
    guess[np.isin(guess, known[counts > 1])] = UNKNOWN  # two values cannot mean the same
    return guess


def order_by_smoothness(seen: Counts, clues: Counts, circle: bool = False, lowest: int = 0) -> Guess:
    """Plain values from the order that neighbours suggest, with no file to compare with: int16 [256].

    The values are placed evenly; clues decide what the neighbours cannot: the direction, and on a circle the start.

    Args:
        seen: float64 [R, 256, 256], pairs in permuted files.
        clues: float64 [256, 256].
        circle: whether noise has joined the two ends of the order.
        lowest: plain value at the lower end: 0, or 128 where bytes are high halves of signed samples.
    """
    return spread(seriate(affinity(seen), circle), clues, circle, lowest)


def combine(evidence: Evidence, circle: bool = False) -> Guess:
    """The strongest of these attacks, from all there is: headers, smoothness and pairs: int16 [256].

    Starts from the order of the values, improves it until no exchange of two meanings helps, and keeps the most
    probable.

    Args:
        evidence: pairs in permuted and public files, and clues from headers.
        circle: whether noise has joined the two ends of the order.
    """
    start: Renaming = place_order(seriate(affinity(evidence.seen), circle), evidence, circle)
    found = [climb(evidence, begin) for begin in (start, settle(evidence, start))]
    return max([start, *found], key=evidence.agreement).astype(np.int16)
