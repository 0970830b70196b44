from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional import matthews_corrcoef, pearson_corrcoef, spearman_corrcoef
from torchmetrics.functional.classification import binary_f1_score

from anybyte.tasks.agreement import accuracy, f1, matthews, pearson, spearman


@pytest.mark.parametrize("seed", range(5))
def test_of_classes_as_torchmetrics_has_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 50)
    answers = np.where(rng.random(50) < 0.3, 1 - labels, labels)
    given, right = torch.from_numpy(answers), torch.from_numpy(labels)
    a, b = answers.astype(float), labels.astype(float)
    assert accuracy(a, b) == pytest.approx(float((given == right).float().mean()))
    assert f1(a, b) == pytest.approx(float(binary_f1_score(given, right)))
    assert matthews(a, b) == pytest.approx(float(matthews_corrcoef(given, right, task="binary")), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_of_scores_as_torchmetrics_has_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.round(rng.random(60) * 5) / 1  # many ties
    answers = labels + rng.normal(size=60)
    given, right = torch.from_numpy(answers), torch.from_numpy(labels)
    assert pearson(answers, labels) == pytest.approx(float(pearson_corrcoef(given, right)), abs=1e-6)
    assert spearman(answers, labels) == pytest.approx(float(spearman_corrcoef(given, right)), abs=1e-6)


def test_answers_that_do_not_differ_tell_nothing() -> None:
    labels = np.array([0.1, 0.2, 0.3])
    constant = np.full(3, 0.1)
    assert pearson(constant, labels) == spearman(constant, labels) == matthews(labels, constant) == 0
    assert f1(np.zeros(3), np.zeros(3)) == 0


def test_ranks_of_equal_values_are_shared() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert spearman(np.array([0.0, 1, 1, 2]), np.array([1.0, 2, 3, 4])) == pytest.approx(0.9486832980505138)
