"""What converters share: a foreign configuration has to be complete, and its tensors have to fill a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anybyte.config import PerceiverConfig
from anybyte.models.perceiver import Perceiver
from anybyte.models.pretrained import misfits

_NAMED = 3
"""Problems that a message names; the others are counted."""


def required(given: Mapping[str, Any], name: str) -> Any:
    """A value of a foreign configuration; ValueError names it if it is not there."""
    if name not in given:
        raise ValueError(f"the original's configuration lacks {name}")
    return given[name]


def check_fit(
    model: nn.Module,
    converted: Mapping[str, Tensor],
    unknown: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> None:
    """Raises ValueError that names tensors which are missing, left over or of another shape.

    Args:
        unknown: foreign names that are no tensor of such a model, whatever its configuration.
        names: our names of tensors -> the foreign ones, for messages that a reader can look up.
    """
    problems = [f"has unknown {name}" for name in unknown] + misfits(model, converted)
    if not problems:
        return
    for ours, theirs in (names or {}).items():
        if theirs != ours:
            problems = [problem.replace(f" {ours} of shape", f" {theirs} ({ours}) of shape") for problem in problems]
            problems = [
                f"has unknown {theirs}" if problem == f"has unknown {ours}" else problem for problem in problems
            ]
    more = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
    raise ValueError(f"the checkpoint does not fit its configuration: it {'; '.join(problems[:_NAMED])}{more}")


def filled(
    config: PerceiverConfig, converted: Mapping[str, Tensor], unknown: Sequence[str], names: Mapping[str, str]
) -> Perceiver:
    """A Perceiver with these tensors, in evaluation mode; it is given no random weights first, which cost seconds.

    Raises:
        ValueError: the tensors do not fit; see `check_fit`.
    """
    with torch.device("meta"):
        model = Perceiver(config)
    check_fit(model, converted, unknown, names)
    model.to_empty(device="cpu").load_state_dict(converted)
    return model.eval()
