"""What a model is trained for. A `Task` is all that the training loop knows of it.

Every quantity that leaves a task is additive: a loss is a sum and comes with the count it is a sum over, and what
validation measures is a dict of sums. So the loop may cut a batch into parts, deal it to processes and add up the
pieces, and the result is that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn


@dataclass(frozen=True)
class Sample:
    """One file, read and transformed, on its way into a batch.

    Attributes:
        data: what the model may read.
        label: index of its class, -1 if it has none.
        rng: this file's own randomness in this epoch. What a task draws from it (a mask, say) is the same in any
            batch, process or restart.
    """

    data: bytes
    label: int
    rng: np.random.Generator


class Task(Protocol):
    """What the loop asks of a task. Tasks are picklable: `collate` runs in data loading processes.

    The inputs are whatever the model takes, the targets whatever the loss compares with: tensors, lists and dicts of
    them, or objects with `.to(device)` and `.pin_memory()`.
    """

    def collate(self, samples: Sequence[Sample]) -> tuple[Any, Any]:
        """(inputs, targets) of one or more samples."""
        ...

    def loss(self, model: nn.Module, inputs: Any, targets: Any) -> tuple[Tensor, int]:
        """The loss summed over the items, and the number of items (files, masked tokens, pixels).

        `model` may be wrapped for several processes: call it as `model(...)`, not by its other methods, and once only.
        """
        ...

    def measure(self, model: nn.Module, inputs: Any, targets: Any) -> dict[str, float]:
        """Sums for validation. They are added up over batches and processes, then handed to `summarise`."""
        ...

    def summarise(self, sums: dict[str, float]) -> dict[str, float]:
        """The metrics, by name, that the sums over a whole split amount to."""
        ...

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """How good the metrics are: the larger tuple is better."""
        ...
