"""`anybyte evaluate MODEL`: how good a model is, measured as is usual for what it does."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybyte.cli.computing import check_folder
from anybyte.cli.evaluate_files import read_data_settings
from anybyte.cli.progress import step_bar
from anybyte.config import (
    AudioInputConfig,
    AverageOutputConfig,
    ClassOutputConfig,
    FlowOutputConfig,
    GridOutputConfig,
    MelInputConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.models.pretrained import CONFIG, parse_config, read_architecture
from anybyte.models.zoo import config_class_of
from anybyte.predictor import find_model
from anybyte.predictor.compute import usable_device
from anybyte.train.checkpoint import write_atomically
from anybyte.train.jobs.declared import SCHEMA
from anybyte.train.settings import RECIPE, read_recipe

__all__ = ["RECIPE", "find_run", "main", "read_data_settings"]


@dataclass(frozen=True)
class Kind:
    """How one kind of model is measured.

    Attributes:
        does: what its models do, for messages.
        module: of its function `evaluate(request) -> Findings`.
        options: of this kind alone; others refuse them.
        data: what `--data` may name, for the help.
    """

    does: str
    module: str
    options: tuple[str, ...]
    data: str


KINDS = {
    "classify": Kind(
        "tells classes of files apart",
        "anybyte.cli.evaluate_files",
        ("format", "key", "on_error"),
        "folder, zip, tar shards, manifest, parquet or hf:NAME",
    ),
    "declared": Kind(
        "answers arrays with arrays",
        "anybyte.evaluate.declared",
        (),
        "folder of arrays: test.npz, val.npz or train.npz; or made:entities",
    ),
    "masked": Kind(
        "fills masked text", "anybyte.evaluate.language", ("baseline", "limit"), "text file, folder or zip of them"
    ),
    "glue": Kind("answers GLUE", "anybyte.evaluate.glue", (), "folder with one folder a task, as JSONL or GLUE's TSV"),
    "flow": Kind("estimates optical flow", "anybyte.evaluate.flow", (), "folder of pairs of frames with their flow"),
    "clips": Kind("autoencodes clips", "anybyte.evaluate.autoencoder", (), "video or folder of them"),
}
"""Kind of task -> how its models are measured: one line each, and its options in `_parser`."""


def main(args: list[str]) -> int:
    """Measures, prints the table and writes the report."""
    options = _parser().parse_args(args)
    run = find_run(options.model)
    kind_name = _kind_of(options.model, run)
    kind = KINDS[kind_name]
    out = options.out or str(run / "evaluation" if run else Path("evaluation"))
    check_folder(out)
    if options.precision == "int8" and kind_name != "classify":
        raise ValueError(f"--precision int8 is for ByteFormers, and {options.model} {kind.does}: use bf16")
    device = usable_device(options.device or _best_device())
    with step_bar("done") as progress:
        findings = importlib.import_module(kind.module).evaluate(
            Request(
                name=options.model,
                folder=find_model(options.model),
                # Of files a few fields are enough, which recipes of other versions have as well.
                recipe=read_recipe(run / RECIPE) if run and kind_name != "classify" else None,
                data=options.data,
                split=options.split,
                device=device,
                precision=options.precision or "fp32",
                options=_own_options(options, kind, run, out),
                progress=progress,
            )
        )
    assert isinstance(findings, Findings)
    about = {"model": options.model, **findings.about}
    print(columns(list(about.items())))
    print(findings.text)
    written = findings.written
    if written is None:
        written = os.path.join(out, "report.json")
        report = {"about": about, **findings.numbers}
        write_atomically(Path(written), (json.dumps(report, indent=2) + "\n").encode())
    print(f"\nwrote {written}")
    return 0


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {kind.does}: {kind.data}" for kind in KINDS.values())
    parser = argparse.ArgumentParser(
        prog="anybyte evaluate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure a model on data with known answers. After `anybyte train`, the folder of the run is\n"
        "enough: data and split follow its recipe, so that the test part is what training held out.",
        epilog=f"what a model does, and what --data may name:\n{kinds}\n\n"
        "examples:\n  anybyte evaluate runs/digits\n  anybyte evaluate runs/digits --data more.zip --split all\n"
        "  anybyte evaluate runs/glue --data glue/",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a run or model, bundled name, or hub id")
    parser.add_argument("--data", metavar="PATH", help="what to measure on, see below (the run's own)")
    parser.add_argument(
        "--split", choices=("test", "dev", "val", "train", "all"), help="which part (test; of GLUE, dev)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the report (evaluation/ in the run's folder, or here)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), help="arithmetic (fp32); int8: ByteFormers")
    files = parser.add_argument_group("models of files")
    files.add_argument(
        "--format", metavar="F", help="write files in this format, not in the model's own; `stored`: as they came"
    )
    files.add_argument("--key", metavar="K", help="key file of a model that reads permuted bytes")
    files.add_argument("--on-error", choices=("fail", "skip"), help="what a bad file does (as in training, or fail)")
    text = parser.add_argument_group("masked language models")
    text.add_argument(
        "--baseline",
        action="store_true",
        default=None,
        help="beside a byte 5-gram of the text that the run learnt from",
    )
    text.add_argument("--limit", type=int, metavar="N", help="the first N bytes of the text only")
    return parser


def _own_options(options: argparse.Namespace, kind: Kind, run: Path | None, out: str) -> dict[str, Any]:
    """The options of a kind; ValueError where another kind's is given."""
    for other in KINDS.values():
        for name in other.options:
            if name not in kind.options and getattr(options, name) is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for a model that {other.does}; {options.model} {kind.does}"
                )
    own = {name: getattr(options, name) for name in kind.options}
    return own | {"out": out, "recipe_file": run / RECIPE if run else None}


def find_run(model: str) -> Path | None:
    """The folder of the training run that a model came from: the one that holds its recipe, or None."""
    path = Path(model)
    if not path.is_dir():
        return None
    folder = find_model(path)
    return next((place for place in (folder, folder.parent, path) if (place / RECIPE).is_file()), None)


def _kind_of(model: str, run: Path | None) -> str:
    """Which of KINDS a model is of: by the task of its run, or by what it reads and answers.

    Raises:
        ValueError: no such model, or a damaged recipe or model; the message names the file.
    """
    if run is None:
        folder = find_model(model)
        return "declared" if (folder / SCHEMA).exists() else _kind_of_config(_read_config(folder))
    try:
        settings = json.loads((run / RECIPE).read_text(encoding="utf-8"))
        kind = str(settings.get("task", {}).get("kind", "classify"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{run / RECIPE} is not the recipe of a training run: {error!r}") from error
    if kind not in KINDS:
        raise ValueError(f"{run / RECIPE} is of task {kind!r}; known: {', '.join(map(repr, KINDS))}")
    if kind == "declared":
        config = _read_config(find_model(model))
        return "clips" if _kind_of_config(config) == "clips" else kind
    return kind


def _kind_of_config(config: Any) -> str:
    """Which of KINDS a config says."""
    if not isinstance(config, PerceiverConfig):
        return "classify"
    reads, answers = ({type(part) for part in parts} for parts in (config.inputs, config.outputs))
    if answers == {FlowOutputConfig}:
        return "flow"
    if {VideoInputConfig, AudioInputConfig} <= reads and GridOutputConfig in answers:
        return "clips"
    if reads == {TokenInputConfig}:
        return "masked" if answers == {TokenOutputConfig} else "glue"
    is_classifier = len(config.outputs) == 1 and answers <= {ClassOutputConfig, AverageOutputConfig}
    is_clip = reads <= {VideoInputConfig, AudioInputConfig, MelInputConfig}
    return "classify" if is_classifier and (len(config.inputs) == 1 or is_clip) else "declared"


def _read_config(folder: Path) -> Any:
    """The config of a model folder."""
    where = folder / CONFIG
    config_class = config_class_of(read_architecture(folder), where=str(where))
    fields = json.loads(where.read_text(encoding="utf-8"))
    fields.pop("architecture")
    return parse_config(config_class, fields, where=str(where))


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
