"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file that is whole or not there.

A checkpoint is a safetensors file: the weights, their moving average and the optimiser's moments as tensors, and the
rest as JSON in the file's metadata. Being one file, it is replaced in one move. It holds no state of random generators:
all randomness of a step follows from (seed, step).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from anybyte.config import Recipe
from anybyte.reading import as_json
from anybyte.train.optim import MovingAverage

if TYPE_CHECKING:
    from anybyte.tasks import Examples

FREE_RUN_FIELDS = frozenset(
    {
        "out",
        "epochs",
        "max_minutes",
        "max_steps",
        "accumulation",
        "precision",
        "num_workers",
        "threads",
        "compile",
        "checkpoint_every",
        "evaluate_every",
        "patience",
        "resume",
        "tensorboard",
    }
)
"""Fields of `Recipe.run` that may differ between a checkpoint and the run that goes on from it."""

_KEY = "anybyte"


@dataclass
class State:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        epoch: the epoch of the next step.
        batch: the batch of that epoch that the next step reads.
        seconds: training time so far, over all restarts.
        best: metrics of the best validation so far, with its `step` and `epoch`.
        stale: validations since the best.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best: dict[str, float] | None = None
    stale: int = 0


class Checkpointer:
    """Writes and reads the checkpoints of one run: `last`, to go on from, and `best`, the weights to keep.

    Args:
        folder: where they lie.
        model: in training, without the wrapper for several processes; its parameters may be sharded.
        optimizer: of the model's parameters.
        average: the moving average, if there is one.
        identity: what makes the run what it is, see `identify`.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: MovingAverage | None,
        identity: dict[str, Any],
    ) -> None:
        self.last = folder / "last.safetensors"
        self.best = folder / "best.safetensors"
        self.model, self.optimizer, self.average, self.identity = model, optimizer, average, identity

    def save_last(self, state: State, is_main: bool) -> None:
        """Writes the newest checkpoint. All processes call this; the main one writes."""
        self._write(self.last, gather(self._tensors(), keep=is_main), state, is_main)

    def save_best(self, state: State, is_main: bool) -> None:
        """Writes the weights to keep (the moving average's). All processes call this; the main one writes."""
        average = self.average.averages if self.average else {}
        named = [(name, average.get(name, parameter)) for name, parameter in self.model.named_parameters()]
        named += _buffers(self.model)
        self._write(self.best, gather(named, keep=is_main), state, is_main)

    def clear(self) -> None:
        """Removes both, for a run that starts over."""
        self.last.unlink(missing_ok=True)
        self.best.unlink(missing_ok=True)

    def load_last(self) -> State:
        """Puts the newest checkpoint into the model, the average and the optimiser.

        Raises:
            ValueError: it is damaged, or belongs to another recipe or other files; the message says which.
        """
        tensors, metadata = read_checkpoint(self.last)
        check_identity(metadata["identity"], self.identity, self.last)
        owner = {name: tensor for name, tensor in self._tensors() if not name.startswith("optimizer.")}
        for name, tensor in owner.items():
            if name not in tensors:
                raise ValueError(f"{self.last}: the checkpoint has no {name}; start over with --run.no_resume")
            with torch.no_grad():
                tensor.copy_(_like(tensors[name], tensor))
        self._load_optimizer(tensors)
        return State(**metadata["state"])

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        names: dict[Tensor, str] = {}
        for name, parameter in self.model.named_parameters():
            names[parameter] = name
            yield f"model/{name}", parameter
        yield from ((f"model/{name}", buffer) for name, buffer in _buffers(self.model))
        averages = self.average.averages if self.average else {}
        yield from ((f"average/{name}", average) for name, average in averages.items())
        for owner, moments in self.optimizer.state.items():
            yield from ((f"optimizer.{kind}/{names[owner]}", tensor) for kind, tensor in moments.items())

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        on_device = {id(p) for group in self.optimizer.param_groups if group.get("fused") for p in group["params"]}
        for key, tensor in tensors.items():
            kind, _, name = key.partition("/")
            if not kind.startswith("optimizer."):
                continue
            parameter, kind = parameters[name], kind.removeprefix("optimizer.")
            if kind != "step":
                tensor = _like(tensor, parameter)
            elif id(parameter) in on_device:
                tensor = tensor.to(parameter.device)
            self.optimizer.state[parameter][kind] = tensor

    def _write(self, path: Path, tensors: dict[str, Tensor], state: State, is_main: bool) -> None:
        if not is_main:
            return
        metadata = {"state": dataclasses.asdict(state), "identity": self.identity}
        write_atomically(path, save(tensors, {_KEY: json.dumps(metadata)}))


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces the file `path` by `data`: readers, and a crash at any moment, see the old file or the new one, whole.

    Raises:
        OSError: it could not be written, a full disk for example; what was there before is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _draft(path)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = f"cannot be written ({error.strerror or error}); what was there before is intact"
        raise OSError(error.errno, reason, str(path)) from error


def remove_drafts(paths: Iterable[Path]) -> None:
    """Removes what a crash in the middle of `write_atomically` left beside `paths`."""
    for path in paths:
        _draft(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors on the CPU, metadata) of a checkpoint.

    Raises:
        ValueError: not a whole checkpoint of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {})[_KEY]
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata)  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one: {error}") from error


def gather(named: Iterable[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Whole tensors on the CPU, those sharded over processes put together; an empty dict on processes that do not keep.

    Every process must call this with the same names in the same order.
    """
    whole = {}
    for name, tensor in named:
        tensor = tensor.detach()
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()
        if keep:
            whole[name] = tensor.cpu().contiguous()
    return whole


def identify(recipe: Recipe, train: Examples, val: Examples) -> dict[str, Any]:
    """What makes a run what it is: the fields of its recipe that decide what is computed, and what it learns from."""
    fields: dict[str, Any] = dataclasses.asdict(recipe)
    fields["run"] = {key: value for key, value in fields["run"].items() if key not in FREE_RUN_FIELDS}
    fields.pop("name")
    fields["reading"] = as_json(recipe.reading)  # without the path of a key: its fingerprint stays
    fields["data"].pop("path")  # the files themselves say what they are, wherever they lie and however that is spelt
    digest = hashlib.sha256("\n".join((train.identity(), val.identity())).encode())
    return json.loads(json.dumps(fields | {"files": digest.hexdigest()}))  # type: ignore[no-any-return]


def check_identity(saved: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """Refuses to go on from another run's checkpoint.

    Raises:
        ValueError: naming the first field that differs, with both values.
    """
    was, is_ = _flatten(saved), _flatten(now)
    for field in sorted(was.keys() | is_.keys()):
        if was.get(field) == is_.get(field):
            continue
        what = (
            "the files have changed since: their names, labels or sizes"
            if field == "files"
            else f"{field} was {was.get(field)!r} there and is {is_.get(field)!r} now"
        )
        raise ValueError(
            f"{path} belongs to another run: {what}. Choose another folder (run.out), or start over (--run.no_resume)"
        )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The buffers that belong to the model's state."""
    kept = model.state_dict().keys()
    return ((name, buffer) for name, buffer in model.named_buffers() if name in kept)


def _like(whole: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor on the device, and in the shards, of `pattern`."""
    if isinstance(pattern, DTensor):
        return distribute_tensor(whole.to(pattern.device), pattern.device_mesh, pattern.placements)
    return whole.to(pattern.device)


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
