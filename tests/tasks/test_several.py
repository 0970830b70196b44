"""Files of several classes at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from anybyte.tasks import Sample, add_sums
from anybyte.tasks.classify import MixedLabel
from anybyte.tasks.several import (
    ClassifySeveral,
    classes_of,
    mean_average_precision,
    members,
    split_label,
)

LABELS = ("rain", "dog;rain", "dog; cat", "")


class Answers(nn.Module):
    """Answers with the arrays that it is given."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch


def test_a_label_names_its_classes() -> None:
    assert split_label(" dog ;rain;dog;") == ("dog", "rain")
    assert split_label("a|b", "|") == ("a", "b")
    assert classes_of(LABELS) == ("cat", "dog", "rain")
    assert members(LABELS, ("cat", "dog", "rain")).tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(ValueError, match="a class that the model does not know: 'owl'"):
        members(["dog;owl"], ("dog",))


def by_definition(scores: list[float], truth: list[bool]) -> float:
    """At each threshold, what is found: the precision there, times what it adds to the recall."""
    total, before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        found = [right for score, right in zip(scores, truth, strict=True) if score >= threshold]
        total += sum(found) / len(found) * (sum(found) - before) / sum(truth)
        before = sum(found)
    return total


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_average_precision_is_that_of_the_definition(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = [float(score) for score, _ in pairs], [right for _, right in pairs]
    found = mean_average_precision(np.array([scores]).T, np.array([truth]).T.astype(np.float32))
    assert found == pytest.approx(by_definition(scores, truth) if any(truth) else 0.0)


def test_classes_without_files_do_not_count() -> None:
    scores = np.array([[3.0, 0.0], [1.0, 1.0]])
    assert mean_average_precision(scores, np.array([[1, 0], [0, 0]])) == 1
    assert mean_average_precision(scores, np.array([[0, 1], [1, 0]])) == 0.5


def test_the_loss_is_sigmoid_cross_entropy_summed_over_classes() -> None:
    task = ClassifySeveral(LABELS, classes_of(LABELS))
    logits = torch.tensor([[0.5, -1.0, 2.0], [0.0, 3.0, -2.0]])
    loss, count = task.loss(Answers(), logits, torch.tensor([1, 2]))
    p = logits.sigmoid()
    wanted = -((1 - p[0, 0]).log() + p[0, 1].log() + p[0, 2].log() + p[1, 0].log() + p[1, 1].log())
    wanted = wanted - (1 - p[1, 2]).log()
    assert count == 2
    torch.testing.assert_close(loss, wanted)


def test_the_label_of_a_mixed_file_is_the_weighted_sum() -> None:
    task = ClassifySeveral(LABELS, classes_of(LABELS))
    rng = np.random.default_rng(0)
    array = np.array([0.5, -1.0, 2.0], np.float32)
    batch, labels = task.collate([Sample(array, MixedLabel(1, 2, 0.25), rng)])
    assert isinstance(batch, Tensor)
    loss, _ = task.loss(Answers(), batch, labels)
    parts = [task.loss(Answers(), batch, torch.tensor([label]))[0] for label in (1, 2)]
    torch.testing.assert_close(loss, 0.25 * parts[0] + 0.75 * parts[1])


def test_what_is_measured_in_parts_is_that_of_the_whole() -> None:
    task = ClassifySeveral(LABELS, classes_of(LABELS))
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(20, 3)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 4, 20))
    total: dict[str, object] = {}
    for part in (slice(0, 7), slice(7, 20)):
        add_sums(total, task.measure(Answers(), logits[part], labels[part]))
    metrics = task.summarise(total)
    whole = task.summarise(task.measure(Answers(), logits, labels))
    assert metrics == pytest.approx(whole)
    assert metrics["map"] == pytest.approx(mean_average_precision(logits.numpy(), task.members[labels].numpy()))
    assert (
        task.score({"map": 0.5, "loss": 1}) > task.score({"map": 0.5, "loss": 2}) > task.score({"map": 0.4, "loss": 0})
    )
