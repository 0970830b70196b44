"""Matching two tables of relations by renaming the values of one: what bigrams give away.

The pairs of values in permuted files, S [R, 256, 256], are those of the plain files with their rows and columns
renamed. If public files of the same kind show pairs with log-probabilities K, the log-likelihood of a renaming p is
the sum over r, i, j of S[r, i, j] K[r, p(i), p(j)], and what else is known of a value adds to it. The renaming that
makes it largest is looked for by exchanging the meanings of two values as long as that helps: a quadratic assignment
problem, solved locally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.assignment import assign

Tables = NDArray[np.float64]
Renaming = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """What an attacker has seen and expects.

    Attributes:
        seen: pairs of values in permuted files, float64 [R, 256, 256], symmetric in the last two.
        expected: log-probabilities of pairs of plain values, of the same shape and kind.
        clues: log-likelihood that sent value i stands for v, from elsewhere (such as headers): float64 [256, 256].
    """

    seen: Tables
    expected: Tables
    clues: Tables

    def agreement(self, renaming: Renaming) -> float:
        """The log-likelihood of a renaming int64 [256]: larger is better."""
        pairs = float((self.seen * _rename(self.expected, renaming)).sum())
        return pairs + float(self.clues[np.arange(len(renaming)), renaming].sum())


def climb(evidence: Evidence, start: Renaming, max_steps: int = 1000) -> Renaming:
    """A renaming that no exchange of two meanings improves, from a first guess: int64 [256].

    In a step all exchanges are weighed at once; the best is made, with every other that promises at least half as much
    and shares no value with a better one, as long as they help together.

    Args:
        evidence: what is seen and expected.
        start: int64 [256], a bijection.
        max_steps: after so many it ends where it is.
    """
    renaming = start.copy()
    value = evidence.agreement(renaming)
    for _ in range(max_steps):
        exchanges = _disjoint(_exchange_gains(evidence, renaming))
        while exchanges:
            trial = renaming.copy()
            for a, b in exchanges:
                trial[a], trial[b] = trial[b], trial[a]
            trial_value = evidence.agreement(trial)
            if trial_value > value:
                break
            exchanges = exchanges[: len(exchanges) // 2]
        else:
            return renaming
        renaming, value = trial, trial_value
    return renaming


def settle(evidence: Evidence, start: Renaming, rounds: int = 8) -> Renaming:
    """A better first guess for `climb`: all values are paired anew, each as its neighbours' present meanings suggest.

    Moves whole runs of values at once where `climb` would need every exchange on the way to help. Ends with the best
    renaming on its path.

    Args:
        evidence: what is seen and expected.
        start: int64 [256], a bijection.
        rounds: of pairing, at most.
    """
    best = renaming = start
    best_value = evidence.agreement(start)
    for _ in range(rounds):
        # fit[i, v]: how well value i would do as v if all the others meant what they do now
        fit = evidence.clues.copy()
        for seen, expected in zip(evidence.seen, evidence.expected, strict=True):
            fit += 2 * seen @ expected[:, renaming].T
        again = assign(-fit)
        if (again == renaming).all():
            break
        renaming = again
        value = evidence.agreement(renaming)
        if value > best_value:
            best, best_value = renaming, value
    return best


def _rename(expected: Tables, renaming: Renaming) -> Tables:
    renamed: Tables = expected[:, renaming[:, None], renaming[None, :]]
    return renamed


def _exchange_gains(evidence: Evidence, renaming: Renaming) -> Tables:
    """What the agreement gains if i and j exchange meanings, for all i, j: float64 [256, 256], exact."""
    clues = evidence.clues[:, renaming]
    gains = clues + clues.T - clues.diagonal()[:, None] - clues.diagonal()[None, :]
    for s, k in zip(evidence.seen, _rename(evidence.expected, renaming), strict=True):
        product = s @ k
        own = product.diagonal()
        s_own, k_own = s.diagonal(), k.diagonal()
        gains += 2 * (product + product.T - own[:, None] - own[None, :])
        # The sums above take the two values themselves for bystanders.
        gains -= 2 * ((s_own[:, None] - s) * (k - k_own[:, None]) + (s - s_own[None, :]) * (k_own[None, :] - k))
        gains += (s_own[:, None] - s_own[None, :]) * (k_own[None, :] - k_own[:, None])
    return gains


def _disjoint(gains: Tables, most: int = 64) -> list[tuple[int, int]]:
    """The best exchanges, the best first, no value in two of them; empty if none gains."""
    upper = np.triu(gains, 1)
    largest = float(upper.max())
    if largest <= 1e-9 * max(1.0, float(np.abs(upper).max())):
        return []
    rows, columns = np.nonzero(upper >= largest / 2)
    chosen: list[tuple[int, int]] = []
    used: set[int] = set()
    for index in np.argsort(-upper[rows, columns], kind="stable")[: 8 * most]:
        a, b = int(rows[index]), int(columns[index])
        if a not in used and b not in used:
            chosen.append((a, b))
            used |= {a, b}
    return chosen[:most]
