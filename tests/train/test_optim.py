"""The optimiser's groups, the schedule and the moving average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anybyte.config import ByteFormerConfig, OptimConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.train.optim import MovingAverage, create_optimizer, learning_rate, set_learning_rate


def test_decays_matrices_only() -> None:
    config = ByteFormerConfig(dim=8, num_heads=2, depth=1, merge_after=(0,), positions="learned", max_num_tokens=9)
    model = ByteFormer(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, kernels, others = create_optimizer(model, OptimConfig(weight_decay=0.05)).param_groups
    assert [group["weight_decay"] for group in (decayed, kernels, others)] == [0.05, 0.05, 0.0]
    without = {names[id(parameter)] for parameter in others["params"]}
    assert {"stem.embedding", "positions.rows", "norm.weight", "classifier.bias"} <= without
    assert len(without) + len(decayed["params"]) + len(kernels["params"]) == len(names)
    assert [names[id(parameter)] for parameter in kernels["params"]] == ["stem.kernel"]
    kept = {names[id(parameter)] for parameter in decayed["params"]}
    assert "classifier.weight" in kept
    assert not [name for name in kept if "norm" in name or "bias" in name]


def test_an_embedding_module_is_not_decayed() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2))
    _, others = create_optimizer(model, OptimConfig()).param_groups
    assert any(parameter is model[0].weight for parameter in others["params"])


def test_the_stems_kernel_learns_at_its_own_scale() -> None:
    model = ByteFormer(ByteFormerConfig(dim=8, num_heads=2, depth=1, merge_after=()))
    optimizer = create_optimizer(model, OptimConfig(stem_scale=0.25))
    set_learning_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.1, 0.4])


def test_learning_rate_rises_then_falls() -> None:
    config = OptimConfig(learning_rate=1.0, min_learning_rate=0.1, warmup_steps=10)
    rates = [learning_rate(step, 110, config) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[59] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(500, 110, config) == pytest.approx(0.1)


def test_learning_rate_of_a_run_shorter_than_its_warmup() -> None:
    config = OptimConfig(learning_rate=1.0, warmup_steps=200)
    rates = [learning_rate(step, 20, config) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0], "a fifth of the run"
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert learning_rate(0, 4, config) == learning_rate(0, 4, OptimConfig(learning_rate=1.0, warmup_steps=0)) < 1


def test_moving_average_follows_its_definition() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, decay=0.5)
    expected = model.weight.detach().clone().double()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach().double()
        average.update(step)
    torch.testing.assert_close(average.averages["weight"], expected.float())


def test_moving_average_is_applied_and_taken_back() -> None:
    model = nn.Linear(2, 1)
    average = MovingAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.fill_(5)
    own, version = model.weight.detach().clone(), model.weight._version
    with average.applied():
        assert torch.equal(model.weight, average.averages["weight"])
        assert model.weight._version > version, "caches made from the weights must be seen to be stale"
    assert torch.equal(model.weight, own)


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_refuses_a_decay_that_is_none(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        MovingAverage(nn.Linear(1, 1), decay)
