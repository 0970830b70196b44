"""`anybyte evaluate MODEL`: how good a model is on labelled files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from anybyte.cli.progress import progress_bar
from anybyte.config import DataConfig
from anybyte.evaluate.report import summarise, write_report
from anybyte.evaluate.runner import Evaluation, evaluate
from anybyte.files.sources import Source, open_source, open_splits
from anybyte.predictor import Predictor, find_model, load_as
from anybyte.reading import Reading

RECIPE = "recipe.json"
_FROM_TRAINING = ("path", "val_fraction", "test_fraction", "split_seed", "max_bytes", "on_error")
"""Fields of a recipe's `data` that evaluation follows, so that the test part is what training held out."""


def main(args: list[str]) -> int:
    """Evaluates, prints the main numbers and writes the report."""
    options = _parser().parse_args(args)
    run = find_run(options.model)
    data = _data_config(run, options)
    predictor = load_as(Predictor, options.model, device=options.device, precision=options.precision, key=options.key)
    reading = _reading(predictor.reading, options.format, data.max_bytes)
    source, part = _open(data, options.split)
    with progress_bar(len(source.entries)) if sys.stderr.isatty() else nullcontext() as on_progress:
        evaluation = evaluate(
            predictor.model,
            source,
            predictor.labels,
            reading,
            precision=predictor.precision,
            on_error=data.on_error,
            on_progress=on_progress,
        )
    about = {"model": options.model, "data": data.path, "part": part, "format": reading.config.format or "as stored"}
    out = options.out or str(run / "evaluation" if run else Path("evaluation"))
    write_report(evaluation, out, about)
    _print(evaluation, about)
    print(f"\nwrote {os.path.join(out, 'report')}.json, .md and .png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte evaluate",
        description="Measure a model on labelled files. After `anybyte train`, the folder of the run is enough: data, "
        "format and split follow its recipe, so that the test part is what training held out.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a run or model, bundled name, or hub id")
    parser.add_argument("--data", metavar="PATH", help="folder, zip, tar shards, manifest, parquet or hf:NAME")
    parser.add_argument("--split", choices=("test", "val", "train", "all"), default="test", help="which part (test)")
    parser.add_argument(
        "--format", metavar="F", help="write files in this format, not in the model's own; `stored`: as they came"
    )
    parser.add_argument("--key", metavar="K", help="key file of a model that reads permuted bytes")
    parser.add_argument("--out", metavar="DIR", help="folder of the report (evaluation/ in the run's folder, or here)")
    parser.add_argument("--on-error", choices=("fail", "skip"), help="what a bad file does (as in training, or fail)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="arithmetic (fp32)")
    return parser


def find_run(model: str) -> Path | None:
    """The folder of the training run that a model came from: the one that holds its recipe, or None."""
    path = Path(model)
    if not path.is_dir():
        return None
    folder = find_model(path)
    return next((place for place in (folder, folder.parent, path) if (place / RECIPE).is_file()), None)


def _data_config(run: Path | None, options: argparse.Namespace) -> DataConfig:
    """Where the files come from: as in training, unless the command line says otherwise."""
    fields = read_data_settings(run / RECIPE) if run else {}
    if options.data is not None:
        fields["path"] = options.data
    if options.on_error is not None:
        fields["on_error"] = options.on_error
    if not fields.get("path"):
        find_model(options.model)  # a model that is not there is the greater mistake
        raise ValueError(f"{options.model} has no {RECIPE} that names its data: name labelled files with --data")
    return dataclasses.replace(DataConfig(), **fields)


def _reading(own: Reading, format: str | None, max_bytes: int) -> Reading:
    """What is done to each file: what the model reads, in another format if one is asked for."""
    if format is None:
        return own.altered(max_bytes=max_bytes)
    return own.altered(max_bytes=max_bytes, format=None if format == "stored" else format)


def read_data_settings(path: Path) -> dict[str, Any]:
    """What a recipe says of its data: fields of `DataConfig` that evaluation follows."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
        return {name: data[name] for name in _FROM_TRAINING if name in data}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not the recipe of a training run: {error!r}") from error


def _open(data: DataConfig, split: str) -> tuple[Source, str]:
    """The part to evaluate, and what to call it."""
    if split == "all":
        source = open_source(data.path)
        return source, f"all {len(source.entries):,} files"
    splits = open_splits(data)
    parts: dict[str, Source] = {"train": splits.train, "val": splits.val, "test": splits.test}
    source, total = parts[split], sum(len(part.entries) for part in parts.values())
    if not source.entries:
        raise ValueError(f"{data.path} has no files in its {split} part: --split all takes every file")
    return source, f"{split}, {len(source.entries):,} of {total:,} files"


def _print(evaluation: Evaluation, about: dict[str, str]) -> None:
    rows = [*about.items(), *summarise(evaluation)]
    if evaluation.absent:
        rows.append(("classes without files", ", ".join(evaluation.absent)))
    if evaluation.skipped:
        rows.append(("files left out", f"{len(evaluation.skipped)} (named in the report)"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
