"""How well answers agree with labels: the metrics that GLUE's tasks are ranked by (Wang et al. 2019, section 3).

All take two arrays [examples]. Where a metric is not defined, because the answers do not differ, it is 0: such answers
tell nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def accuracy(answers: Values, labels: Values) -> float:
    """The share of right answers."""
    return float(np.mean(answers == labels))


def f1(answers: Values, labels: Values) -> float:
    """The harmonic mean of precision and recall of class 1."""
    found, wanted = answers == 1, labels == 1
    return _ratio(2 * float(np.sum(found & wanted)), float(found.sum() + wanted.sum()))


def matthews(answers: Values, labels: Values) -> float:
    """Matthews' correlation of two classes: Pearson's, of 0 and 1."""
    return pearson(answers, labels)


def pearson(answers: Values, labels: Values) -> float:
    """The linear correlation."""
    if np.ptp(answers) == 0 or np.ptp(labels) == 0:
        return 0.0
    first, second = (values - values.mean() for values in (answers.astype(np.float64), labels.astype(np.float64)))
    return _ratio(float(first @ second), float(np.sqrt((first @ first) * (second @ second))))


def spearman(answers: Values, labels: Values) -> float:
    """The linear correlation of ranks; equal values share the mean of theirs."""
    return pearson(_ranks(answers), _ranks(labels))


def _ranks(values: Values) -> Values:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: Values = (last - (count - 1) / 2)[place]
    return ranks


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
