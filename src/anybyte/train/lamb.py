"""LAMB: Adam whose every tensor moves by a fixed share of its own norm (You et al. 2020, arXiv 1904.00962)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    """LAMB as both Perceiver papers train with it, one chain for each tensor of parameters:

        Adam moments with bias correction -> + weight_decay * parameter -> trust ratio -> * learning rate

    The trust ratio is the norm of the parameter over that of its update, and 1 where either is zero, as for biases in
    their first step. Neither is bounded. Gradients are clipped by whoever calls `step`. Packaged LAMBs depart from this
    chain (pytorch-optimizer 4.1 has no bias correction of the second moment and bounds norms at 10), which changes how
    early steps weigh decay, and how far zeros move in the first step.

    Args:
        params: parameters, or groups of them.
        lr: learning rate: about the share of its norm by which a tensor moves in a step.
        betas: decay rates of the two moments.
        eps: added to the root of the second moment.
        weight_decay: of groups that do not say their own.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._adam(parameter, group["betas"], group["eps"])
                    if group["weight_decay"]:
                        update.add_(parameter, alpha=group["weight_decay"])
                    # Tensors throughout, sharded ones included: no number is waited for.
                    parameter.sub_(update.mul_(_trust_ratio(parameter, update) * group["lr"]))

    def _adam(self, parameter: Tensor, betas: tuple[float, float], eps: float) -> Tensor:
        """Adam's direction, after both moments have taken in the gradient."""
        beta1, beta2 = betas
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step = float(state["step"])
        first, second, gradient = state["exp_avg"], state["exp_avg_sq"], parameter.grad
        assert gradient is not None
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (second / (1 - beta2**step)).sqrt_().add_(eps)
        direction: Tensor = first.div(1 - beta1**step).div_(root)
        return direction


def _trust_ratio(parameter: Tensor, update: Tensor) -> Tensor:
    """[] the parameter's norm over the update's; 1 where either is zero."""
    ours, theirs = torch.linalg.vector_norm(parameter), torch.linalg.vector_norm(update)
    is_known = (ours > 0) & (theirs > 0)
    ratio: Tensor = torch.where(is_known, ours / torch.where(is_known, theirs, 1.0), 1.0)
    return ratio
