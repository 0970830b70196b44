"""What every converter checks: that a foreign configuration is complete and that its tensors fill a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from anybyte.models.pretrained import misfits


def required(given: Mapping[str, Any], name: str) -> Any:
    """A value of a foreign configuration; ValueError names it if it is not there."""
    if name not in given:
        raise ValueError(f"the original's configuration lacks {name}")
    return given[name]


def check_fit(model: nn.Module, converted: Mapping[str, Tensor]) -> None:
    """Raises ValueError that names tensors which are missing, left over or of another shape."""
    problems = misfits(model, converted)
    if problems:
        raise ValueError("the checkpoint does not fit its configuration: it " + "; ".join(problems[:5]))
