"""Telling files apart: which class does each belong to?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.tasks import Sample


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

    def collate(self, samples: Sequence[Sample]) -> tuple[ByteBatch, Tensor]:
        """The files' bytes, and int64 [files] labels."""
        batch = ByteBatch.from_bytes([sample.data for sample in samples])
        return batch, torch.tensor([sample.label for sample in samples], dtype=torch.int64)

    def loss(self, model: nn.Module, batch: ByteBatch, labels: Tensor) -> tuple[Tensor, int]:
        """Smoothed cross-entropy in nats, summed over the files, and the number of files."""
        logits = model(batch).float()
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=self.label_smoothing), len(batch)

    def measure(self, model: nn.Module, batch: ByteBatch, labels: Tensor) -> dict[str, float]:
        """Counts of files, of right answers, of right answers among the first five, and the loss without smoothing."""
        logits = model(batch).float().detach()
        # Right among n: fewer than n classes come before the right one. Of equal logits the lower index does, as in
        # argmax. Nothing compares with a NaN, which must not count as coming first.
        right = logits.gather(1, labels[:, None])
        before = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
        rank = ((logits > right) | ((logits == right) & before)).sum(1)
        valid = ~logits.isnan().any(1)
        return {
            "files": float(len(batch)),
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
