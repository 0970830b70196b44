"""`anybyte evaluate` for models that say which class a file is of."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from anybyte.config import DataConfig
from anybyte.evaluate.report import summarise, write_report
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.evaluate.runner import Evaluation
from anybyte.evaluate.runner import evaluate as run
from anybyte.evaluate.several import evaluate_several
from anybyte.files.sources import Source, open_source, open_splits
from anybyte.predictor import Predictor, load_as
from anybyte.reading import Reading, describe

_FROM_TRAINING = ("path", "val_fraction", "test_fraction", "split_seed", "separator", "max_bytes", "on_error")
"""Fields of a recipe's `data` that evaluation follows, so that the test part is what training held out."""


def evaluate(request: Request) -> Findings:
    """Accuracy, calibration and confusions on labelled files; writes its own report.

    `request.options`: format, key, on_error, out, and `recipe_file`, the path of the run's recipe or None.
    """
    options = request.options
    data = _data_config(request)
    predictor = load_as(Predictor, request.name, device=request.device, precision=request.precision, key=options["key"])
    reading = _reading(predictor.reading, options["format"], data.max_bytes)
    several = bool(predictor.model.has_several)
    source, part = _open(data, request.split or "test", several)
    total, progress = len(source.entries), request.progress
    about = {"data": data.path, "part": part, "format": describe(reading.config)}
    if several:
        return _several(request, predictor, reading, source, data, about)
    evaluation = run(
        predictor.model,
        source,
        predictor.labels,
        reading,
        precision=predictor.precision,
        on_error=data.on_error,
        on_progress=None if progress is None else lambda done: progress(done, total),
    )
    write_report(evaluation, options["out"], {"model": request.name, **about})
    return Findings(
        about=about, text=_table(evaluation), numbers={}, written=f"{os.path.join(options['out'], 'report')}.json, "
        ".md and .png"
    )  # fmt: skip


def read_data_settings(path: Path) -> dict[str, Any]:
    """What a recipe says of its data: fields of `DataConfig` that evaluation follows."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
        return {name: data[name] for name in _FROM_TRAINING if name in data}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not the recipe of a training run: {error!r}") from error


def _data_config(request: Request) -> DataConfig:
    """Where the files come from: as in training, unless the command line says otherwise."""
    recipe, on_error = request.options["recipe_file"], request.options["on_error"]
    fields = read_data_settings(recipe) if recipe else {}
    if request.data is not None:
        fields["path"] = request.data
    if on_error is not None:
        fields["on_error"] = on_error
    if not fields.get("path"):
        raise ValueError(f"{request.name} has no recipe.json that names its data: name labelled files with --data")
    return dataclasses.replace(DataConfig(), **fields)


def _reading(own: Reading, format: str | None, max_bytes: int) -> Reading:
    """What is done to each file: what the model reads, in another format if one is asked for."""
    if format is None:
        return own.altered(max_bytes=max_bytes)
    return own.altered(max_bytes=max_bytes, format=None if format == "stored" else format)


def _several(
    request: Request, predictor: Predictor, reading: Reading, source: Source, data: DataConfig, about: dict[str, str]
) -> Findings:
    """What is measured of a model of several classes a file."""
    total, progress = len(source.entries), request.progress
    scores = evaluate_several(
        predictor.model,
        source,
        predictor.labels,
        reading,
        data.separator,
        precision=predictor.precision,
        on_error=data.on_error,
        on_progress=None if progress is None else lambda done: progress(done, total),
    )
    rows: list[tuple[str, ...]] = [
        ("files", f"{scores.files:,}"),
        ("mean average precision", f"{scores.map:.4f}"),
        ("loss (nats a file)", f"{scores.loss:.4f}"),
        *((f"  {name}", f"{precision:.4f}", f"{files:,} files") for name, precision, files in scores.classes),
    ]
    if scores.skipped:
        rows.append(("files left out", f"{len(scores.skipped)} (named in the report)"))
    return Findings(about=about, text=columns(rows), numbers=dataclasses.asdict(scores))


def _open(data: DataConfig, split: str, several: bool) -> tuple[Source, str]:
    """The part to evaluate, and what to call it."""
    if split == "all":
        source = open_source(data.path)
        return source, f"all {len(source.entries):,} files"
    splits = open_splits(data, several)
    parts: dict[str, Source] = {"train": splits.train, "val": splits.val, "test": splits.test}
    if split not in parts:
        raise ValueError(f"--split {split} is for GLUE; files have {', '.join(parts)} and all")
    source, total = parts[split], sum(len(part.entries) for part in parts.values())
    if not source.entries:
        raise ValueError(f"{data.path} has no files in its {split} part: --split all takes every file")
    return source, f"{split}, {len(source.entries):,} of {total:,} files"


def _table(evaluation: Evaluation) -> str:
    rows: list[tuple[str, ...]] = [*summarise(evaluation)]
    if evaluation.absent:
        rows.append(("classes without files", ", ".join(evaluation.absent)))
    if evaluation.skipped:
        rows.append(("files left out", f"{len(evaluation.skipped)} (named in the report)"))
    return columns(rows)
