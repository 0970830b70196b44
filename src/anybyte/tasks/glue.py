"""GLUE (Wang et al. 2019): one task or several in one model, and GLUE's own metric for each.

How one model is told which task to answer (Jaegle et al. 2022, section 4.1, table 3):

    queries   a learned query a task
    shared    one token before the sentences, read back by the query at its place
    tokens    the same, with a token for each task

and behind what was read, two layers for each task, with a tanh between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import (
    ClassOutputConfig,
    GlueConfig,
    GlueName,
    OutputConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
)
from anybyte.files.glue import TASKS
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS
from anybyte.tasks import Sample, Sums
from anybyte.tasks.agreement import accuracy, f1, matthews, pearson, spearman
from anybyte.tasks.sentences import Prepared, join

_BYTES = BYTE_OFFSET + 256
_CENTRE, _SPREAD = 2.5, 1.5
"""A score is trained as (score - centre) / spread, which is about as large as a logit should be."""
_MISMATCHED = "_mm"
_METRICS = {"accuracy": accuracy, "f1": f1, "matthews": matthews, "pearson": pearson, "spearman": spearman}


class Glue:
    """Sentences to GLUE's answers; a `Task`.

    Args:
        model: what `glue_model` made.
        config: which tasks, and how the model is told.
        label_smoothing: of cross-entropy, in training only.

    Raises:
        ValueError: the model does not fit the config.
    """

    def __init__(self, model: PerceiverConfig, config: GlueConfig, label_smoothing: float = 0.0) -> None:
        if model != glue_model(model, config):
            raise ValueError(f"the model does not answer {', '.join(config.tasks)} by {config.conditioning}")
        (part,) = model.inputs
        assert isinstance(part, TokenInputConfig)
        self.config, self.label_smoothing, self.max_length = config, label_smoothing, part.max_length
        self.is_only = len(model.outputs) == 1

    def collate(self, samples: Sequence[Sample]) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """ids int64 [examples, longest] with their mask; by part of a task, its rows in the batch and their labels."""
        rows = [self._ids(sample.data) for sample in samples]
        ids = torch.full((len(rows), max(map(len, rows))), SPECIALS["[PAD]"], dtype=torch.int64)
        for row, found in zip(ids, rows, strict=True):
            row[: len(found)] = torch.from_numpy(found)
        lengths = torch.tensor([len(row) for row in rows])
        parts = [sample.data.part for sample in samples]
        targets = {
            part: {
                "rows": torch.tensor([number for number, other in enumerate(parts) if other == part]),
                "labels": torch.tensor([sample.label for sample in samples if sample.data.part == part]),
            }
            for part in dict.fromkeys(parts)
        }
        return {"ids": ids, "mask": torch.arange(ids.shape[1]) < lengths[:, None]}, targets

    def loss(
        self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, dict[str, Tensor]]
    ) -> tuple[Tensor, int]:
        """Summed over the examples: cross-entropy, of scores the squared error; and the number of examples."""
        losses = [
            _loss(task_of(part), answers, targets[part]["labels"], self.label_smoothing)
            for part, answers in self._answers(model, inputs, targets).items()
        ]
        return torch.stack(losses).sum(), len(inputs["ids"])

    def measure(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, dict[str, Tensor]]) -> Sums:
        """The loss without smoothing and the number of examples; by part of a task, lists of answers and labels."""
        sums: Sums = {"examples": float(len(inputs["ids"])), "loss": 0.0}
        for part, answers in self._answers(model, inputs, targets).items():
            labels, is_score = targets[part]["labels"], TASKS[task_of(part)].labels is None
            sums["loss"] += float(_loss(task_of(part), answers, labels, 0.0))
            given = answers[:, 0] * _SPREAD + _CENTRE if is_score else answers.argmax(1)
            sums[f"{part}/answers"], sums[f"{part}/labels"] = given.double().tolist(), labels.double().tolist()
        return sums

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Each part's metrics (`mrpc_f1`), `average` over the tasks of their means, and the mean `loss`."""
        metrics: dict[str, float] = {}
        for part in self.parts(sums):
            answers, labels = (np.array(sums[f"{part}/{what}"]) for what in ("answers", "labels"))
            for name in TASKS[task_of(part)].metrics:
                metrics[f"{part}_{name}"] = _METRICS[name](answers, labels)
        metrics["average"] = average(metrics)
        return metrics | {"loss": sums["loss"] / sums["examples"]}

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The average, and of equal ones the lower loss."""
        return (metrics["average"], -metrics["loss"])

    def parts(self, sums: Sums) -> list[str]:
        """The parts that were measured, in the order of the tasks."""
        names = [name for task in self.config.tasks for name in (task, task + _MISMATCHED)]
        return [name for name in names if f"{name}/labels" in sums]

    def _ids(self, data: Prepared) -> NDArray[np.int64]:
        return join(data.sentences, self.max_length, token_of(self.config, task_of(data.part)))

    def _answers(
        self, model: nn.Module, inputs: dict[str, Tensor], targets: Mapping[str, dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What the model says of each part's rows [rows, values]."""
        wanted = [task for task in self.config.tasks if any(task_of(part) == task for part in targets)]
        out = model(inputs["ids"], mask=inputs["mask"], outputs=wanted)
        by_task = {wanted[0]: out} if self.is_only else out
        return {part: by_task[task_of(part)][target["rows"]].float() for part, target in targets.items()}


def glue_model(body: PerceiverConfig, config: GlueConfig) -> PerceiverConfig:
    """A model of bytes with the outputs, and the tokens, that GLUE's tasks want.

    Args:
        body: with one input of byte tokens; its outputs matter only for the width of queries, and for an output of
            tokens, which lends its queries and which latents with places need.
        config: which tasks, and how the model is told.

    Raises:
        ValueError: the body reads anything else, or no task is named, or one twice, or several under `single`.
    """
    _check(config)
    part = body.inputs[0]
    if len(body.inputs) != 1 or not isinstance(part, TokenInputConfig) or part.vocabulary < _BYTES:
        raise ValueError(f"GLUE is read as bytes: the model needs one input of tokens with a vocabulary of {_BYTES}")
    if part.vocabulary > _BYTES + len(get_args(GlueName)):
        raise ValueError(f"GLUE is read as bytes: a vocabulary of {part.vocabulary} is not one of bytes")
    body = _shortened(body, config.max_length)
    part = body.inputs[0]
    assert isinstance(part, TokenInputConfig)
    known = {output.name: output for output in body.outputs}
    lenders = [output for output in body.outputs if isinstance(output, TokenOutputConfig)]
    classes = [output.query_channels for output in body.outputs if isinstance(output, ClassOutputConfig)]
    width = lenders[0].query_channels if lenders else classes[0] if classes else part.num_channels
    asks_at_token = config.conditioning in ("shared", "tokens")
    outputs: list[OutputConfig] = []
    if asks_at_token or any(grid.output == lender.name for grid in body.latent_grids for lender in lenders):
        standard = TokenOutputConfig(name=part.name, max_length=part.max_length, query_channels=width)
        outputs.append(lenders[0] if lenders else standard)
    for task in config.tasks:
        same = known.get(task)
        outputs.append(
            ClassOutputConfig(
                name=task,
                num_classes=TASKS[task].num_outputs,
                query_channels=width,
                query_of=outputs[0].name if asks_at_token else None,
                hidden=same.hidden if isinstance(same, ClassOutputConfig) else width,
            )
        )
    vocabulary = _BYTES + (len(config.tasks) if config.conditioning == "tokens" else 0)
    return dataclasses.replace(
        body, inputs=(dataclasses.replace(part, vocabulary=vocabulary),), outputs=tuple(outputs), query_padding=0
    )


def _shortened(body: PerceiverConfig, max_length: int | None) -> PerceiverConfig:
    """The same model for shorter texts: places keep their latents, so that weights of the longer one fit."""
    part = body.inputs[0]
    assert isinstance(part, TokenInputConfig)
    if max_length is None or max_length >= part.max_length:
        return body
    num_latents = body.num_latents * max_length / part.max_length if body.latent_grids else body.num_latents
    if max_length < 8 or num_latents != int(num_latents):
        step = part.max_length / body.num_latents
        raise ValueError(
            f"task.max_length must be at least 8, and a whole number of the {step:g} bytes that a latent stands for, "
            f"got {max_length}"
        )
    outputs = tuple(
        dataclasses.replace(output, max_length=max_length) if isinstance(output, TokenOutputConfig) else output
        for output in body.outputs
    )
    grids = tuple(dataclasses.replace(grid, shape=(int(num_latents),)) for grid in body.latent_grids)
    inputs = (dataclasses.replace(part, max_length=max_length),)
    return dataclasses.replace(body, inputs=inputs, outputs=outputs, num_latents=int(num_latents), latent_grids=grids)


def glue_config_of(model: PerceiverConfig) -> GlueConfig:
    """Which tasks a model answers, and how it is told, as its config says.

    Raises:
        ValueError: it is no model of GLUE.
    """
    answers = [output for output in model.outputs if isinstance(output, ClassOutputConfig)]
    names = tuple(cast("GlueName", output.name) for output in answers)  # those that it is not are refused below
    part = model.inputs[0]
    strange = [name for name in names if name not in TASKS]
    if strange or not names or not isinstance(part, TokenInputConfig):
        what = f"it answers {', '.join(strange)}" if strange else "it does not answer from text"
        raise ValueError(f"the model is none of GLUE: {what}; the tasks are {', '.join(TASKS)}")
    if answers[0].query_of is not None:
        told: Literal["tokens", "shared"] = "tokens" if part.vocabulary > _BYTES else "shared"
        return GlueConfig(tasks=names, conditioning=told)
    return GlueConfig(tasks=names, conditioning="single" if len(names) == 1 else "queries")


def token_of(config: GlueConfig, task: str) -> int | None:
    """The id of the token that stands before the sentences of a task; None if there is none."""
    if config.conditioning == "shared":
        return SPECIALS["[CLS]"]
    names: list[str] = [*config.tasks]
    return _BYTES + names.index(task) if config.conditioning == "tokens" else None


def task_of(part: str) -> str:
    """The task of a part: that of `mnli_mm` is `mnli`."""
    return part.removesuffix(_MISMATCHED)


def average(metrics: Mapping[str, float]) -> float:
    """GLUE's average: the mean over tasks, each of which counts with the mean of all its metrics.

    Raises:
        ValueError: there is no metric of any task.
    """
    means = [
        float(
            np.mean([value for name, value in metrics.items() if name.rpartition("_")[0] in (task, task + _MISMATCHED)])
        )
        for task in TASKS
        if any(name.rpartition("_")[0] in (task, task + _MISMATCHED) for name in metrics)
    ]
    if not means:
        raise ValueError("nothing was measured")
    return float(np.mean(means))


def _check(config: GlueConfig) -> None:
    for task in config.tasks:
        if task not in TASKS:
            raise ValueError(f"GLUE has no task {task!r}; it has {', '.join(TASKS)}")
    if not config.tasks or len(set(config.tasks)) < len(config.tasks):
        raise ValueError(f"task.tasks must name one task or more, each once, got {', '.join(config.tasks) or 'none'}")
    if config.conditioning == "single" and len(config.tasks) != 1:
        raise ValueError(
            f"task.conditioning single is for one task, got {', '.join(config.tasks)}: choose queries, shared or tokens"
        )


def _loss(task: str, answers: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Summed over the examples."""
    if TASKS[task].labels is None:
        return F.mse_loss(answers[:, 0], (labels.float() - _CENTRE) / _SPREAD, reduction="sum")
    return F.cross_entropy(answers, labels.long(), reduction="sum", label_smoothing=label_smoothing)
