"""Windows over files of different lengths that lie end to end.

Attention in ByteFormer runs inside windows of w tokens, and every second block shifts them by s (paper, section 3).
Here a file is cut where the shifted windows begin: at 0, s, s + w, s + 2w, ... So there is nothing to roll and nothing
to wrap around, no window holds tokens of two files, and the tokens of a batch stay in one array [tokens, dim] without
padding.

Most windows are full: these go through attention as a dense batch without a mask. The few shorter ones, at the two
ends of a file, are padded to the longest of them and masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def on_the_host(function: Callable[P, R]) -> Callable[P, R]:
    """Marks what plans work from lengths, in NumPy: `torch.compile` leaves it alone, with all that it calls."""
    left_alone: Callable[P, R] = torch.compiler.disable(function)
    return left_alone


def directs(function: Callable[P, R]) -> Callable[P, R]:
    """Marks what only passes lengths and tensors on: `torch.compile` leaves it alone, not the blocks it calls."""
    left_alone: Callable[P, R] = torch.compiler.disable(function, recursive=False)
    return left_alone


Lengths = NDArray[np.int64]
"""int64 [n]: tokens of each file, or of each window, in order."""


@on_the_host
def cut_windows(counts: Lengths, window: int, shift: int) -> Lengths:
    """Lengths of the consecutive windows that cover all tokens of all files.

    Args:
        counts: tokens of each file, all positive.
        window: tokens in a full window.
        shift: where the second window of each file begins; only its remainder by `window` matters.
    """
    shift %= window
    lead = int(shift > 0)
    windows = lead + np.maximum(0, -(-(counts - shift) // window))
    file = np.repeat(np.arange(len(counts)), windows)
    number = np.arange(len(file)) - np.repeat(np.cumsum(windows) - windows, windows)
    start = (number - lead) * window + shift
    lengths: Lengths = np.minimum(counts[file], start + window) - np.maximum(start, 0)
    return lengths


def group_windows(lengths: Lengths, max_tokens: int) -> Iterator[tuple[int, int, Lengths]]:
    """Runs of whole windows of about `max_tokens` tokens: (first token, end token, lengths of its windows)."""
    ends = np.cumsum(lengths)
    first_window = first_token = 0
    while first_window < len(lengths):
        end_window = max(first_window + 1, int(np.searchsorted(ends, first_token + max_tokens, side="right")))
        end_token = int(ends[end_window - 1])
        yield first_token, end_token, lengths[first_window:end_window]
        first_window, first_token = end_window, end_token


@dataclass(frozen=True)
class WindowPlan:
    """Where the tokens of each window lie.

    `rows` lists token indices window by window: first the full windows, [num_full * window] of them, then the short
    ones, each padded to `short_length` by repeating its last token. `home` is its inverse: the place in `rows` of
    each token. Both are None when all windows are full, since then `rows` would count 0, 1, 2, ...
    """

    window: int
    num_full: int
    rows: Int64[Tensor, "slots"] | None
    home: Int64[Tensor, "tokens"] | None
    is_padding: Bool[Tensor, "slots 1"] | None
    short_keys: Bool[Tensor, "short 1 1 short_length"] | None
    """True where a short window has a token. None when all short windows have the same length."""
    short_length: int


@on_the_host
def plan_windows(lengths: Lengths, window: int, device: torch.device) -> WindowPlan:
    """The plan for windows of these lengths, its tensors on `device`."""
    full = lengths == window
    num_full = int(full.sum())
    if num_full == len(lengths):
        return WindowPlan(window, num_full, None, None, None, None, 0)
    starts = np.cumsum(lengths) - lengths
    short_lengths = lengths[~full]
    short_length = int(short_lengths.max())
    offsets = np.arange(short_length)
    full_rows = starts[full][:, None] + np.arange(window)
    short_rows = starts[~full][:, None] + np.minimum(offsets, short_lengths[:, None] - 1)
    present = offsets < short_lengths[:, None]
    rows = np.concatenate([full_rows.ravel(), short_rows.ravel()])
    real = np.concatenate([np.ones(full_rows.size, dtype=bool), present.ravel()])
    home = np.empty(int(lengths.sum()), dtype=np.int64)
    home[rows[real]] = np.flatnonzero(real)
    ragged = not present.all()
    return WindowPlan(
        window,
        num_full,
        torch.from_numpy(rows).to(device),
        torch.from_numpy(home).to(device),
        torch.from_numpy(~real[:, None]).to(device) if ragged else None,
        torch.from_numpy(present[:, None, None, :]).to(device) if ragged else None,
        short_length,
    )


class _Gather(torch.autograd.Function):
    """x[index] where each row of x is taken once, or again only at places whose gradient is zero or to be ignored.

    So the gradient is a gather by the inverse, not the scatter-add that autograd would do.
    """

    @staticmethod
    def forward(ctx, x, index, inverse, ignore):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(inverse, ignore)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        inverse, ignore = ctx.saved_tensors
        grad = grad.index_select(0, inverse)
        if ignore is not None:
            grad = grad.masked_fill(ignore, 0)
        return grad, None, None, None


def to_windows(x: Float[Tensor, "tokens channels"], plan: WindowPlan) -> Float[Tensor, "slots channels"]:
    """The rows of x window by window, as `plan.rows` lists them."""
    if plan.rows is None:
        return x
    gathered: Tensor = _Gather.apply(x, plan.rows, plan.home, None)  # type: ignore[no-untyped-call]
    return gathered


def from_windows(x: Float[Tensor, "slots channels"], plan: WindowPlan) -> Float[Tensor, "tokens channels"]:
    """The inverse of `to_windows`: padding dropped, tokens in their order."""
    if plan.rows is None:
        return x
    gathered: Tensor = _Gather.apply(x, plan.home, plan.rows, plan.is_padding)  # type: ignore[no-untyped-call]
    return gathered
