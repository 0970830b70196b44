"""A model's answers to every file of a source, and how good they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from anybyte.batch import Data, form_of, make_batch, num_bytes, to_device
from anybyte.evaluate.metrics import Scores, score
from anybyte.evaluate.packing import BATCH_BYTES, needs_equal_lengths, pack_forms, windows
from anybyte.evaluate.views import logits_of
from anybyte.files.joined import JoinedSource
from anybyte.files.sources import Source
from anybyte.models.quantize import Precision
from anybyte.reading import Reading

_NUM_MISTAKES = 20

Transform = Callable[[bytes, str, np.random.Generator | None], Data]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: the file, its class, the answer, and the probability that the model gave the answer."""

    path: str
    label: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class SourceScore:
    """One of several joined data sets: its name, its files, and the share of them that are answered rightly."""

    name: str
    files: int
    top1: float


@dataclass(frozen=True, kw_only=True)
class Evaluation(Scores):
    """What `evaluate` found."""

    mistakes: tuple[Mistake, ...]
    """The 20 most confident ones, the worst first."""
    skipped: tuple[tuple[str, str], ...]
    """Files that could not be read, and why (only under `on_error="skip"`)."""
    bytes: int
    """Bytes that the model read: after re-encoding, or of the arrays that files were decoded to."""
    seconds: float
    """From the first file's reading to the last answer."""
    sources: tuple[SourceScore, ...] = ()
    """Each of the data sets that the source joins; none if it is one."""

    @property
    def files_per_second(self) -> float:
        return self.files / self.seconds

    @property
    def bytes_per_second(self) -> float:
        return self.bytes / self.seconds


def evaluate(
    model: nn.Module,
    source: Source,
    labels: Sequence[str],
    transform: Transform | None = None,
    *,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    batch_bytes: int = BATCH_BYTES,
    on_error: Literal["fail", "skip"] = "fail",
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """The model's scores on every file of a source. The same model and files give the same numbers, times aside.

    Args:
        model: `model(batch) -> logits [files, classes]`, of what `transform` gives. It is left in the mode it was in.
        source: labelled files. It need not have files of every class that the model knows.
        labels: the model's classes, by index.
        transform: a `Reading`, called as `transform(data, name, None)`: without augmentation. None: files as stored.
        device: where to compute. None: where the model is.
        precision: `bf16` computes under autocast, and so does `int8`, for which the model is to be `quantized`.
        batch_bytes: bytes computed at once, about.
        on_error: what an unreadable or empty file does: end the evaluation, or be listed in `skipped`.
        on_progress: called with the number of files done so far.

    Raises:
        ValueError: the source has classes that the model does not know, or files without a class, or empty ones, or
            none; or the model's logits are not finite. The message names what it is about.
    """
    targets = _targets(source, labels)
    answers = answer_all(
        model,
        source,
        transform,
        device=device,
        precision=precision,
        batch_bytes=batch_bytes,
        on_error=on_error,
        on_progress=on_progress,
    )
    order, table = answers.order, answers.logits
    truth, names = targets[order], [source.entries[index].name for index in order]
    return Evaluation(
        **vars(score(table, truth, labels)),
        mistakes=_worst_mistakes(table, truth, names, labels),
        skipped=answers.skipped,
        bytes=answers.bytes,
        seconds=answers.seconds,
        sources=_score_sources(source, order, table.argmax(1) == truth),
    )


@dataclass(frozen=True)
class Answers:
    """A model's answers to the files of a source.

    Attributes:
        logits: float32 [files, classes], all finite.
        order: which entries of the source they are of.
        skipped: files that could not be read, and why.
        bytes: that the model read.
        seconds: from the first file's reading to the last answer.
    """

    logits: Tensor
    order: list[int]
    skipped: tuple[tuple[str, str], ...]
    bytes: int
    seconds: float


def answer_all(
    model: nn.Module,
    source: Source,
    transform: Transform | None = None,
    *,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    batch_bytes: int = BATCH_BYTES,
    on_error: Literal["fail", "skip"] = "fail",
    on_progress: Callable[[int], None] | None = None,
) -> Answers:
    """The model's answers to every file of a source; for arguments and errors see `evaluate`."""
    views = transform.views if isinstance(transform, Reading) else 1
    device = torch.device(device) if device is not None else next(model.parameters()).device
    skipped: list[tuple[str, str]] = []
    logits: dict[int, Tensor] = {}
    read_bytes = 0
    was_training = model.training
    model.to(device).eval()
    start = time.perf_counter()
    try:
        read = _read(source, transform, skipped if on_error == "skip" else None)
        for window in windows(read, lambda file: num_bytes(file.data)):
            sizes, forms = [num_bytes(file.data) for file in window], [form_of(file.data) for file in window]
            for batch in pack_forms(sizes, forms, batch_bytes, needs_equal_lengths(model)):
                files = [window[index] for index in batch]
                rows = _forward(model, files, device, precision, views)
                read_bytes += sum(num_bytes(file.data) for file in files)
                logits.update(zip((file.number for file in files), rows, strict=True))
            if on_progress:
                on_progress(len(logits) + len(skipped))
    finally:
        model.train(was_training)
    seconds = time.perf_counter() - start
    order = sorted(logits)
    if not order:
        raise ValueError("there are no files to evaluate")
    table = torch.stack([logits[index] for index in order])
    _check_finite(table, [source.entries[index].name for index in order])
    return Answers(table, order, tuple(skipped), read_bytes, seconds)


class _File(NamedTuple):
    number: int
    name: str
    data: Data


def _targets(source: Source, labels: Sequence[str]) -> Tensor:
    """The class of each entry as an index into `labels`: int64 [files]."""
    known = {label: index for index, label in enumerate(labels)}
    foreign, unlabelled = set(), []
    targets = []
    for entry in source.entries:
        if entry.label < 0:
            unlabelled.append(entry.name)
        elif source.classes[entry.label] not in known:
            foreign.add(source.classes[entry.label])
        else:
            targets.append(known[source.classes[entry.label]])
    if foreign:
        raise ValueError(
            f"the data has classes that the model does not know: {_some(sorted(foreign))} (it knows {_some(labels)})"
        )
    if unlabelled:
        raise ValueError(f"files without a class cannot be evaluated: {_some(unlabelled)}")
    return torch.tensor(targets, dtype=torch.int64)


def _some(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _read(source: Source, transform: Transform | None, skipped: list[tuple[str, str]] | None) -> Iterator[_File]:
    """The files in the source's order; unreadable ones go to `skipped`, or end the reading if that is None."""
    for index, entry in enumerate(source.entries):
        try:
            data = source.read(index)
            if not data:
                raise ValueError(f"{entry.name} is empty: there is nothing to evaluate")
            yield _File(index, entry.name, _transformed(transform, data, entry.name))
        except (ValueError, OSError) as error:
            if skipped is None:
                raise
            skipped.append((entry.name, str(error)))


def _transformed(transform: Transform | None, data: bytes, name: str) -> Data:
    """What the model reads of a file in use."""
    if isinstance(transform, Reading):
        return transform.in_use(data, name)
    return transform(data, name, None) if transform else data


def _score_sources(source: Source, order: Sequence[int], right: Tensor) -> tuple[SourceScore, ...]:
    """The score of each joined data set; `right`, bool [files], is about the files of these numbers."""
    if not isinstance(source, JoinedSource):
        return ()
    origins = np.array([source.origin(index) for index in order])
    scores = []
    for name in source.names:
        of_it = right.numpy()[origins == name]
        if len(of_it):
            scores.append(SourceScore(name, len(of_it), float(of_it.mean())))
    return tuple(scores)


def _forward(model: nn.Module, files: list[_File], device: torch.device, precision: str, views: int) -> Tensor:
    batch = to_device(make_batch([file.data for file in files]), device)
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision != "fp32"):
            logits = logits_of(model, batch, views)
    except ValueError as error:  # a table of positions may be too short for one of them
        raise ValueError(f"the model refuses a file of {_some([file.name for file in files])}: {error}") from error
    return logits.float().cpu()


def _check_finite(logits: Tensor, names: list[str]) -> None:
    bad = (~logits.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(f"the model's scores are not finite numbers for {_some([names[index] for index in bad])}")


def _worst_mistakes(logits: Tensor, targets: Tensor, names: list[str], labels: Sequence[str]) -> tuple[Mistake, ...]:
    confidence, answers = logits.double().softmax(dim=1).max(dim=1)
    wrong = (answers != targets).nonzero().flatten().tolist()
    wrong.sort(key=lambda index: (-float(confidence[index]), names[index]))
    return tuple(
        Mistake(names[index], labels[int(targets[index])], labels[int(answers[index])], float(confidence[index]))
        for index in wrong[:_NUM_MISTAKES]
    )
