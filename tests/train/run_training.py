"""Trains the stand-in recipe in a process of its own: `run_training.py OUT JSON`.

The JSON holds `tiny_recipe`'s keywords. Beside them: `kill_after`, steps after which the process kills itself,
`splits`, keywords of `make_splits`, `shard`, whether the weights are sharded over the processes, and `declared`,
whether arrays are trained on instead of files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from anybyte.models.byteformer import ByteFormer
from anybyte.train.loop import train
from anybyte.train.step import Stepper, StepResult

from .standins import make_array_splits, make_splits, tiny_declared, tiny_recipe


def main(out: str, options: str) -> None:
    keywords = json.loads(options)
    kill_after, splits = keywords.pop("kill_after", None), keywords.pop("splits", {})
    if keywords.pop("shard", False):
        shard_weights()
    if kill_after is not None:
        kill_at_step(kill_after)
    if keywords.pop("declared", False):
        train(tiny_declared(out, **keywords), make_array_splits(), log_every=1)
    else:
        train(tiny_recipe(out, **keywords), make_splits(**splits), log_every=1)


def kill_at_step(number: int) -> None:
    """Has this process killed, as by a power cut, in place of optimiser step `number`."""
    step = Stepper.step

    def step_or_die(self: Stepper, *args: Any, **kwargs: Any) -> StepResult:
        nonlocal number
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        number -= 1
        return step(self, *args, **kwargs)

    Stepper.step = step_or_die  # type: ignore[method-assign]


def shard_weights() -> None:
    """Has accelerate shard weights (FSDP 2) on processors, as `accelerate launch --use_fsdp` does on GPUs only."""

    def prepare(self: Accelerator, model: ByteFormer, optimizer: torch.optim.AdamW) -> tuple[nn.Module, Any]:
        mesh = init_device_mesh("cpu", (self.num_processes,))
        names = {parameter: name for name, parameter in model.named_parameters()}
        for module in (*model.blocks, model):
            fully_shard(module, mesh=mesh)
        sharded = dict(model.named_parameters())
        for group in optimizer.param_groups:
            group["params"] = [sharded[names[parameter]] for parameter in group["params"]]
        return model, AcceleratedOptimizer(optimizer)

    Accelerator.prepare = prepare
    Accelerator.is_fsdp2 = property(lambda self: True)


if __name__ == "__main__":
    main(*sys.argv[1:])
