"""A file in stretches is the file at once."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.batch import ByteBatch
from anybyte.models import stretches
from tests.models.test_byteformer import ODD_LENGTHS, SMALL, build, random_files


@settings(max_examples=60, deadline=None)
@given(
    length=st.sampled_from(ODD_LENGTHS) | st.integers(0, 400),
    pieces=st.lists(st.integers(0, 90), max_size=8),
    shifts=st.sampled_from([(0, 4, 0, 4), (3, 1, 7, 12)]),
)
def test_any_cut_gives_the_same_features(length: int, pieces: list[int], shifts: tuple[int, ...]) -> None:
    model = build(dataclasses.replace(SMALL, window_shifts=shifts))
    (data,) = random_files([length])
    batch = ByteBatch.from_bytes([data])
    parts, first = [], 0
    for piece in pieces:
        parts.append(batch.values[first : first + piece])
        first += piece
    parts.append(batch.values[first:])
    with torch.inference_mode():
        streamed = stretches.features_in_stretches(model, tuple(parts))
        torch.testing.assert_close(streamed, model.features(batch)[0], atol=1e-5, rtol=1e-5)


def test_long_and_short_files_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(SMALL)
    files = random_files([700, 30, 0, 1300, 64])
    with torch.inference_mode():
        at_once = model(ByteBatch.from_bytes(files))
        monkeypatch.setattr(stretches, "STRETCH_BYTES", 64)
        in_stretches = model(ByteBatch.from_bytes(files))
    torch.testing.assert_close(in_stretches, at_once, atol=1e-5, rtol=1e-5)
