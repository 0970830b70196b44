from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from anybyte.evaluate.metrics import score


def logits_of(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows).log()


def test_a_case_done_by_hand() -> None:
    # True classes:         0                1                1                2
    logits = logits_of([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.8, 0.1, 0.1]])
    scores = score(logits, torch.tensor([0, 1, 1, 2]), ("a", "b", "c"))
    assert scores.files == 4
    assert scores.top1 == 0.5
    assert scores.top5 == 1
    assert scores.loss == pytest.approx(-sum(map(math.log, (0.7, 0.6, 0.4, 0.1))) / 4)
    assert scores.confusion == ((1, 0, 0), (1, 1, 0), (1, 0, 0))
    a, b, c = scores.classes
    assert (a.label, a.support, a.recall) == ("a", 1, 1)
    assert a.precision == pytest.approx(1 / 3)
    assert a.f1 == pytest.approx(1 / 2)
    assert (b.precision, b.recall, b.support) == (1, 0.5, 2)
    assert b.f1 == pytest.approx(2 / 3)
    assert (c.precision, c.recall, c.f1, c.support) == (0, 0, 0, 1)
    assert scores.macro_f1 == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    # Each file is alone in its bin: the mean distance of 0.7, 0.6, 0.5, 0.8 from 1, 1, 0, 0.
    assert scores.ece == pytest.approx((0.3 + 0.4 + 0.5 + 0.8) / 4, abs=1e-6)
    assert [bin.files for bin in scores.bins if bin.files] == [1, 1, 1, 1]


def test_top5_of_more_classes() -> None:
    falling = torch.arange(8.0, 0, -1).repeat(3, 1)
    scores = score(falling, torch.tensor([0, 4, 5]), tuple("abcdefgh"))
    assert scores.top1 == pytest.approx(1 / 3)
    assert scores.top5 == pytest.approx(2 / 3)


def test_bins_agree_with_the_calibration_error() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 10, generator=generator) * 3
    targets = torch.randint(10, (500,), generator=generator)
    scores = score(logits, targets, tuple("abcdefghij"))
    assert sum(bin.files for bin in scores.bins) == 500
    distance = sum(bin.files * abs(bin.confidence - bin.accuracy) for bin in scores.bins) / 500
    assert scores.ece == pytest.approx(distance, abs=1e-6)


def test_a_perfect_and_sure_model() -> None:
    scores = score(torch.eye(3) * 100, torch.arange(3), ("a", "b", "c"))
    assert (scores.top1, scores.macro_f1) == (1, 1)
    assert scores.loss == pytest.approx(0)
    assert scores.ece == pytest.approx(0)
    assert scores.bins[-1].files == 3


def test_classes_without_files_do_not_count_in_the_mean() -> None:
    scores = score(torch.eye(3)[:2] * 9, torch.arange(2), ("a", "b", "c"))
    assert scores.absent == ("c",)
    assert scores.macro_f1 == 1


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="no files"):
        score(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"only one class \(a\)"):
        score(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64), ("a",))
