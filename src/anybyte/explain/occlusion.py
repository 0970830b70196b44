"""Scores from taking bytes away: what the logit loses when a stretch of the file can no longer be read."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from anybyte.batch import PADDING
from anybyte.explain.target import Target

_STRETCHES = 256
"""Of a file, about, unless a size is given."""
_LINE = 16
"""Bytes of a stretch at least, unless a size is given: a line of a hex dump."""


def occlusion(target: Target, size: int | None = None, fill: int = PADDING) -> Float[Tensor, "bytes"]:
    """What hiding each stretch of bytes takes off the logit, dealt out evenly over its bytes, float64.

    Stretches overlap by half, and a byte has the mean of those that hold it. A stretch that is hidden is read as
    padding, which is embedded as zero, or as one byte repeated.

    Args:
        target: what is explained.
        size: bytes of a stretch. None: a 256th of the file, and no less than 16.
        fill: the byte (0 to 255) to put in their place; 256 is padding.

    Raises:
        ValueError: the size is not positive, or the fill is no byte.
    """
    if size is None:
        size = max(_LINE, math.ceil(target.length / _STRETCHES))
    if size < 1:
        raise ValueError(f"size is {size}, expected at least 1 byte")
    if not 0 <= fill <= PADDING:
        raise ValueError(f"fill is {fill}, expected a byte from 0 to 255, or {PADDING} for padding")
    step = max(1, size // 2)
    starts = list(range(0, max(1, target.length - size + step), step))
    total = torch.zeros(target.length, dtype=torch.float64)
    times = torch.zeros(target.length, dtype=torch.float64)
    with torch.no_grad():
        whole = float(target.logits(target.tokens()[None]))
        for first in range(0, len(starts), target.copies):
            batch = starts[first : first + target.copies]
            hidden = torch.zeros(len(batch), target.length, dtype=torch.bool)
            for row, begin in zip(hidden, batch, strict=True):
                row[begin : begin + size] = True
            logits = target.logits(target.replaced(hidden, fill)).double().cpu()
            for begin, logit in zip(batch, logits.tolist(), strict=True):
                end = min(begin + size, target.length)
                total[begin:end] += (whole - logit) / (end - begin)
                times[begin:end] += 1
    return total / times
