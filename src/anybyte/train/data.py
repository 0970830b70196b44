"""From examples (files, arrays) to the parts of each optimiser step.

Which examples a step reads is drawn once for all processes, from (seed, epoch) alone; then they are dealt to the
processes and cut into accumulation parts. Each one's augmentation is seeded by (seed, epoch, index). So neither
workers, processes, parts nor a restart change what is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from anybyte.batch import Data, num_bytes
from anybyte.reading.base import ArrayReading
from anybyte.tasks import Examples, GrowingExamples, Sample, Task
from anybyte.tasks.classify import MixedLabel

if TYPE_CHECKING:
    from anybyte.files.sources import Entry, Source
    from anybyte.reading import Mixed, Reading

NO_EPOCH = -1
"""The epoch of validation files: no augmentation, the same randomness each time."""

_PROBES = 32
"""Files that are transformed in order to learn what re-encoding does to their sizes."""

Indices = NDArray[np.int64]
Key = tuple[int, int]
"""(epoch, index of the entry); index -1 is a placeholder."""


class Problem(NamedTuple):
    """A file that could not be read, decoded or used."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.reason if self.name in self.reason else f"{self.name}: {self.reason}"


class Part(NamedTuple):
    """What one process computes at once: some of the files of one step, or a placeholder when it has none of them.

    A placeholder holds one made-up file, so that every process takes part in the collective work of each step; its loss
    does not count.
    """

    inputs: Any
    targets: Any
    indices: tuple[int, ...]
    num_bytes: int
    problems: tuple[Problem, ...]

    @property
    def is_placeholder(self) -> bool:
        return not self.indices


class Files:
    """The files of a source as `Examples` of their classes, each augmented and encoded, or decoded, when it is read.

    With mix-up or CutMix, which other file is mixed in, and how much of it, is drawn from the file's own randomness.

    Args:
        source: where the files are.
        transform: applied to each file; it receives a generator for augmentation except in validation.
    """

    def __init__(self, source: Source, transform: Reading) -> None:
        self.source = source
        self.transform = transform

    def __len__(self) -> int:
        return len(self.source.entries)

    def name(self, index: int) -> str:
        return self.source.entries[index].name

    def sizes(self) -> Indices:
        return planned_sizes(self.source, self.transform)

    def identity(self) -> str:
        """Of the files' names, labels and sizes, wherever they lie."""
        digest = hashlib.sha256()
        for entry in self.source.entries:
            digest.update(f"{entry.name}\0{entry.label}\0{entry.size}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[Data, int | MixedLabel]:
        entry, data, augment = self.source.entries[index], self.source.read(index), self.transform.augment
        if rng is not None and augment.mixup + augment.cutmix:
            drawn = rng.random()
            if drawn < augment.mixup + augment.cutmix:
                cut = drawn >= augment.mixup
                alpha = augment.cutmix_alpha if cut else augment.mixup_alpha
                other, weight = int(rng.integers(len(self))), float(rng.beta(alpha, alpha))
                mixed = self._mix(entry, data, other, weight, rng, cut)
                if mixed is not None:
                    return mixed.data, MixedLabel(entry.label, self.source.entries[other].label, mixed.weight)
        found = self.transform(data, entry.name, rng)
        if isinstance(found, Mapping):
            self._check_whole(found, entry.name)
        return found, entry.label

    def _check_whole(self, arrays: Mapping[str, Any], name: str) -> None:
        """In use a model may do without some of its inputs; examples that are stacked must have all."""
        whole = self.transform.blank()
        lacking = [part for part in whole if part not in arrays] if isinstance(whole, Mapping) else []
        if lacking:
            raise ValueError(f"{name} has no {' and no '.join(lacking)}: training needs files with every input")

    def _mix(
        self, entry: Entry, data: bytes, other: int, weight: float, rng: np.random.Generator, cut: bool
    ) -> Mixed | None:
        """The file mixed with another; None if that one does not go with it, or cannot be read."""
        try:
            partner = self.source.read(other)
        except (ValueError, OSError):
            return None  # every file has its own turn in an epoch, and then this is reported
        return self.transform.mix(data, entry.name, partner, self.source.entries[other].name, weight, rng, cut=cut)

    def blank(self) -> tuple[Data, int]:
        return self.transform.blank(), 0


class Keyed(Dataset[tuple[int, Sample | Problem]]):
    """Examples by (epoch, index), each with randomness of its own.

    One that fails comes out as a `Problem`, not as an exception: the process that trains decides what becomes of it.

    Args:
        examples: to read from.
        seed: of all randomness.
    """

    def __init__(self, examples: Examples, seed: int) -> None:
        self.examples = examples
        self.seed = seed

    def __getitem__(self, key: Key) -> tuple[int, Sample | Problem]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch + 1, index + 1])
        if index < 0:
            return index, Sample(*self.examples.blank(), rng)
        examples = self.examples
        if epoch != NO_EPOCH and isinstance(examples, GrowingExamples):
            examples = examples.at(epoch)
        try:
            data, label = examples.read(index, None if epoch == NO_EPOCH else rng)
        except OSError as error:
            return index, Problem(self.examples.name(index), error.strerror or str(error))
        except ValueError as error:
            return index, Problem(self.examples.name(index), str(error))
        return index, Sample(data, label, rng)


class Collate:
    """Samples to a `Part`. A class, not a closure, so that it can be sent to workers."""

    def __init__(self, task: Task, examples: Examples) -> None:
        self.task, self.examples = task, examples

    def __call__(self, items: list[tuple[int, Sample | Problem]]) -> Part:
        good = [(index, item) for index, item in items if isinstance(item, Sample)]
        problems = tuple(item for _, item in items if isinstance(item, Problem))
        samples = [sample for _, sample in good] or [Sample(*self.examples.blank(), np.random.default_rng(0))]
        inputs, targets = self.task.collate(samples)
        indices = tuple(index for index, _ in good if index >= 0)
        num_bytes = sum(sample.num_bytes for sample in samples) if indices else 0
        return Part(inputs, targets, indices, num_bytes, problems)


class Plan:
    """Which files each step of an epoch reads.

    Args:
        sizes: int64 [files], bytes of each file as the model reads it (`Examples.sizes`).
        batch_files: files in a batch, at most.
        batch_bytes: bytes in a batch, at most; a longer file is a batch of its own.
        seed: of the shuffles.
    """

    def __init__(self, sizes: Indices, batch_files: int, batch_bytes: int, seed: int) -> None:
        if batch_files < 1 or batch_bytes < 1:
            raise ValueError(f"a batch needs at least one file and one byte, got {batch_files} and {batch_bytes}")
        self.sizes = sizes
        self.batch_files = batch_files
        self.batch_bytes = batch_bytes
        self.seed = seed

    def epoch(self, epoch: int) -> list[Indices]:
        """The batches of an epoch: every file once, in random company and random order.

        Nothing is padded, so there is little to gain from batches of one length, and much to lose: length often tells
        the format or the class, and a batch of one kind of file undoes some of what the one before it taught.
        """
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.sizes))
        # Files that are batches of their own go last here: among the others they would cut batches short.
        alone = self.sizes[order] > self.batch_bytes
        batches = [*self._cut(order[~alone]), *self._cut(order[alone])]
        # Within a batch from short to long, so that dealing its files one by one evens out the processes' work.
        batches = [batch[np.argsort(self.sizes[batch], kind="stable")] for batch in batches]
        return [batches[index] for index in rng.permutation(len(batches))]

    def in_order(self) -> list[Indices]:
        """Every file once, from short to long: the batches of validation."""
        return self._cut(np.argsort(self.sizes, kind="stable"))

    def _cut(self, order: Indices) -> list[Indices]:
        batches, first, num_bytes = [], 0, 0
        for position, size in enumerate(self.sizes[order].tolist()):
            full = position - first == self.batch_files or num_bytes + size > self.batch_bytes
            if full and position > first:
                batches.append(order[first:position])
                first, num_bytes = position, 0
            num_bytes += size
        return [*batches, order[first:]] if len(order) else []


class Deal:
    """The keys of this process's parts, part after part, over a run of batches; the sampler of a `DataLoader`.

    Args:
        plan: draws the batches.
        epochs: the epochs to go through; `[NO_EPOCH]` takes the files in order.
        rank: of this process among `world`.
        parts: accumulation parts that each batch is cut into.
        skip: batches of the first epoch that are done already.
    """

    def __init__(self, plan: Plan, epochs: Sequence[int], rank: int, world: int, parts: int, skip: int = 0) -> None:
        self.plan, self.epochs, self.rank, self.world, self.parts, self.skip = plan, epochs, rank, world, parts, skip

    def __iter__(self) -> Iterator[list[Key]]:
        for number, epoch in enumerate(self.epochs):
            batches = self.plan.in_order() if epoch == NO_EPOCH else self.plan.epoch(epoch)
            for batch in batches[self.skip if number == 0 else 0 :]:
                yield from self._parts(epoch, batch)

    def _parts(self, epoch: int, batch: Indices) -> Iterator[list[Key]]:
        # The files lie in order of length, see `Plan`.
        mine = batch[self.rank :: self.world]
        for part in range(self.parts):
            yield [(epoch, index) for index in mine[part :: self.parts].tolist()] or [(epoch, -1)]


def load_parts(
    examples: Examples, task: Task, deal: Deal, *, seed: int, num_workers: int = 0, pin_memory: bool = False
) -> Iterable[Part]:
    """The parts that `deal` names, in its order, read ahead by `num_workers` processes (0: read when asked for)."""
    return DataLoader(
        Keyed(examples, seed),
        batch_sampler=deal,
        collate_fn=Collate(task, examples),
        num_workers=num_workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if num_workers else None,
    )


def planned_sizes(source: Source, transform: Reading) -> Indices:
    """Bytes that the model will read of each file: int64 [files].

    Exact where files are read as they are stored, or decoded to arrays of one form. Where they are encoded anew, a few
    are, and the others' sizes follow from theirs: the same if those are all alike, else in proportion to the stored
    size. Batches are planned by this, so a re-encoded one may exceed its budget by as much as files differ in how well
    they compress.
    """
    stored = np.array([max(1, entry.size) for entry in source.entries], dtype=np.int64)
    if isinstance(transform, ArrayReading):
        return np.full_like(stored, num_bytes(transform.blank()))
    probes: Indices = np.unique(np.linspace(0, len(stored) - 1, min(_PROBES, len(stored)), dtype=np.int64))
    before: list[int] = []
    after: list[int] = []
    for index in probes.tolist():
        try:
            data = source.read(index)
            encoded = transform(data, source.entries[index].name, None)
        except (ValueError, OSError):
            continue  # training meets this file as well, and says so
        before.append(len(data))
        after.append(num_bytes(encoded))
    if before == after or not sum(before):
        return stored
    if len(set(after)) == 1:
        return np.full_like(stored, after[0])
    return np.maximum(1, stored * sum(after) // sum(before))
