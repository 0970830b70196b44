"""From logits and true classes to the numbers of a report. What torchmetrics has, torchmetrics counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

NUM_BINS = 15
"""Of the expected calibration error, equally wide, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How one class fares. A ratio with nothing to divide by counts as 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Files of this class."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The files whose best probability is in (lower, upper]."""

    lower: float
    upper: float
    files: int
    confidence: float
    """Mean of their best probabilities; 0 without files, as is the accuracy."""
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The quality of answers to some labelled files."""

    labels: tuple[str, ...]
    files: int
    top1: float
    """Share of files whose class is given the highest score."""
    top5: float
    """Share of files whose class is among the five highest scores: 1 if there are no more than five classes."""
    loss: float
    """Mean cross-entropy, in nats."""
    ece: float
    """Expected calibration error over 15 bins: the mean distance of confidence from accuracy."""
    macro_f1: float
    """Mean F1 of the classes that occur among the files."""
    classes: tuple[ClassScores, ...]
    bins: tuple[Bin, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[true class][answered class], in files."""

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes that no file belongs to."""
        return tuple(scores.label for scores in self.classes if scores.support == 0)


def score(logits: Float[Tensor, "files classes"], targets: Int[Tensor, "files"], labels: Sequence[str]) -> Scores:
    """The scores of a model's logits against the files' true classes.

    Raises:
        ValueError: no files, or fewer than two classes.
    """
    files, num_classes = logits.shape
    if not files:
        raise ValueError("there are no files to evaluate")
    if num_classes < 2:
        raise ValueError(f"the model knows only one class ({', '.join(labels)}): every answer is right")
    from torchmetrics.functional import classification as tm  # three seconds of imports that `--help` need not wait for

    logits = logits.double().cpu()
    targets = targets.cpu()
    probabilities = logits.softmax(dim=1)
    confidence, answers = probabilities.max(dim=1)
    classes = _score_classes(answers, targets, labels)
    occurring = [scores.f1 for scores in classes if scores.support]
    confusion = tm.multiclass_confusion_matrix(answers, targets, num_classes)
    return Scores(
        labels=tuple(labels),
        files=files,
        top1=float((answers == targets).double().mean()),
        top5=float(tm.multiclass_accuracy(probabilities, targets, num_classes, "micro", min(5, num_classes))),
        loss=float(F.cross_entropy(logits, targets)),
        ece=float(tm.multiclass_calibration_error(probabilities, targets, num_classes, NUM_BINS)),
        macro_f1=sum(occurring) / len(occurring),
        classes=classes,
        bins=_fill_bins(confidence, answers == targets),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _score_classes(
    answers: Int[Tensor, "files"], targets: Int[Tensor, "files"], labels: Sequence[str]
) -> tuple[ClassScores, ...]:
    from torchmetrics.functional import classification as tm

    metrics = (tm.multiclass_precision, tm.multiclass_recall, tm.multiclass_f1_score)
    columns = [metric(answers, targets, len(labels), average=None).tolist() for metric in metrics]
    support = torch.bincount(targets, minlength=len(labels)).tolist()
    return tuple(
        ClassScores(label=label, precision=precision, recall=recall, f1=f1, support=count)
        for label, precision, recall, f1, count in zip(labels, *columns, support, strict=True)
    )


def _fill_bins(confidence: Float[Tensor, "files"], right: Tensor) -> tuple[Bin, ...]:
    """The reliability diagram. torchmetrics keeps its own to itself; a test holds this one to its calibration error."""
    edges = torch.linspace(0, 1, NUM_BINS + 1, dtype=confidence.dtype)
    places = torch.bucketize(confidence, edges).sub(1).clamp(0, NUM_BINS - 1)
    bins = []
    for number in range(NUM_BINS):
        inside = places == number
        files = int(inside.sum())
        bins.append(
            Bin(
                lower=float(edges[number]),
                upper=float(edges[number + 1]),
                files=files,
                confidence=float(confidence[inside].mean()) if files else 0.0,
                accuracy=float(right[inside].double().mean()) if files else 0.0,
            )
        )
    return tuple(bins)
