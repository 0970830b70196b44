"""The optimiser, its learning rate at each step, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from anybyte.config import OptimConfig
from anybyte.train.lamb import Lamb

_NORM = "norm"
_TABLES = ("embedding", "position")
"""Parts of a parameter's name that exempt it from weight decay, unless `decay_tables` is set."""
_STEM_KERNEL = "stem.kernel"
"""The parameter whose learning rate `stem_scale` scales."""


def create_optimizer(model: nn.Module, config: OptimConfig, fused: bool = False) -> torch.optim.Optimizer:
    """AdamW or LAMB, with decay on weight matrices and kernels, and none on biases and norms.

    Embeddings and positions decay if `config.decay_tables` says so. Latents and learned queries always do.

    Args:
        model: whose parameters are to be trained.
        config: which optimiser; learning rate, betas, decay.
        fused: one kernel for all parameters, if the optimiser has one; the quickest on a GPU.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    kernels: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_table = id(parameter) in tables or any(part in name for part in _TABLES)
        exempt = parameter.ndim <= 1 or _NORM in name or (is_table and not config.decay_tables)
        is_kernel = name.endswith(_STEM_KERNEL)
        (kernels if is_kernel else others if exempt else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "scale": 1.0},
        {"params": kernels, "weight_decay": config.weight_decay, "scale": config.stem_scale},
        {"params": others, "weight_decay": 0.0, "scale": 1.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "lamb":
        return Lamb(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of all groups, each at its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def learning_rate(step: int, total_steps: int, config: OptimConfig) -> float:
    """The learning rate of step `step` (from 0): linear warm-up, then what `config.schedule` says.

    Warm-up takes a fifth of all steps at most, so that a short run does not consist of it. A cosine is half a period
    long and reaches the minimum in the last step; the minimum is its alone.
    """
    warmup = min(config.warmup_steps, total_steps // 5)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "steps":
        return config.learning_rate * 0.1 ** sum(step >= round(drop * total_steps) for drop in config.drops)
    begin = warmup if config.schedule == "cosine" else max(warmup, round(config.flat * total_steps))
    if step < begin:
        return config.learning_rate
    done = min(1.0, (step - begin + 1) / max(1, total_steps - begin))
    span = config.learning_rate - config.min_learning_rate
    return config.min_learning_rate + span * (1 + math.cos(math.pi * done)) / 2


class MovingAverage:
    """An exponential moving average of a model's parameters; buffers are the model's own.

    The decay ramps up as (1 + step) / (10 + step), so that the start of training is soon forgotten.

    Args:
        model: the model in training. Parameters sharded over processes stay so in the average.
        decay: its limit.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {decay}")
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.averages = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the parameters after step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.averages.values())
        torch._foreach_lerp_(averages, [p.detach() for p in self.parameters.values()], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the model's parameters are the average."""
        kept = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._put(self.averages)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        # Through the parameter, not its `.data`: what a model has computed from its weights must be seen to be stale.
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
