"""How files are cut into windows, and tokens brought there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anybyte.models.windows import cut_windows, from_windows, group_windows, plan_windows, to_windows

counts_lists = st.lists(st.integers(1, 70), min_size=1, max_size=6)
windows = st.integers(1, 16)
shifts = st.integers(0, 40)


@given(counts_lists, windows, shifts)
def test_windows_cover_each_file_and_begin_where_the_shift_says(counts: list[int], window: int, shift: int) -> None:
    lengths = cut_windows(np.array(counts), window, shift)
    expected = []
    for count in counts:
        borders = sorted({0, count, *range(shift % window, count, window)})
        expected += np.diff(borders).tolist()
    assert lengths.tolist() == expected


@given(counts_lists, windows, shifts)
def test_there_and_back_is_the_identity_with_its_gradient(counts: list[int], window: int, shift: int) -> None:
    plan = plan_windows(cut_windows(np.array(counts), window, shift), window, torch.device("cpu"))
    x = torch.randn(sum(counts), 3, dtype=torch.float64, requires_grad=True)
    back = from_windows(to_windows(x, plan), plan)
    assert torch.equal(back, x)
    weight = torch.randn_like(x)
    (grad,) = torch.autograd.grad((back * weight).sum(), x)
    assert torch.equal(grad, weight)


@given(counts_lists, windows, shifts)
def test_a_window_holds_neighbours_of_one_file(counts: list[int], window: int, shift: int) -> None:
    plan = plan_windows(cut_windows(np.array(counts), window, shift), window, torch.device("cpu"))
    file = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    slots = to_windows(torch.stack([file, torch.arange(len(file))], dim=1).double(), plan)
    for part, (_, length) in zip(slots.split([count * length for count, length in plan.runs]), plan.runs, strict=True):
        for rows in part.view(-1, length, 2):
            assert (rows[:, 0] == rows[0, 0]).all()
            assert set(rows[:, 1].diff().tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("counts", "runs"),
    [
        ([16], ((2, 8),)),
        ([14], ((1, 8), (1, 6))),
        ([5, 5, 5], ((3, 5),)),
        ([20] * 400, ((1, 4), (2, 8)) * 400),
    ],
)
def test_windows_that_lie_in_few_runs_stay_there(counts: list[int], runs: tuple[tuple[int, int], ...]) -> None:
    """That many files as in the last case are many runs: theirs are brought together, which makes two of them."""
    shift = 4 if len(counts) > 3 else 0
    plan = plan_windows(cut_windows(np.array(counts), 8, shift), 8, torch.device("cpu"))
    if len(runs) <= 3:
        assert plan.rows is None
        assert plan.runs == runs
    else:
        assert plan.rows is not None
        assert plan.runs == ((800, 8), (400, 4))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 100))
def test_groups_are_whole_windows_in_order(lengths: list[int], max_tokens: int) -> None:
    groups = list(group_windows(np.array(lengths), max_tokens))
    assert np.concatenate([part for _, _, part in groups]).tolist() == lengths
    position = 0
    for first, end, part in groups:
        assert first == position
        assert end - first == part.sum()
        assert end - first <= max_tokens or len(part) == 1
        position = end
