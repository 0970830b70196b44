"""Several views of a file make one answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anybyte.evaluate.views import logits_of, probabilities


class Linear(nn.Module):
    """Three classes of arrays [files, 4], by themselves or of those by name."""

    def __init__(self, several: bool) -> None:
        super().__init__()
        self.has_several = several
        self.weight = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))

    def forward(self, batch: Tensor | dict[str, Tensor]) -> Tensor:
        return sum(batch.values()) @ self.weight if isinstance(batch, dict) else batch @ self.weight


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_the_answer_is_the_mean_of_the_probabilities(several: bool, named: bool) -> None:
    model, views = Linear(several), torch.from_numpy(np.random.default_rng(1).normal(size=(2, 5, 4)).astype(np.float32))
    each = [probabilities(model, model(views[:, view])) for view in range(5)]
    batch = {"a": views, "b": torch.zeros_like(views)} if named else views
    found = probabilities(model, logits_of(model, batch, 5))
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    assert several or torch.allclose(found.sum(1), torch.ones(2))


def test_one_view_is_the_model_itself() -> None:
    model, x = Linear(False), torch.ones(2, 4)
    assert torch.equal(logits_of(model, x), model(x))
