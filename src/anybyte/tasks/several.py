"""Files that may belong to several classes at once, as the clips of AudioSet do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import Batch
from anybyte.files.listing import sort_classes
from anybyte.tasks import Sums
from anybyte.tasks.classify import Classify, MixedLabels

SEPARATOR = ";"
"""Between the classes of a file, where nothing else is said."""


def split_label(label: str, separator: str = SEPARATOR) -> tuple[str, ...]:
    """The classes that a label names: `dog;rain` is two."""
    return tuple(dict.fromkeys(word for part in label.split(separator) if (word := part.strip())))


def classes_of(labels: Sequence[str], separator: str = SEPARATOR) -> tuple[str, ...]:
    """All classes that some labels name, in order."""
    return sort_classes(name for label in labels for name in split_label(label, separator))


def members(labels: Sequence[str], classes: Sequence[str], separator: str = SEPARATOR) -> NDArray[np.float32]:
    """Which classes each label names: float32 [labels, classes] of 0 and 1.

    Raises:
        ValueError: a label names a class that is not among `classes`.
    """
    place = {name: index for index, name in enumerate(classes)}
    found = np.zeros((len(labels), len(classes)), np.float32)
    for row, label in zip(found, labels, strict=True):
        for name in split_label(label, separator):
            if name not in place:
                raise ValueError(f"the data has a class that the model does not know: {name!r}")
            row[place[name]] = 1
    return found


def mean_average_precision(scores: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """The mean over classes of the area under precision and recall; AudioSet's metric.

    Each class counts the same; those that no file belongs to are left out. Files of equal scores are found together.

    Args:
        scores: [files, classes], larger where a class is likelier.
        truth: [files, classes] of 0 and 1.
    """
    found = [_average_precision(s, t > 0) for s, t in zip(scores.T, truth.T, strict=True) if t.any()]
    return float(np.mean(found)) if found else 0.0


def _average_precision(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """The sum over the thresholds of precision, weighted by how much recall it adds."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order].cumsum()
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    precision = hits[last] / (last + 1)
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


class ClassifySeveral(Classify):
    """Classification by sigmoid cross-entropy, a `Task`: each class is a question of its own.

    Labels are those of the data, each of which may name several classes. The label of a file that two were mixed into
    is the weighted sum of theirs.

    Args:
        labels: those of the data, in order.
        classes: names of the classes, in the order of the model's logits.
        separator: between the classes of a label.
    """

    def __init__(self, labels: Sequence[str], classes: Sequence[str], separator: str = SEPARATOR) -> None:
        super().__init__(classes)
        self.members = torch.from_numpy(members(labels, classes, separator))

    def loss(self, model: nn.Module, batch: Batch, labels: Tensor | MixedLabels) -> tuple[Tensor, int]:
        """Cross-entropy in nats, summed over classes and files, and the number of files."""
        logits = model(batch).float()
        targets = self._targets(labels).to(logits.device)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum"), len(logits)

    def measure(self, model: nn.Module, batch: Batch, labels: Tensor) -> Sums:
        """The number of files, their summed loss, and for the precision all logits and all labels."""
        logits = model(batch).float().detach()
        targets = self._targets(labels).to(logits.device)
        return {
            "files": float(len(logits)),
            "loss": float(F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")),
            "logits": logits.tolist(),
            "labels": labels.tolist(),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """`map` (mean average precision over the classes that occur) and `loss` (nats a file)."""
        logits = np.asarray(sums["logits"], np.float32)
        truth = self.members[torch.tensor(sums["labels"], dtype=torch.int64)].numpy()
        return {"map": mean_average_precision(logits, truth), "loss": sums["loss"] / sums["files"]}

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Precision first; of equal ones the lower loss is better."""
        return metrics["map"], -metrics["loss"]

    def _targets(self, labels: Tensor | MixedLabels) -> Tensor:
        """float32 [files, classes]."""
        if isinstance(labels, Tensor):
            return self.members[labels.cpu()]
        first, second = self.members[labels.first.cpu()], self.members[labels.second.cpu()]
        weight = labels.weight.cpu()[:, None]
        return weight * first + (1 - weight) * second
