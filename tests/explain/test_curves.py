from __future__ import annotations

import numpy as np
import pytest
import torch

from anybyte.batch import ByteBatch
from anybyte.explain.curves import Curve, curves, order_of, probabilities
from anybyte.explain.target import make_target
from tests.explain.models import byteformer, perceiver, some_bytes

DATA = some_bytes(60)


@pytest.mark.parametrize("build", [byteformer, perceiver])
def test_bytes_are_replaced_in_their_order(build: object) -> None:
    model = build()  # type: ignore[operator]
    order = np.random.default_rng(0).permutation(60)
    other = np.frombuffer(some_bytes(60, seed=1), dtype=np.uint8)
    deletion, insertion = curves(make_target(model, DATA, 2), order, percent=(0, 25, 50, 100), other=other)
    for curve, gone in ((deletion, (0, 15, 30, 60)), (insertion, (60, 45, 30, 0))):
        assert curve.shares.tolist() == [0, 0.25, 0.5, 1]
        for probability, count in zip(curve.probabilities, gone, strict=True):
            changed = bytearray(DATA)
            places = order[:count] if curve is deletion else order[60 - count :]
            for place in places:
                changed[place] = other[place]
            expected = model(ByteBatch.from_bytes([bytes(changed)])).softmax(1)[0, 2]
            assert probability == pytest.approx(float(expected), abs=1e-5)


def test_without_other_bytes_padding_stands_in() -> None:
    target = make_target(byteformer(), DATA, 0)
    deletion, insertion = curves(target, np.arange(60))
    nothing = target.all_logits(torch.zeros_like(target.tokens())[None]).softmax(1)[0, 0]
    whole = target.all_logits(target.tokens()[None]).softmax(1)[0, 0]
    assert deletion.probabilities[[0, -1]] == pytest.approx([float(whole), float(nothing)], abs=1e-5)
    assert insertion.probabilities[[0, -1]] == pytest.approx([float(nothing), float(whole)], abs=1e-5)


def test_the_area_is_the_mean_along_the_way() -> None:
    assert Curve(np.array([0, 0.5, 1]), np.array([1, 0, 0])).area == pytest.approx(0.25)
    assert Curve(np.array([0, 0.1, 1]), np.array([0.4, 0.4, 0.4])).area == pytest.approx(0.4)


def test_the_order_of_scores() -> None:
    scores = np.array([0, 3, 1, 1, -2, 9, 1], dtype=np.float32)
    assert order_of(scores).tolist() == [5, 1, 2, 3, 6, 0, 4]
    assert order_of(scores, size=3).tolist() == [3, 4, 5, 0, 1, 2, 6]  # means 8/3, 4/3 and 1


def test_many_copies_are_computed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(byteformer(), DATA, 0)
    hidden = torch.rand(9, 60) < 0.5
    whole = probabilities(target, hidden, 7)
    monkeypatch.setattr("anybyte.explain.target._TOKENS_AT_ONCE", 2 * target.num_tokens)
    np.testing.assert_allclose(probabilities(target, hidden, 7), whole, rtol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    target = make_target(byteformer(), DATA, 0)
    order = np.arange(60)
    with pytest.raises(ValueError, match="the order must name each of the 60 bytes once"):
        curves(target, np.zeros(60, dtype=np.int64))
    for percent in ((0,), (0, 50), (10, 100), (0, 60, 50, 100)):
        with pytest.raises(ValueError, match="expected numbers that rise from 0 to 100"):
            curves(target, order, percent=percent)
    with pytest.raises(ValueError, match="3 other bytes for a file of 60"):
        curves(target, order, other=np.zeros(3, dtype=np.uint8))
