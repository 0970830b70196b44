"""Models that say which of several classes are in a file, on labelled files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from anybyte.evaluate.runner import Transform, answer_all
from anybyte.files.sources import Source
from anybyte.models.quantize import Precision
from anybyte.tasks.several import SEPARATOR, mean_average_precision, members


@dataclass(frozen=True, kw_only=True)
class SeveralScores:
    """How good answers of several classes a file are."""

    files: int
    map: float
    """Mean average precision over the classes that some file belongs to."""
    classes: tuple[tuple[str, float, int], ...]
    """Name, average precision and files of each of these classes."""
    loss: float
    """Sigmoid cross-entropy in nats, summed over classes: the mean of the files."""
    skipped: tuple[tuple[str, str], ...]
    """Files that could not be read, and why."""


def evaluate_several(
    model: nn.Module,
    source: Source,
    classes: Sequence[str],
    transform: Transform | None = None,
    separator: str = SEPARATOR,
    *,
    precision: Precision = "fp32",
    on_error: Literal["fail", "skip"] = "fail",
    on_progress: Callable[[int], None] | None = None,
) -> SeveralScores:
    """The model's scores on every file of a source.

    Args:
        model: it is left in the mode it was in.
        source: files whose labels name their classes (`tasks.several`).
        classes: the model's, by index.
        transform, precision, on_error, on_progress: as for `runner.evaluate`.
        separator: between the classes of a label.

    Raises:
        ValueError: a label names a class that the model does not know, or as `runner.evaluate`.
    """
    truth = members(source.classes, classes, separator)
    for entry in source.entries:
        if entry.label < 0:
            raise ValueError(f"files without a class cannot be evaluated: {entry.name}")
    answers = answer_all(model, source, transform, precision=precision, on_error=on_error, on_progress=on_progress)
    targets = truth[[source.entries[index].label for index in answers.order]]
    logits = answers.logits.numpy()
    loss = F.binary_cross_entropy_with_logits(answers.logits, torch.from_numpy(targets), reduction="sum")
    each = tuple(
        (name, mean_average_precision(logits[:, [place]], targets[:, [place]]), int(targets[:, place].sum()))
        for place, name in enumerate(classes)
        if targets[:, place].any()
    )
    return SeveralScores(
        files=len(logits),
        map=float(np.mean([precision for _, precision, _ in each])) if each else 0.0,
        classes=each,
        loss=float(loss) / len(logits),
        skipped=answers.skipped,
    )
