"""The optimiser's groups, the schedule and the moving average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anybyte.config import ByteFormerConfig, OptimConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.models.zoo import create_model
from anybyte.train.lamb import Lamb
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


def test_with_lamb_the_groups_are_the_same() -> None:
    model = ByteFormer(ByteFormerConfig(dim=8, num_heads=2, depth=1, merge_after=()))
    config = OptimConfig(optimizer="lamb", epsilon=1e-6, betas=(0.8, 0.99), stem_scale=0.25)
    optimizer = create_optimizer(model, config, fused=True)
    assert isinstance(optimizer, Lamb)
    set_learning_rate(optimizer, 0.4)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [
        (0.4, 0.05),
        (pytest.approx(0.1), 0.05),
        (0.4, 0.0),
    ]
    assert all(group["eps"] == 1e-6 and group["betas"] == (0.8, 0.99) for group in optimizer.param_groups)


def test_adamw_takes_the_epsilon() -> None:
    optimizer = create_optimizer(nn.Linear(2, 2), OptimConfig(epsilon=1e-5))
    assert all(group["eps"] == 1e-5 for group in optimizer.param_groups)


@pytest.mark.parametrize("decay_tables", [False, True])
@pytest.mark.parametrize("name", ["perceiver_io_learned", "perceiver_io_multimodal", "perceiver_io_language"])
def test_what_of_a_perceiver_decays(name: str, decay_tables: bool) -> None:
    """The released ImageNet settings decay all but biases and norms, positions included."""
    with torch.device("meta"):
        model = create_model(name)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = create_optimizer(model, OptimConfig(decay_tables=decay_tables)).param_groups
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    plain = {name for name in names.values() if name.endswith("bias") or "norm" in name}
    tables = {name for name in names.values() if "position" in name or "embedding" in name} - plain
    assert decayed == set(names.values()) - plain - (set() if decay_tables else tables)
    assert "latents" in decayed


def test_learning_rate_rises_then_falls() -> None:
    config = OptimConfig(learning_rate=1.0, min_learning_rate=0.1, warmup_steps=10)
    rates = [learning_rate(step, 110, config) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[59] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(500, 110, config) == pytest.approx(0.1)


def test_flat_then_cosine() -> None:
    """ImageNet: flat for half of the run, then a cosine to zero, without warm-up."""
    config = OptimConfig(learning_rate=2e-3, min_learning_rate=0.0, warmup_steps=0, schedule="flat_cosine", flat=0.5)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:50] == [2e-3] * 50
    assert rates[50] == pytest.approx(1e-3 * (1 + math.cos(math.pi / 50)))
    assert rates[74] == pytest.approx(1e-3)
    assert rates[99] == pytest.approx(0.0, abs=1e-12)
    assert rates[49:] == sorted(rates[49:], reverse=True)


def test_warm_up_may_outlast_the_flat_part() -> None:
    config = OptimConfig(learning_rate=1.0, min_learning_rate=0.0, warmup_steps=20, schedule="flat_cosine", flat=0.0)
    cosine = OptimConfig(learning_rate=1.0, min_learning_rate=0.0, warmup_steps=20)
    assert [learning_rate(n, 100, config) for n in range(100)] == [learning_rate(n, 100, cosine) for n in range(100)]


def test_steps_fall_to_a_tenth() -> None:
    """The original Perceiver: epochs 84, 102 and 114 of 120."""
    config = OptimConfig(learning_rate=4e-3, warmup_steps=0, schedule="steps")
    rates = {step: learning_rate(step, 1200, config) for step in (0, 839, 840, 1019, 1020, 1139, 1140, 1199)}
    expected = [4e-3, 4e-3, 4e-4, 4e-4, 4e-5, 4e-5, 4e-6, 4e-6]
    assert list(rates.values()) == pytest.approx(expected)


def test_constant_after_warm_up() -> None:
    config = OptimConfig(learning_rate=1e-3, warmup_steps=4, schedule="constant")
    rates = [learning_rate(step, 20, config) for step in range(20)]
    assert rates[:4] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3])
    assert rates[4:] == [1e-3] * 16


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
