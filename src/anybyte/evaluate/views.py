"""What a classifier's answers to files mean, also where it looks at several stretches of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anybyte.batch import Batch


def logits_of(model: nn.Module, batch: Batch, views: int = 1) -> Tensor:
    """The model's logits of some files; of several views, those of their mean probabilities.

    Args:
        model: a classifier of files (`Pretrained`).
        batch: what it reads of them; several views stand along a second axis of each array (`Reading.in_use`).
        views: how many there are.

    Returns:
        [files, classes].
    """
    if views == 1:
        logits: Tensor = model(batch)
        return logits
    if isinstance(batch, dict):
        logits = model({name: array.flatten(0, 1) for name, array in batch.items()})
    else:
        assert isinstance(batch, Tensor)
        logits = model(batch.flatten(0, 1))
    each = logits.float().unflatten(0, (-1, views))
    if getattr(model, "has_several", False):
        return torch.logit(each.sigmoid().mean(1))
    mean: Tensor = each.log_softmax(-1).logsumexp(1) - math.log(views)
    return mean


def probabilities(model: nn.Module, logits: Tensor) -> Tensor:
    """What a classifier's logits [files, classes] mean: a softmax, or sigmoids if there may be several classes."""
    return logits.float().sigmoid() if getattr(model, "has_several", False) else logits.float().softmax(dim=-1)
