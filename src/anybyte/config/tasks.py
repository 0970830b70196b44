"""Settings of tasks: what a model is trained for. One dataclass a task, told apart by `kind`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LossKind = Literal["cross_entropy", "binary_cross_entropy", "l1", "mse"]


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Which class does a file belong to? Classes are those of the data; smoothing is `optim.label_smoothing`."""

    kind: Literal["classify"] = field(default="classify", init=False)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How one output of a model is trained."""

    output: str
    """Its name."""
    loss: LossKind
    weight: float = 1.0
    """Its share in the sum over all outputs; each output counts as the mean over what it answers."""
    label_smoothing: float = 0.0
    """Cross-entropy: share of the target that is spread evenly over all classes, in training only."""
    target: str | None = None
    """Name of the input that this output should answer with, a reconstruction. None: an array of the output's name."""
    labels: tuple[str, ...] = ()
    """Cross-entropy: names of the classes, if they have any."""
    peak: float = 1.0
    """l1 and mse: the largest difference of two values, to which PSNR is relative."""
    rows: int | None = None
    """Answer this many places in training, drawn anew for each example, instead of all. None: all."""


@dataclass(frozen=True, kw_only=True)
class DeclaredConfig:
    """Any arrays to any arrays: what a schema declares (docs/schemas.md)."""

    kind: Literal["declared"] = field(default="declared", init=False)
    losses: tuple[LossConfig, ...] = ()
    """One for each output that is trained."""


TaskConfig = ClassifyConfig | DeclaredConfig
