"""Declared problems: any named arrays in, any named answers out, each with a loss of its own.

One rule serves all kinds of outputs. An answer is [batch, places, channels], a class being one place. Its target is
either a class a place (cross-entropy) or a number a channel (binary cross-entropy, l1, mse); where it is missing, a
class below 0 or NaN, nothing is counted. An example's loss is the weighted sum over the outputs of the mean over what
is known of it; an example of which nothing is known counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.config import (
    DeclaredConfig,
    EntityOutputConfig,
    GridOutputConfig,
    LabelInputConfig,
    LossConfig,
    OutputConfig,
    PerceiverConfig,
    TokenInputConfig,
)
from anybyte.models.contradictions import check_losses, num_places, whole_shape
from anybyte.models.inputs.patches import to_patches
from anybyte.tasks import Examples, Sample, Sums, Task, add_sums
from anybyte.tasks.sets import is_set, pad_sets, pad_targets

_MASK = ".mask"
_PIECE = 2**14
"""Queries decoded at once when nothing is learnt."""
_ONE_OF = "cross_entropy"


class Declared:
    """Arrays to arrays, as a Perceiver's config and a loss for each output say; a `Task`.

    Args:
        config: of the model.
        task: the losses.

    Raises:
        ValueError: a loss without an output, or one that does not fit it; the message names both.
    """

    def __init__(self, config: PerceiverConfig, task: DeclaredConfig) -> None:
        self.config, self.losses = config, task.losses
        self.outputs = {output.name: output for output in config.outputs}
        check_losses(config, task)
        self.vocabulary = next((part.vocabulary for part in config.inputs if isinstance(part, TokenInputConfig)), 0)
        self.sets = {part.name for part in config.inputs if is_set(part)}
        self.sources = {
            output.name: output.input or config.inputs[0].name
            for output in config.outputs
            if isinstance(output, EntityOutputConfig) and (output.input or config.inputs[0].name) in self.sets
        }
        self.one_hot = {part.name: part.num_classes for part in config.inputs if isinstance(part, LabelInputConfig)}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes, if the model's only output has such."""
        return self.losses[0].labels or None if len(self.outputs) == 1 else None

    def collate(self, samples: Sequence[Sample]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arrays, masks and rows to the model's arguments; targets by output, with the rows asked for.

        Sets of unequal size are padded, and what pads them is masked and has no target.
        """
        columns = {name: [sample.data[name] for sample in samples] for name in samples[0].data}
        masks: dict[str, Any] = {
            name.removesuffix(_MASK): values for name, values in columns.items() if name.endswith(_MASK)
        }
        arrays, targets = {}, {}
        for name, values in columns.items():
            if name in self.sets:
                arrays[name], masks[name] = pad_sets(values, masks.get(name))
            elif not name.endswith(_MASK):
                one_hot = self.one_hot.get(name)
                arrays[name] = _stack(values) if one_hot is None else _one_hot(values, one_hot)
        kept = {name: _stack(values) for name, values in masks.items() if values is not None}
        for loss in self.losses:
            wanted, source = [_target(loss, sample) for sample in samples], self.sources.get(loss.output)
            targets[loss.output] = (
                _stack(wanted) if source is None else pad_targets(wanted, columns[source], masks[source])
            )
        rows = {}
        for loss in self.losses:
            if loss.rows is not None:
                places = num_places(self.outputs[loss.output])
                chosen = [sample.rng.choice(places, loss.rows, replace=False, shuffle=False) for sample in samples]
                rows[loss.output] = torch.from_numpy(np.sort(np.stack(chosen).astype(np.int64)))
        return {"arrays": arrays, "mask": kept}, {"values": targets, "rows": rows}

    def loss(self, model: nn.Module, inputs: dict[str, Any], targets: dict[str, Any]) -> tuple[Tensor, int]:
        """The weighted losses summed over the examples, and how many there are; of random places, if `rows` are set."""
        rows = targets["rows"]
        answers = self._answer(model, inputs, rows)
        total = sum(
            loss.weight * self._example_losses(loss, answers, targets["values"], rows.get(loss.output), True).sum()
            for loss in self.losses
        )
        assert isinstance(total, Tensor)
        return total, _batch_size(inputs)

    def measure(self, model: nn.Module, inputs: dict[str, Any], targets: dict[str, Any]) -> dict[str, float]:
        """Sums for each output, of all its places: errors, squares, right answers, and what they are counts of."""
        answers = self._answer(model, inputs, {})
        sums = {"examples": float(_batch_size(inputs)), "loss": 0.0}
        for loss in self.losses:
            each = self._example_losses(loss, answers, targets["values"], None, False)
            sums["loss"] += loss.weight * float(each.sum())
            out, target, known = self._pair(loss, answers, targets["values"], None)
            one = {"known": float(known.sum())}
            if loss.loss == _ONE_OF:
                one["right"] = float(((out.argmax(-1) == target) & known).sum())
            elif loss.loss == "binary_cross_entropy":
                one["right"] = float((((out > 0) == (target > 0.5)) & known).sum())
            else:
                error, value = (torch.where(known, x, 0).double() for x in (out - target, target))
                one |= {"absolute": float(error.abs().sum()), "square": float(error.square().sum())}
                one |= {"value": float(value.sum()), "value_square": float(value.square().sum())}
            sums |= {f"{loss.output}/{name}": value for name, value in one.items()}
        return sums

    def summarise(self, sums: dict[str, float]) -> dict[str, float]:
        """`loss`, and for each output of which anything is known: `accuracy`, or `mae`, `psnr` (in dB) and `r2`.

        PSNR is relative to the output's `peak`. R² is the share of the targets' variance that is explained.
        """
        metrics = {"loss": sums["loss"] / sums["examples"]}
        for loss in self.losses:
            one = {name: sums.get(f"{loss.output}/{name}", 0.0) for name in ("known", "right", "absolute", "square")}
            known = one["known"]
            if not known:
                continue
            if loss.loss in (_ONE_OF, "binary_cross_entropy"):
                metrics[f"{loss.output}_accuracy"] = one["right"] / known
                continue
            mean = sums[f"{loss.output}/value"] / known
            variance = sums[f"{loss.output}/value_square"] / known - mean**2
            error = max(one["square"] / known, 1e-12)
            metrics[f"{loss.output}_mae"] = one["absolute"] / known
            metrics[f"{loss.output}_psnr"] = 10 * math.log10(loss.peak**2 / error)
            metrics[f"{loss.output}_r2"] = 1 - error / max(variance, 1e-12)
        return metrics

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The lower the loss, the better."""
        return (-metrics["loss"],)

    def _answer(self, model: nn.Module, inputs: dict[str, Any], rows: dict[str, Tensor]) -> Mapping[str, Tensor]:
        piece = None if torch.is_grad_enabled() else _PIECE
        answers = model(inputs["arrays"], mask=inputs["mask"] or None, rows=rows or None, piece=piece)
        return answers if isinstance(answers, Mapping) else {self.config.outputs[0].name: answers}

    def _pair(
        self, loss: LossConfig, answers: Mapping[str, Tensor], targets: dict[str, Tensor], rows: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(answers [batch, places, channels], targets without gaps, where they are known); both of the same places."""
        out, target = answers[loss.output].float(), targets[loss.output]
        is_class, batch = loss.loss == _ONE_OF, len(out)
        whole = out.shape[1:] if rows is None else whole_shape(self.outputs[loss.output], self.vocabulary)
        expected = tuple(whole[:-1] if is_class else whole)
        if tuple(target.shape[1:]) != expected:
            what = "a class for each of" if is_class else "numbers of shape"
            got = tuple(target.shape[1:])
            raise ValueError(f"the target of output {loss.output!r} must be {what} {expected}, got {got}")
        if is_class:
            target = target.flatten(1) if target.dim() > 1 else target[:, None]
            target = target if rows is None else target.gather(1, rows)
            return out.reshape(batch, target.shape[1], -1), target.clamp(min=0).long(), target >= 0
        if rows is None:
            out, target = out[:, None].flatten(1, -2), target[:, None].flatten(1, -2).float()
        else:
            target = _by_query(self.outputs[loss.output], target.float())
            target = target.gather(1, rows[..., None].expand(-1, -1, target.shape[2]))
            out = out.reshape(target.shape)
        return out, target.nan_to_num(), ~target.isnan()

    def _example_losses(
        self,
        loss: LossConfig,
        answers: Mapping[str, Tensor],
        targets: dict[str, Tensor],
        rows: Tensor | None,
        is_training: bool,
    ) -> Tensor:
        """[batch] the mean of one output's loss over what is known of each example."""
        out, target, known = self._pair(loss, answers, targets, rows)
        if loss.loss == _ONE_OF:
            smoothing = loss.label_smoothing if is_training else 0.0
            each = F.cross_entropy(out.flatten(0, 1), target.flatten(), reduction="none", label_smoothing=smoothing)
            each = each.view_as(target)
        else:
            each = _ELEMENTWISE[loss.loss](out, target, reduction="none")
        counted = torch.where(known, each, 0).flatten(1).sum(1)
        return counted / known.flatten(1).sum(1).clamp(min=1)


def arrays_read(config: PerceiverConfig) -> tuple[str, ...]:
    """The names of the model's inputs."""
    return tuple(part.name for part in config.inputs)


def arrays_wanted(task: DeclaredConfig) -> tuple[str, ...]:
    """The names of the targets, without those that are inputs as well."""
    return tuple(loss.output for loss in task.losses if loss.target is None)


def measure(
    model: nn.Module,
    task: Task,
    examples: Examples,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """A task's metrics of a model over examples, such as those of a test split, on the model's device.

    `progress` is called with the number of examples done, and of all.

    Raises:
        ValueError: there are no examples, or one cannot be used.
    """
    if not len(examples):
        raise ValueError("there are no examples to measure on")
    device = next(model.parameters()).device
    sums: Sums = {}
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for first in range(0, len(examples), batch_size):
            indices = range(first, min(first + batch_size, len(examples)))
            batch = [Sample(*examples.read(index, None), np.random.default_rng(index)) for index in indices]
            inputs, targets = send_to_device(task.collate(batch), device)
            add_sums(sums, task.measure(model, inputs, targets))
            if progress is not None:
                progress(indices.stop, len(examples))
    model.train(was_training)
    return task.summarise(sums)


_ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "l1": F.l1_loss,
    "mse": F.mse_loss,
}


def _target(loss: LossConfig, sample: Sample) -> Any:
    """What an example should answer for one output."""
    where, name = (sample.label, loss.output) if loss.target is None else (sample.data, loss.target)
    if name not in where:
        raise ValueError(f"the target of output {loss.output!r} is missing: there is no array {name!r}")
    return where[name]


def _by_query(output: OutputConfig, target: Tensor) -> Tensor:
    """A whole target as [batch, queries, values of one query]."""
    if isinstance(output, GridOutputConfig) and output.patch is not None:
        target = to_patches(target.reshape(len(target), *output.shape, -1), output.name, output.patch)
    return target.reshape(len(target), num_places(output), -1)


def _stack(values: Sequence[Any]) -> Any:
    """One tensor of equal arrays; a `ByteBatch` of files."""
    if isinstance(values[0], bytes):
        return ByteBatch.from_bytes(list(values))
    array = np.stack(values)
    return torch.from_numpy(array.astype(np.float32) if array.dtype in (np.float64, np.float16) else array)


def _one_hot(values: Sequence[Any], num_classes: int) -> Tensor:
    """Classes [batch] as the model reads them; what is one-hot already stays."""
    labels = _stack(values)
    is_class = labels.dim() == 1
    return F.one_hot(labels.long(), num_classes).float() if is_class else labels


def _batch_size(inputs: dict[str, Any]) -> int:
    return len(next(iter(inputs["arrays"].values())))
