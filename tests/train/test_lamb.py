"""LAMB against its definition, written down in NumPy; and in runs that are resumed or sharded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from anybyte.train.lamb import Lamb
from anybyte.train.step import Stepper, StepResult

from .standins import curve, final_tensors, run, spawn_run, tiny_recipe

LAMB: dict[str, Any] = {"optimizer": "lamb", "learning_rate": 0.02, "epsilon": 1e-6, "ema_decay": 0.9}


def chain(parameter: NDArray[Any], gradients: list[NDArray[Any]], rate: float, decay: float) -> NDArray[Any]:
    """The papers' chain, one line a link; betas 0.9 and 0.999, epsilon 1e-6."""
    first = second = np.zeros_like(parameter)
    for number, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        update = (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-6)
        update = update + decay * parameter
        norms = np.linalg.norm(parameter), np.linalg.norm(update)
        ratio = norms[0] / norms[1] if all(norms) else 1.0
        parameter = parameter - rate * ratio * update
    return parameter


@pytest.mark.parametrize("scale", [0.02, 1.0, 300.0], ids=["small", "ordinary", "norm above 10"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_follows_its_chain(scale: float, decay: float) -> None:
    rng = np.random.default_rng(0)
    start, gradients = scale * rng.normal(size=(5, 7)), [rng.normal(size=(5, 7)) for _ in range(6)]
    parameter = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Lamb([parameter], lr=0.01, weight_decay=decay)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), chain(start, gradients, 0.01, decay), rtol=1e-12)


def test_zeros_move_by_the_rate_and_what_has_no_gradient_stays() -> None:
    bias, idle, still = (nn.Parameter(torch.tensor([a, a])) for a in (0.0, 3.0, 2.0))
    optimizer = Lamb([bias, idle, still], lr=0.01)
    bias.grad, still.grad = torch.tensor([2.0, -5.0]), torch.zeros(2)
    optimizer.step()
    torch.testing.assert_close(bias.detach(), torch.tensor([-0.01, 0.01]))
    assert torch.equal(idle.detach(), torch.tensor([3.0, 3.0]))
    assert torch.equal(still.detach(), torch.tensor([2.0, 2.0]))


def test_every_tensor_moves_by_the_same_share_of_its_norm() -> None:
    torch.manual_seed(0)
    large, small = (nn.Parameter(scale * torch.randn(20, 30)) for scale in (5.0, 0.01))
    before = [large.detach().clone(), small.detach().clone()]
    large.grad, small.grad = torch.randn(20, 30), 1e-4 * torch.randn(20, 30)
    Lamb([large, small], lr=0.03, eps=1e-12).step()
    for parameter, old in zip((large, small), before, strict=True):
        assert float((parameter.detach() - old).norm() / old.norm()) == pytest.approx(0.03, rel=1e-4)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tiny_recipe(tmp_path / "whole", optim=LAMB))
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", _interrupted_at(7))
        with pytest.raises(KeyboardInterrupt):
            run(tiny_recipe(tmp_path / "two", optim=LAMB))
    again = run(tiny_recipe(tmp_path / "two", optim=LAMB))
    expected, got = final_tensors(tmp_path / "whole"), final_tensors(tmp_path / "two")
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert curve(again.history) == curve(whole.history)
    assert whole.best["accuracy"] > 0.6, "it learns"


@pytest.mark.slow
def test_sharded_weights_give_the_same_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms are those of whole tensors, wherever their parts lie."""
    whole = run(tiny_recipe(tmp_path / "whole", optim=LAMB))
    done = spawn_run(tmp_path / "two", {"optim": LAMB, "shard": True, "kill_after": 9}, processes=2)
    assert "SIGKILL" in done.stderr, done.stderr
    ended = run(tiny_recipe(tmp_path / "two", optim=LAMB))
    assert curve(ended.history) == pytest.approx(curve(whole.history), abs=1e-4)


def _interrupted_at(stop: int) -> Any:
    step = Stepper.step

    def interrupted(self: Stepper, parts: Any, number: int, *args: Any, **keywords: Any) -> StepResult:
        if number == stop:
            raise KeyboardInterrupt
        return step(self, parts, number, *args, **keywords)

    return interrupted
