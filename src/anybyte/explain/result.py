"""What an explanation is: a score for each byte that the model read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stretch:
    """Some bytes side by side.

    Attributes:
        start, end: offsets; the byte at `end` is not one of them.
        score: sum of their scores.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which bytes of a file speak for a label, and which against it.

    Attributes:
        scores: float32 [bytes]: above zero for the label, below zero against it; of attention never below zero.
        label: what is explained.
        logit: the model's logit of it.
        probability: what the model gives it, in [0, 1].
        method: how the scores were found, a name of `METHODS`.
        name: what to call the file.
        data: the bytes that the model read, one for each score.
        baseline: the logit of what the file is compared with, a file of which nothing can be read (all padding). None:
            the method has no such thing.
        completeness_error: by how much the scores miss `logit - baseline`, as a share of it. None: they are not meant
            to add up to it.
        altered: whether `data` is not the file as it is stored, but what the model's reading made of it (another
            format, another order, a permutation).
        settings: what the method was told, by name.
    """

    scores: Float32[np.ndarray, "bytes"]
    label: str
    logit: float
    probability: float
    method: str
    name: str
    data: bytes = field(repr=False)
    baseline: float | None = None
    completeness_error: float | None = None
    altered: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scores.dtype != np.float32 or self.scores.shape != (len(self.data),):
            raise ValueError(
                f"scores must be float32 [{len(self.data)}], one a byte, not {self.scores.dtype} "
                f"{list(self.scores.shape)}"
            )

    @property
    def length(self) -> int:
        """Bytes that the model read."""
        return len(self.data)

    def top_stretches(self, n: int = 5, size: int | None = None) -> list[Stretch]:
        """The `n` stretches of `size` bytes that say most, for or against the label, strongest first.

        Stretches begin at multiples of `size`; the last may be shorter. None: 16 bytes, a line of a hex dump.

        Raises:
            ValueError: n or size is not positive.
        """
        size = 16 if size is None else size
        for what, value in (("n", n), ("size", size)):
            if value < 1:
                raise ValueError(f"{what} is {value}, expected at least 1")
        sums = stretch_sums(self.scores, size)
        order = np.argsort(-np.abs(sums), kind="stable")[:n]
        starts = [int(index) * size for index in order]
        return [
            Stretch(start, min(start + size, self.length), float(sums[index]))
            for start, index in zip(starts, order, strict=True)
        ]

    def to_json(self, scores: bool = True) -> dict[str, Any]:
        """Everything but the bytes, as JSON can hold it; `scores` False leaves out what is as long as the file."""
        fields: dict[str, Any] = {
            "name": self.name,
            "bytes": self.length,
            "label": self.label,
            "probability": self.probability,
            "logit": self.logit,
            "baseline": self.baseline,
            "method": self.method,
            "settings": self.settings,
            "completeness_error": self.completeness_error,
            "altered": self.altered,
            "top_stretches": [vars(stretch) for stretch in self.top_stretches()] if self.length else [],
        }
        if scores:
            fields["scores"] = json.loads("[" + ",".join(f"{score:.6g}" for score in self.scores.tolist()) + "]")
        return fields


def stretch_sums(scores: Float32[np.ndarray, "bytes"], size: int) -> NDArray[np.float64]:
    """Sums of scores over stretches of `size` bytes, the last of which may be shorter."""
    return np.add.reduceat(scores.astype(np.float64), np.arange(0, len(scores), size))
