"""Whether scores are right: what becomes of the answer as bytes are deleted, or inserted, in their order (Petsiuk et
al. 2018, arXiv 1806.07421).

Where scores find what matters, deleting the bytes with the highest ones soon destroys the answer, and inserting them
into a file of which nothing else can be read soon makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray

from anybyte.batch import PADDING
from anybyte.explain.result import stretch_sums
from anybyte.explain.target import Target

SHARES = (0, 1, 2, 4, 7, 11, 16, 24, 34, 47, 62, 80, 100)
"""Percent of a file at which the answer is looked at: densely where good scores change it most."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The probability of a label along a way.

    Attributes:
        shares: of the file's bytes that have been replaced (deletion) or are there (insertion), from 0 to 1.
        probabilities: of the label.
    """

    shares: Float[np.ndarray, "points"]
    probabilities: Float[np.ndarray, "points"]

    @property
    def area(self) -> float:
        """Under the curve: the mean probability along the way."""
        return float(np.trapezoid(self.probabilities, self.shares))


def curves(
    target: Target,
    order: Int64[np.ndarray, "bytes"],
    *,
    percent: Sequence[float] = SHARES,
    other: UInt8[np.ndarray, "bytes"] | None = None,
) -> tuple[Curve, Curve]:
    """The curves of deletion and of insertion.

    Args:
        target: the class whose probability is followed, and the file (`make_target`).
        order: the bytes' offsets, those that matter most first (`order_of`).
        percent: of the file, at which the answer is looked at, from 0 to 100.
        other: what stands at a place that is deleted, or not inserted yet. None: padding, which is embedded as zero.

    Raises:
        ValueError: order, percent or other do not fit the file.
    """
    if sorted(order.tolist()) != list(range(target.length)):
        raise ValueError(f"the order must name each of the {target.length} bytes once")
    if len(percent) < 2 or list(percent) != sorted(percent) or percent[0] != 0 or percent[-1] != 100:
        raise ValueError(f"percent is {list(percent)}, expected numbers that rise from 0 to 100")
    if other is not None and len(other) != target.length:
        raise ValueError(f"{len(other)} other bytes for a file of {target.length}")
    edges = (np.asarray(percent) / 100 * target.length).round().astype(np.int64)
    rank = np.empty(target.length, dtype=np.int64)
    rank[order] = np.arange(target.length)
    deleted = rank < edges[:, None]
    shares = edges / target.length
    fill = PADDING if other is None else torch.from_numpy(np.array(other, dtype=np.uint8))
    both = [Curve(shares, probabilities(target, torch.from_numpy(hidden), fill)) for hidden in (deleted, ~deleted)]
    return both[0], both[1]


def order_of(scores: Float[np.ndarray, "bytes"], size: int = 1) -> Int64[np.ndarray, "bytes"]:
    """Offsets by their scores, highest first; of equal ones the first.

    Args:
        scores: one a byte.
        size: bytes of the stretches that stay together, ordered by their mean score.
    """
    if size > 1:
        sums = stretch_sums(scores, size)
        lengths = np.minimum(size, len(scores) - np.arange(len(sums)) * size)
        scores = (sums / lengths).repeat(lengths)
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    return order


def probabilities(target: Target, hidden: torch.Tensor, fill: int | torch.Tensor) -> NDArray[np.float64]:
    """Of the target's class for each of some versions of its file, of which some bytes are hidden."""
    several = getattr(target.model, "has_several", False)
    found = []
    with torch.no_grad():
        for rows in hidden.split(target.copies):
            logits = target.all_logits(target.replaced(rows, fill)).double()
            probabilities = logits.sigmoid() if several else logits.softmax(dim=1)
            found.append(probabilities[:, target.index].cpu().numpy())
    return np.concatenate(found)
