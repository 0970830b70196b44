"""Windows over files of different lengths that lie end to end.

Attention in ByteFormer runs inside windows of w tokens, and every second block shifts them by s (paper, section 3).
Here a file is cut where the shifted windows begin: at 0, s, s + w, s + 2w, ... So there is nothing to roll and nothing
to wrap around, no window holds tokens of two files, and the tokens of a batch stay in one array [tokens, dim] without
padding.

Most windows are full: these go through attention as a dense batch without a mask, where they lie. So do the few shorter
ones, at the two ends of a long file. Those of many short files are brought together, padded to the longest of them and
masked.
"""

from __future__ import annotations

import functools
import sys
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
    return _left_alone(function, recursive=True)


def directs(function: Callable[P, R]) -> Callable[P, R]:
    """Marks what only passes lengths and tensors on: `torch.compile` leaves it alone, not the blocks it calls."""
    return _left_alone(function, recursive=False)


def _left_alone(function: Callable[P, R], recursive: bool) -> Callable[P, R]:
    """`torch.compiler.disable`, which costs seconds, put off until there is a compiler to disable."""
    disabled: Callable[P, R] | None = None

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal disabled
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        if disabled is None:
            disabled = torch.compiler.disable(function, recursive=recursive)
        return disabled(*args, **kwargs)

    return run


Lengths = NDArray[np.int64]
"""int64 [n]: tokens of each file, or of each window, in order."""

_FEW_RUNS, _TOKENS_A_RUN = 3, 1024
"""Runs of equal windows that are worth a call of attention each: this few, or of this many tokens on average."""


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
    first_token = 0
    for first, end in spans(lengths, max_tokens):
        end_token = first_token + int(lengths[first:end].sum())
        yield first_token, end_token, lengths[first:end]
        first_token = end_token


def spans(lengths: Lengths, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges (first, end) of `lengths` whose sums are at most `most`, or which are one length alone."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        before = ends[first] - lengths[first]
        end = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, end
        first = end


@dataclass(frozen=True)
class WindowPlan:
    """Where the tokens of each window lie, for attention in dense batches of equal windows.

    Attributes:
        runs: consecutive windows of one length: (how many, tokens in each).
        rows: token indices window by window, where windows are brought together from elsewhere: first the full ones,
            then the short ones, each padded to the longest of them by repeating its last token. None: the runs lie in
            the order of the tokens, and nothing is moved.
        home: the inverse of `rows`: the place in it of each token.
        is_padding: True at rows that repeat a token; None: there are none.
        last_keys: True where a window of the last run has a token; None: everywhere.
    """

    runs: tuple[tuple[int, int], ...]
    rows: Int64[Tensor, "slots"] | None = None
    home: Int64[Tensor, "tokens"] | None = None
    is_padding: Bool[Tensor, "slots 1"] | None = None
    last_keys: Bool[Tensor, "short 1 1 short_length"] | None = None


@on_the_host
def plan_windows(lengths: Lengths, window: int, device: torch.device) -> WindowPlan:
    """The plan for windows of these lengths, its tensors on `device`.

    Windows stay where they are as long as there are few runs of equal ones: that is so in long files, of which each has
    a short window at either end.
    """
    runs = _runs(lengths)
    if len(runs) <= max(_FEW_RUNS, int(lengths.sum()) // _TOKENS_A_RUN):
        return WindowPlan(runs)
    starts = np.cumsum(lengths) - lengths
    full = lengths == window
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
        tuple((count, length) for count, length in ((int(full.sum()), window), (len(present), short_length)) if count),
        torch.from_numpy(rows).to(device),
        torch.from_numpy(home).to(device),
        torch.from_numpy(~real[:, None]).to(device) if ragged else None,
        torch.from_numpy(present[:, None, None, :]).to(device) if ragged else None,
    )


def _runs(lengths: Lengths) -> tuple[tuple[int, int], ...]:
    """(how many, their value) of each run of equal lengths."""
    firsts = np.flatnonzero(np.diff(lengths, prepend=0))
    counts = np.diff(firsts, append=len(lengths))
    return tuple(zip(counts.tolist(), lengths[firsts].tolist(), strict=True))


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
