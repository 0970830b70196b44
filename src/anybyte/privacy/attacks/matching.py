"""Matching two tables of relations by renaming the values of one: what bigrams give away.

The pairs of values in permuted files, S [R, 256, 256], are those of the plain files with their rows and columns
renamed. If public files of the same kind show pairs with log-probabilities K, the likelihood of a renaming p is
sum over r, i, j of S[r, i, j] K[r, p(i), p(j)]. The renaming that makes it largest is looked for by exchanging the
meanings of two values as long as that helps: a quadratic assignment problem, solved locally.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybyte.privacy.attacks.assignment import assign

Tables = NDArray[np.float64]
Renaming = NDArray[np.int64]


def agreement(seen: Tables, expected: Tables, renaming: Renaming) -> float:
    """Sum over relations r and values i, j of seen[r, i, j] * expected[r, renaming[i], renaming[j]]."""
    return float((seen * _rename(expected, renaming)).sum())


def climb(
    seen: Tables, expected: Tables, start: Renaming, fixed: NDArray[np.bool_] | None = None, max_steps: int = 3000
) -> Renaming:
    """A renaming that no exchange of two meanings improves, from a first guess: int64 [256].

    In a step all exchanges are weighed at once; the best is made, with every other that promises at least half as much
    and shares no value with a better one, as long as they help together.

    Args:
        seen: float64 [R, 256, 256], symmetric in the last two.
        expected: of the same kind.
        start: int64 [256], a bijection.
        fixed: bool [256]: values whose meaning is known and stays.
        max_steps: after so many it ends where it is.
    """
    renaming = start.copy()
    free = np.ones(len(start), dtype=bool) if fixed is None else ~fixed
    value = agreement(seen, expected, renaming)
    for _ in range(max_steps):
        gains = _exchange_gains(seen, _rename(expected, renaming))
        gains[~free] = gains[:, ~free] = -np.inf
        exchanges = _disjoint(gains)
        while exchanges:
            trial = renaming.copy()
            for a, b in exchanges:
                trial[a], trial[b] = trial[b], trial[a]
            trial_value = agreement(seen, expected, trial)
            if trial_value > value:
                break
            exchanges = exchanges[: len(exchanges) // 2]
        else:
            return renaming
        renaming, value = trial, trial_value
    return renaming


def settle(
    seen: Tables, expected: Tables, start: Renaming, known: dict[int, int] | None = None, rounds: int = 30
) -> Renaming:
    """A better first guess for `climb`: all values are paired anew, each as its neighbours' present meanings suggest.

    Moves whole runs of values at once where `climb` would need every exchange on the way to help. Ends with the best
    renaming on its path.

    Args:
        seen: float64 [R, 256, 256], symmetric in the last two.
        expected: of the same kind.
        start: int64 [256], a bijection that agrees with what is known.
        known: meanings that are certain, by value.
        rounds: of pairing, at most.
    """
    best = renaming = start
    best_value = agreement(seen, expected, start)
    for _ in range(rounds):
        # fit[i, v]: how well value i would do as v if all the others meant what they do now
        fit = np.einsum("rij,rvj->iv", seen, expected[:, :, renaming], optimize=True)
        for value, meaning in (known or {}).items():
            fit[value] = fit[:, meaning] = fit.min() - 1 - np.abs(fit).max()
            fit[value, meaning] = fit.max() + 1
        again = assign(-fit)
        if (again == renaming).all():
            break
        renaming = again
        value = agreement(seen, expected, renaming)
        if value > best_value:
            best, best_value = renaming, value
    return best


def _rename(expected: Tables, renaming: Renaming) -> Tables:
    return expected[:, renaming[:, None], renaming[None, :]]


def _exchange_gains(seen: Tables, expected: Tables) -> NDArray[np.float64]:
    """What the agreement gains if i and j exchange meanings, for all i, j: float64 [256, 256], exact."""
    size = seen.shape[1]
    gains = np.zeros((size, size))
    for s, k in zip(seen, expected, strict=True):
        product = s @ k
        own = product.diagonal()
        s_own, k_own = s.diagonal(), k.diagonal()
        gains += 2 * (product + product.T - own[:, None] - own[None, :])
        # The sums above take the two values themselves for bystanders.
        gains -= 2 * ((s_own[:, None] - s) * (k - k_own[:, None]) + (s - s_own[None, :]) * (k_own[None, :] - k))
        gains += (s_own[:, None] - s_own[None, :]) * (k_own[None, :] - k_own[:, None])
    return gains


def _disjoint(gains: NDArray[np.float64], most: int = 64) -> list[tuple[int, int]]:
    """The best exchanges, the best first, no value in two of them; empty if none gains."""
    upper = np.triu(gains, 1)
    upper[np.isneginf(upper)] = 0
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
