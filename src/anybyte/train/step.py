"""What a model computes in training: an optimiser step, a measurement. On one processor or many.

    a step:   parts of the global batch -> sums of losses -> gradients of the sums, added up over parts and processes
              -> divided by the global count -> clipped -> AdamW -> moving average

Gradients are divided once, by what the whole step really held, so that files left out or dealt unevenly weigh the same.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, gather_object, send_to_device
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from anybyte.config import OptimConfig
from anybyte.tasks import Sums, Task, add_sums
from anybyte.train.data import Part
from anybyte.train.optim import MovingAverage, create_optimizer, set_learning_rate


def create_accelerator(some_unused: bool = False) -> Accelerator:
    """The devices and processes that the launcher (none, torchrun, accelerate launch) gives this run.

    `some_unused`: a step may leave parameters without a gradient. Processes then look for them, which takes time.
    """
    return Accelerator(
        # The recipe decides: autocast, below.
        mixed_precision="no",
        # Unless told that there is nothing else, accelerate takes torchrun's processes for so many single ones.
        cpu=not torch.accelerator.is_available(),
        # The models' buffers are tables that grow with the files a process meets: nothing to make equal.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=some_unused)],
    )


class NotFinite(ArithmeticError):
    """A loss or gradient of a step is not finite; the weights are still those from before the step.

    Attributes:
        what: which of them.
        indices: the entries in the guilty parts of this process, or in all its parts if none is to blame by itself.
    """

    def __init__(self, what: str, indices: Sequence[int]) -> None:
        super().__init__(f"{what} is not finite")
        self.what, self.indices = what, tuple(indices)


class Refused(ValueError):
    """The model cannot take a file of a part.

    Attributes:
        indices: the entries in the part.
    """

    def __init__(self, error: ValueError, indices: Sequence[int]) -> None:
        super().__init__(str(error))
        self.indices = tuple(indices)


@dataclass(frozen=True)
class StepResult:
    """An optimiser step, over all processes.

    Attributes:
        loss: mean over the items of the step; 0 if it had none.
        grad_norm: before clipping.
        files, num_bytes: that were read.
        flag: whether any process raised its flag.
    """

    loss: float
    grad_norm: float
    files: int
    num_bytes: int
    flag: bool


class Stepper:
    """A model in training, with its optimiser and moving average, over the processes of an accelerator.

    Args:
        model: on any device, not wrapped; it is moved and wrapped here.
        task: what it is trained for.
        optim: settings of the optimiser.
        accelerator: devices and processes.
        bf16: whether the model computes in bfloat16 where that is safe (autocast).
        compile: whether the model is compiled.
    """

    def __init__(
        self, model: nn.Module, task: Task, optim: OptimConfig, accelerator: Accelerator, *, bf16: bool, compile: bool
    ) -> None:
        if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
            raise ValueError("FSDP version 1 is not supported: accelerate launch --fsdp_version 2")
        if compile:
            _compile_blocks(model)
        self.task, self.optim, self.accelerator, self.bf16 = task, optim, accelerator, bf16
        fused = accelerator.device.type == "cuda"
        with warnings.catch_warnings():
            # Its successor, forward_sync_buffers, is newer than the torch that we ask for and unknown to accelerate.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            self.model, wrapped = accelerator.prepare(model, create_optimizer(model, optim, fused))
        self.optimizer: torch.optim.Optimizer = wrapped.optimizer
        self.plain: nn.Module = accelerator.unwrap_model(self.model)
        self.average = None if optim.ema_decay is None else MovingAverage(self.plain, optim.ema_decay)

    def step(self, parts: Sequence[Part], step: int, rate: float, seed: int, flag: bool = False) -> StepResult:
        """One optimiser step.

        Args:
            parts: of the step's batch, those of this process.
            step: its number, from 0.
            rate: learning rate.
            seed: of the run. All randomness of the step follows from (seed, step, process).
            flag: anything that the processes should agree on.

        Raises:
            NotFinite: the loss or the gradient is; nothing has changed.
            Refused: the model cannot take a file.
        """
        torch.manual_seed(_mix(seed, step, self.accelerator.process_index))
        self.model.train()
        set_learning_rate(self.optimizer, rate)
        losses, count = [], 0
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(self.model):
                loss, items = self._loss(part)
                self.accelerator.backward(loss)
            losses.append(loss.detach())
            count += items
        local = [float(torch.stack(losses).sum()), count, _num_files(parts), sum(p.num_bytes for p in parts), flag]
        loss_sum, items_sum, files, num_bytes, flags = self.sum(local)
        norm = self._finish_gradients(items_sum)
        if not math.isfinite(loss_sum) or not math.isfinite(norm):
            self.optimizer.zero_grad()
            raise _not_finite(loss_sum, parts, losses)
        if items_sum:  # with every file of the step left out, there is nothing to learn from
            self.optimizer.step()
            if self.average:
                self.average.update(step)
        self.optimizer.zero_grad()
        return StepResult(loss_sum / max(1.0, items_sum), norm, int(files), int(num_bytes), flags > 0)

    def measure(self, parts: Iterable[Part]) -> dict[str, float]:
        """The task's metrics of the averaged weights over `parts`, of all processes; empty if there are no files.

        Raises:
            Refused: the model cannot take a file.
        """
        sums: Sums = {}
        self.model.eval()
        average = self.average.applied() if self.average else contextlib.nullcontext()
        # Not inference mode: FSDP cannot gather parameters in it, and what a model caches there is no use in training.
        with average, torch.no_grad(), self._autocast():
            for part in parts:
                with _naming(part):
                    measured = self.task.measure(self.model, *self._on_device(part))
                add_sums(sums, {} if part.is_placeholder else measured)
        sums = self._sum_by_name(sums)
        return self.task.summarise(sums) if sums else {}

    def is_finite(self) -> bool:
        """Whether all weights to keep (the moving average's) are finite numbers, on all processes."""
        weights = self.average.averages.values() if self.average else self.plain.parameters()
        local = [weight.to_local() if isinstance(weight, DTensor) else weight for weight in weights]
        return self.sum([not all(bool(weight.isfinite().all()) for weight in local)])[0] == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each number summed over the processes."""
        if self.accelerator.num_processes == 1:
            return [float(value) for value in values]
        tensor = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        total: list[float] = self.accelerator.reduce(tensor, reduction="sum").tolist()
        return total

    def _sum_by_name(self, sums: Sums) -> Sums:
        # Not by `sum`: a process that has only placeholders does not know the names.
        total: Sums = {}
        for one in gather_object([sums]) if self.accelerator.num_processes > 1 else [sums]:
            add_sums(total, one)
        return total

    def _loss(self, part: Part) -> tuple[Tensor, int]:
        """The part's summed loss, to be differentiated, and the items it counts."""
        with self._autocast(), _naming(part):
            loss, count = self.task.loss(self.model, *self._on_device(part))
        # A placeholder takes part in what processes do together, with no weight.
        return (loss * 0.0, 0) if part.is_placeholder else (loss, count)

    def _finish_gradients(self, count: float) -> float:
        """Turns gradients of sums into those of the mean, clips them, and returns their norm before clipping."""
        # DistributedDataParallel and FSDP have averaged over the processes: undo that.
        scale = self.accelerator.num_processes / max(1.0, count)
        parameters = list(self.model.parameters())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(scale)
        limit = math.inf if self.optim.clip_norm is None else self.optim.clip_norm
        norm = self.accelerator.clip_grad_norm_(parameters, limit)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _on_device(self, part: Part) -> tuple[Any, Any]:
        inputs, targets = send_to_device((part.inputs, part.targets), self.accelerator.device, non_blocking=True)
        return inputs, targets

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bf16)


@contextlib.contextmanager
def _naming(part: Part) -> Iterator[None]:
    """Has the model's refusals say which files they are about."""
    try:
        yield
    except ValueError as error:
        raise Refused(error, part.indices) from error


def _compile_blocks(model: nn.Module) -> None:
    """Compiles, in place, the repeated blocks of a model; or all of it, if it has none.

    Blocks are alike and are compiled once for any number of tokens. What lies around them plans the work for the files
    at hand, which would be compiled anew for every batch.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for block in [block for blocks in lists for block in blocks] or [model]:
        block.compile(dynamic=True)


def _not_finite(loss_sum: float, parts: Sequence[Part], losses: Sequence[Tensor]) -> NotFinite:
    guilty = [part for part, loss in zip(parts, losses, strict=True) if not bool(torch.isfinite(loss))]
    indices = [index for part in (guilty or parts) for index in part.indices]
    return NotFinite("the gradient" if math.isfinite(loss_sum) else "the loss", indices)


def _num_files(parts: Sequence[Part]) -> int:
    return sum(len(part.indices) for part in parts)


def _mix(seed: int, step: int, rank: int) -> int:
    """A seed for torch from three numbers, well mixed. Processes differ, or all would drop the same units."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
