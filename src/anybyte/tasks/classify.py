"""Telling files apart: which class does each belong to?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import Batch, make_batch
from anybyte.tasks import Sample


class MixedLabel(NamedTuple):
    """The label of a file that two files were mixed into.

    Attributes:
        first, second: their classes.
        weight: share of the first one, in [0, 1].
    """

    first: int
    second: int
    weight: float


class MixedLabels(NamedTuple):
    """The labels of a batch with mixed files: int64 [files] twice, and float32 [files] weights of the first ones."""

    first: Tensor
    second: Tensor
    weight: Tensor


class Classify:
    """Classification of whole files by cross-entropy; a `Task`.

    Args:
        labels: names of the classes, in the order of the model's logits.
        label_smoothing: share of the target probability that is spread evenly over all classes, in training only.
    """

    def __init__(self, labels: Sequence[str], label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self.labels = tuple(labels)
        self.label_smoothing = label_smoothing

    def collate(self, samples: Sequence[Sample]) -> tuple[Batch, Tensor | MixedLabels]:
        """What the reading gives of the files, and int64 [files] labels; of mixed files, as `MixedLabels`."""
        batch = make_batch([sample.data for sample in samples])
        labels = [sample.label for sample in samples]
        if not any(isinstance(label, MixedLabel) for label in labels):
            return batch, torch.tensor(labels, dtype=torch.int64)
        mixed = [label if isinstance(label, MixedLabel) else MixedLabel(label, label, 1.0) for label in labels]
        first, second = (
            torch.tensor(column, dtype=torch.int64) for column in zip(*(m[:2] for m in mixed), strict=True)
        )
        return batch, MixedLabels(first, second, torch.tensor([m.weight for m in mixed], dtype=torch.float32))

    def loss(self, model: nn.Module, batch: Batch, labels: Tensor | MixedLabels) -> tuple[Tensor, int]:
        """Smoothed cross-entropy in nats, summed over the files, and the number of files.

        That of a mixed file is the weighted sum of those with either label: cross-entropy with a soft label.
        """
        logits = model(batch).float()
        if isinstance(labels, Tensor):
            return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=self.label_smoothing), len(labels)
        first, second = (
            F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.label_smoothing)
            for targets in (labels.first, labels.second)
        )
        return (labels.weight * first + (1 - labels.weight) * second).sum(), len(logits)

    def measure(self, model: nn.Module, batch: Batch, labels: Tensor) -> dict[str, float]:
        """Counts of files, of right answers, of right answers among the first five, and the loss without smoothing."""
        logits = model(batch).float().detach()
        # Right among n: fewer than n classes come before the right one. Of equal logits the lower index does, as in
        # argmax. Nothing compares with a NaN, which must not count as coming first.
        right = logits.gather(1, labels[:, None])
        before = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
        rank = ((logits > right) | ((logits == right) & before)).sum(1)
        valid = ~logits.isnan().any(1)
        return {
            "files": float(len(labels)),
            "loss": float(F.cross_entropy(logits, labels, reduction="sum")),
            "right": float(((rank < 1) & valid).sum()),
            "right_of_5": float(((rank < 5) & valid).sum()),
        }

    def summarise(self, sums: dict[str, float]) -> dict[str, float]:
        """`accuracy` (top 1), `top5` (only with more than five classes) and `loss` (nats a file)."""
        files = sums["files"]
        metrics = {"accuracy": sums["right"] / files, "loss": sums["loss"] / files}
        return metrics | {"top5": sums["right_of_5"] / files} if len(self.labels) > 5 else metrics

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Accuracy first; of equal accuracies the lower loss is better."""
        return metrics["accuracy"], -metrics["loss"]
