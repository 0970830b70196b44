"""Scores from gradients: integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) and gradient x embedding.

Both are taken with regard to the embedded bytes, by captum, at the tokens of the stem: these are linear in the embedded
bytes, so that dealing a token's score out by the stem's own table gives the same numbers (`target.py`).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from anybyte.explain.target import Target

MAX_TOKENS = 2**15
"""Tokens of the stem beyond which a gradient would need more memory than most machines have."""


def gradient_times_embedding(target: Target) -> Float[Tensor, "bytes"]:
    """Each embedded byte times the gradient of the logit with regard to it: the first order of removing it, float64."""
    _check(target)
    tokens = target.tokens()[None].requires_grad_()
    gradient = _captum("Saliency")(target.logits).attribute(tokens, abs=False)
    return target.to_bytes(gradient[0])


def integrated_gradients(
    target: Target, tolerance: float = 0.01, start: int = 32, most: int = 1024
) -> tuple[Float[Tensor, "bytes"], float, float, int]:
    """Gradients averaged along the straight way from padding alone to the embedded bytes, times the embedded bytes.

    The scores add up to the logit minus that of padding, but for the error of the sum that stands for the integral. The
    number of steps is doubled until that error is below the tolerance.

    Args:
        target: what is explained.
        tolerance: the error as a share of the difference of the logits.
        start, most: steps to begin with, and to end with at the latest.

    Returns:
        Scores (float64), the logit of padding, the error as a share of the difference, and the steps it took.

    Raises:
        ValueError: a setting makes no sense, or the file is too long for gradients.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}, expected a share above 0")
    if not 1 <= start <= most:
        raise ValueError(f"steps go from {start} to {most}: expected 1 or more, and no fewer at the end")
    _check(target)
    tokens = target.tokens()[None]
    nothing = torch.zeros_like(tokens)
    with torch.no_grad():
        logit, baseline = target.logits(torch.cat([tokens, nothing])).double().tolist()
    # What is dealt out to bytes is the mean gradient alone: the table multiplies it by each byte's own part.
    method = _captum("IntegratedGradients")(target.logits, multiply_by_inputs=False)
    steps = start
    while True:
        found = method.attribute(
            tokens, nothing, n_steps=steps, method="gausslegendre", internal_batch_size=target.copies
        )
        scores = target.to_bytes(found[0])
        error = abs(float(scores.sum()) - (logit - baseline)) / max(abs(logit - baseline), 1e-12)
        if error <= tolerance or 2 * steps > most:
            return scores, baseline, error, steps
        steps *= 2


def _check(target: Target) -> None:
    if target.num_tokens > MAX_TOKENS:
        raise ValueError(
            f"{target.length:,} bytes are {target.num_tokens:,} tokens, and gradients are for {MAX_TOKENS:,} at most: "
            "use the method occlusion, which needs none"
        )


def _captum(name: str) -> Any:
    """One of captum's methods.

    Raises:
        ModuleNotFoundError: captum is not installed; the message says how it would be.
    """
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "gradients of bytes need captum: pip install 'anybyte[explain]' (occlusion and attention do without)"
        ) from error
    return getattr(captum.attr, name)
