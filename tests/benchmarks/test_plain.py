"""The plain form that the benchmarks measure against gives the same answers."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from anybyte.batch import ByteBatch
from benchmarks.plain import PlainByteFormer
from tests.models.test_byteformer import ODD_LENGTHS, SMALL, build, random_files


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
@pytest.mark.parametrize("length", [*ODD_LENGTHS, 300, 611])
def test_one_file(length: int, positions: str) -> None:
    model = build(dataclasses.replace(SMALL, positions=positions))
    batch = ByteBatch.from_bytes(random_files([length]))
    with torch.inference_mode():
        torch.testing.assert_close(PlainByteFormer(model)(batch), model(batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shifts", [None, (3, 1, 7, 12), (8, 0, 16, 4)])
@pytest.mark.parametrize("merges", [(), (0, 2), (0, 1, 2, 3)])
def test_a_batch_of_different_lengths(shifts: tuple[int, ...] | None, merges: tuple[int, ...]) -> None:
    model = build(dataclasses.replace(SMALL, window_shifts=shifts, merge_after=merges))
    batch = ByteBatch.from_bytes(random_files([*ODD_LENGTHS, 211, 640]))
    with torch.inference_mode():
        torch.testing.assert_close(PlainByteFormer(model)(batch), model(batch), atol=1e-5, rtol=0)
