"""The best one-to-one pairing of rows and columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row in the pairing of least total cost: int64 [n] for a cost [n, n].

    Successive shortest paths with potentials (Jonker and Volgenant 1987): n searches of n steps, each over a whole row.

    Raises:
        ValueError: the costs are not a square of finite numbers.
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or not np.isfinite(cost).all():
        raise ValueError(f"expected a square of finite costs, got shape {cost.shape}")
    size = len(cost)
    row_prices, column_prices = np.zeros(size), np.zeros(size)
    row_of = np.full(size, -1)
    for start in range(size):
        best, before = np.full(size, np.inf), np.full(size, -1)
        done = np.zeros(size, dtype=bool)
        reached, row, column = 0.0, start, -1
        path = []
        while row >= 0:
            if column >= 0:
                done[column] = True
                path.append((column, row, reached))
            lengths = reached + cost[row] - row_prices[row] - column_prices
            shorter = ~done & (lengths < best)
            best[shorter], before[shorter] = lengths[shorter], column
            column = int(np.where(done, np.inf, best).argmin())
            reached, row = float(best[column]), int(row_of[column])
        row_prices[start] += reached
        for passed, owner, distance in path:
            row_prices[owner] += reached - distance
            column_prices[passed] -= reached - distance
        while column >= 0:
            previous = int(before[column])
            row_of[column] = start if previous < 0 else row_of[previous]
            column = previous
    columns = np.empty(size, dtype=np.int64)
    columns[row_of] = np.arange(size)
    return columns
