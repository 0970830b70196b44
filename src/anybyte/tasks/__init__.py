"""What a model is trained for, and on. A `Task` and its `Examples` are all that the training loop knows of it.

Every quantity that leaves a task is additive: a loss is a sum and comes with the count it is a sum over, and what
validation measures is a dict of sums (`Sums`). So the loop may cut a batch into parts, deal it to processes and add up
the pieces, and the result is that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from anybyte.batch import num_bytes

Sums = dict[str, Any]
"""What is measured, by name: numbers, which are added up; or lists, which are joined, for metrics that no sum
expresses, such as rank correlations. Nothing is promised of the order of a list, but that lists of equal length which
`measure` returns together stay in step."""


def add_sums(total: Sums, more: Mapping[str, Any]) -> None:
    """Adds what was measured on further examples to what was measured so far."""
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


@dataclass(frozen=True)
class Sample:
    """One example, read and transformed, on its way into a batch.

    Attributes:
        data: what the model may read: the bytes of a file, an array, arrays by name.
        label: what it should answer; for files the index of their class, -1 if they have none.
        rng: this example's own randomness in this epoch. What a task draws from it (a mask, say) is the same in any
            batch, process or restart.
    """

    data: Any
    label: Any
    rng: np.random.Generator

    @property
    def num_bytes(self) -> int:
        """Bytes of its data."""
        return num_bytes(self.data)


class Examples(Protocol):
    """What a task learns from: files, arrays in memory, texts, pairs of frames. Picklable; `read` runs in workers.

    Examples know nothing of seeds and epochs: the loop hands them the randomness of each reading.
    """

    def __len__(self) -> int:
        """How many there are; none is allowed for validation."""
        ...

    def name(self, index: int) -> str:
        """What messages call an example: the path of a file."""
        ...

    def sizes(self) -> NDArray[np.int64]:
        """Bytes that the model reads of each, about: int64 [examples]. Batches are planned by them."""
        ...

    def identity(self) -> str:
        """A digest that tells these examples from others, by which a checkpoint knows its own."""
        ...

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[Any, Any]:
        """(data, label) of an example, changed at random by `rng`; None: as it is, for validation.

        Raises:
            ValueError, OSError: it cannot be used; the run leaves it out or stops, as `data.on_error` says.
        """
        ...

    def blank(self) -> tuple[Any, Any]:
        """(data, label) of a made-up example, for a process that has none in a step; its loss does not count."""
        ...


@runtime_checkable
class GrowingExamples(Examples, Protocol):
    """Examples that change as training goes on: a curriculum."""

    def at(self, epoch: int) -> Examples:
        """Those of an epoch, from 0."""
        ...


@dataclass(frozen=True)
class ExampleSplits:
    """What to learn from, and what to measure on; an empty `val` makes the newest weights the best."""

    train: Examples
    val: Examples


class Task(Protocol):
    """What the loop asks of a task. Tasks are picklable: `collate` runs in workers.

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

    def measure(self, model: nn.Module, inputs: Any, targets: Any) -> Sums:
        """Sums for validation. They are added up over batches and processes, then handed to `summarise`."""
        ...

    def summarise(self, sums: Sums) -> dict[str, float]:
        """The metrics, by name, that the sums over a whole split amount to."""
        ...

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """How good the metrics are: the larger tuple is better."""
        ...
