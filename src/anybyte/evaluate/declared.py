"""Arrays to arrays on held-out arrays: the loss, and accuracy, error, PSNR and R² of each output."""

from __future__ import annotations

from pathlib import Path

import torch

from anybyte.config import DeclaredConfig, PerceiverConfig
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.models.schema import Schema
from anybyte.tasks.arrays import open_part
from anybyte.tasks.declared import Declared, arrays_read, arrays_wanted, measure

_SCHEMA = "schema.yaml"
_PARTS = ("test", "val", "train")


def evaluate(request: Request) -> Findings:
    """The metrics that training validates by, on the part `test` of a folder of arrays, or `val` if there is none.

    Raises:
        ValueError: nothing says what the outputs should answer, or the arrays do not fit; the message names them.
        OSError: the folder cannot be read.
    """
    task = _task(request)
    model = request.load()
    config = model.config
    if not isinstance(config, PerceiverConfig):
        raise ValueError(f"{request.name} is no model of arrays")
    part = request.split or next((part for part in _PARTS if _is_there(request.path, part)), "test")
    if part == "all":
        raise ValueError("--split all is for files: arrays lie in parts, which are measured one by one")
    examples = open_part(request.path, part, arrays_read(config), arrays_wanted(task))
    with torch.autocast(request.device.type, torch.bfloat16, enabled=request.precision == "bf16"):
        metrics = measure(model, Declared(config, task), examples, progress=request.progress)
    about = {"data": request.path, "part": f"{part}, {len(examples):,} examples"}
    rows: list[tuple[str, ...]] = [(name, f"{value:.4f}") for name, value in metrics.items()]
    return Findings(about=about, text=columns(rows), numbers={"part": part, "metrics": metrics})


def _task(request: Request) -> DeclaredConfig:
    """The losses: of the run's recipe, or of the schema in the model's folder."""
    if request.recipe is not None and isinstance(request.recipe.task, DeclaredConfig):
        return request.recipe.task
    schema = request.folder / _SCHEMA
    if not schema.exists():
        raise ValueError(
            f"{request.name} has neither a recipe.json nor a {_SCHEMA}: nothing says what it should answer"
        )
    return Schema.from_file(schema).task()


def _is_there(path: str, part: str) -> bool:
    return (Path(path) / part).is_dir() or (Path(path) / f"{part}.npz").exists()
