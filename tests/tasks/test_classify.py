"""The classification task: its loss, and what it counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.tasks import Sample, Task
from anybyte.tasks.classify import Classify

LABELS = tuple("abcdefg")


class Fixed(nn.Module):
    """A model whose logits are given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, batch: ByteBatch) -> Tensor:
        return self.logits[: len(batch)]


def sample(data: bytes, label: int) -> Sample:
    return Sample(data, label, np.random.default_rng(0))


def batch_of(count: int) -> ByteBatch:
    return ByteBatch.from_bytes([b"x"] * count)


def test_is_a_task() -> None:
    task: Task = Classify(LABELS)
    batch, labels = task.collate([sample(b"ab", 1), sample(b"c", 0)])
    assert isinstance(batch, ByteBatch)
    assert batch.lengths.tolist() == [2, 1]
    assert labels.tolist() == [1, 0]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_sum_of_smoothed_cross_entropies(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 7), torch.tensor([0, 3, 6, 3])
    loss, count = Classify(LABELS, smoothing).loss(Fixed(logits), batch_of(4), labels)
    target = (1 - smoothing) * F.one_hot(labels, 7) + smoothing / 7
    assert count == 4
    torch.testing.assert_close(loss, -(target * logits.log_softmax(1)).sum())
    loss.backward()


def test_measures_add_up() -> None:
    torch.manual_seed(0)
    task, logits, labels = Classify(LABELS, 0.1), torch.randn(50, 7), torch.randint(7, (50,))
    whole = task.measure(Fixed(logits), batch_of(50), labels)
    pieces = [task.measure(Fixed(logits[part]), batch_of(25), labels[part]) for part in (slice(25), slice(25, 50))]
    assert {name: sum(piece[name] for piece in pieces) for name in whole} == pytest.approx(whole)
    metrics = task.summarise(whole)
    assert metrics["accuracy"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    best = logits.topk(5, dim=1).indices
    assert metrics["top5"] == pytest.approx(float((best == labels[:, None]).any(1).float().mean()))
    assert metrics["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)))


def test_few_classes_have_no_top5() -> None:
    measured = Classify(("a", "b")).measure(Fixed(torch.zeros(2, 2)), batch_of(2), torch.tensor([0, 1]))
    metrics = Classify(("a", "b")).summarise(measured)
    assert set(metrics) == {"accuracy", "loss"}
    assert metrics["accuracy"] == 0.5, "of equal logits the first is the answer, as in argmax"


def test_a_nan_is_never_right() -> None:
    measured = Classify(LABELS).measure(
        Fixed(torch.full((3, 7), math.nan)), batch_of(3), torch.zeros(3, dtype=torch.long)
    )
    assert measured["right"] == measured["right_of_5"] == 0


def test_score_prefers_accuracy_then_a_low_loss() -> None:
    score = Classify(LABELS).score
    assert score({"accuracy": 0.9, "loss": 2.0}) > score({"accuracy": 0.8, "loss": 0.1})
    assert score({"accuracy": 0.9, "loss": 1.0}) > score({"accuracy": 0.9, "loss": 2.0})


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_refuses_a_smoothing_out_of_range(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        Classify(LABELS, smoothing)
