"""Fourier features: the places of a list are those of the whole grid, and cost no more than they are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anybyte.models.positions import fourier_features


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    grid=st.sampled_from(["closed", "open"]),
    seed=st.integers(0, 2**16),
)
def test_some_places_are_those_of_the_whole_grid(shape: list[int], grid: str, seed: int) -> None:
    total = int(torch.tensor(shape).prod())
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, 2 * total + 1, (), generator=generator))
    places = torch.randint(0, total, (count,), generator=generator)
    resolution = [2 * length for length in shape]
    whole = fourier_features(shape, 5, resolution, torch.arange(total), grid)
    assert torch.equal(fourier_features(shape, 5, resolution, places, grid), whole[places])
    assert torch.equal(fourier_features(shape, 5, resolution, places[None], grid), whole[places][None])
    if grid == "closed":
        assert torch.equal(fourier_features(shape, 5, resolution), whole)


def test_a_piece_of_a_long_axis_costs_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    sin = Tensor.sin

    def counted(x: Tensor) -> Tensor:
        computed.append(x.numel())
        return sin(x)

    monkeypatch.setattr(Tensor, "sin", counted)
    fourier_features((100_000,), 8, (100_000,), torch.arange(50), "open")
    assert sum(computed) == 50 * 8
