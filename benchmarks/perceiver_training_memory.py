"""Two optimiser steps of every paper-sized Perceiver recipe on made data: does it train, in what memory and time?

Each recipe runs in a fresh process, from files on disk to new weights, with one example a step. Peaks are of the whole
process, with Python, torch, the data and the optimiser's moments. Times are the processor's, over all threads, so that
other work does not count. A recipe whose weights and moments do not fit into memory is left out, with the reason.

    python -m benchmarks.perceiver_training_memory --threads 2
    python -m benchmarks.perceiver_training_memory --recipes 'perceiver/imagenet/*' --limit-gb 16

It takes a while: with `--so-far FILE` what was measured is kept in a file, and not measured again by a later start.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from anybyte.config import MaskedConfig, Recipe
from anybyte.models.zoo import class_of
from anybyte.recipes import get_recipe, list_recipes
from anybyte.train.data import Deal, Plan, load_parts
from anybyte.train.jobs import make_job
from anybyte.train.optim import learning_rate
from anybyte.train.step import Stepper, create_accelerator
from benchmarks import measure
from benchmarks.perceiver_made import with_made_data

GB = 10**9
STEPS = 2
_BYTES_A_PARAMETER = 4 * 4
"""Weights, gradients and two moments."""


def main(arguments: list[str] | None = None) -> None:
    """Measures the recipes that match."""
    parser = measure.options(__doc__, rounds=False)
    parser.add_argument("--recipes", default="perceiver/*", help="pattern of their names (default: %(default)s)")
    parser.add_argument("--limit-gb", type=float, help="memory to stay below (default: what the machine has)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="(default: each recipe's own)")
    parser.add_argument("--so-far", type=Path, help="JSON lines of recipes that are done; more are added")
    options = parser.parse_args(arguments)
    names = list_recipes(options.recipes)
    if not names:
        parser.error(f"no recipe matches {options.recipes!r}")
    limit = options.limit_gb * GB if options.limit_gb else float(_memory())
    results = _read(options.so_far) if options.so_far else {}
    results = {name: results[name] for name in names if name in results}
    for name in sorted(names, key=lambda name: num_parameters(get_recipe(name))):
        if name in results:
            continue
        least = num_parameters(get_recipe(name)) * _BYTES_A_PARAMETER
        if least > limit:
            results[name] = {
                "skipped": f"weights and moments take {least / GB:.1f} GB of {limit / GB:.1f} GB of memory"
            }
        else:
            results[name] = measure.in_fresh_process(two_steps, name, options.threads, options.precision)
        line = json.dumps({name: results[name]})
        print(line, flush=True)
        if options.so_far:
            with open(options.so_far, "a", encoding="utf-8") as file:
                file.write(line + "\n")
    options.so_far = None
    results = {name: results[name] for name in names}
    measure.publish("perceiver_training_memory", options, results, _table(results))


def _read(path: Path) -> dict[str, Any]:
    """The results of earlier starts, by recipe."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: found for line in lines for name, found in json.loads(line).items()}


def num_parameters(recipe: Recipe) -> int:
    """Parameters of the recipe's model, of which nothing is computed."""
    with torch.device("meta"):
        model = class_of(recipe.model)(recipe.model)
    return sum(parameter.numel() for parameter in model.parameters())


def two_steps(name: str, threads: int, precision: str | None = None) -> dict[str, Any]:
    """Two steps of a recipe, and what they took. For `measure.in_fresh_process`."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        recipe = one_a_step(with_made_data(get_recipe(name), Path(folder), words=40_000, pieces=32_000))
        if precision:
            recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, precision=precision))
        return take_steps(recipe)


def one_a_step(recipe: Recipe) -> Recipe:
    """The recipe with one example a step, in this process; of a text, as many as there are steps."""
    if isinstance(recipe.task, MaskedConfig):
        recipe = dataclasses.replace(recipe, task=dataclasses.replace(recipe.task, crops=STEPS))
    run = dataclasses.replace(recipe.run, batch_files=1, accumulation=1, num_workers=0, resume=False, init_from=None)
    return dataclasses.replace(recipe, run=run)


def take_steps(recipe: Recipe) -> dict[str, Any]:
    """Two optimiser steps of a recipe's job, without a run folder.

    Raises:
        ValueError: a loss is not finite, or a step changed no weight.
    """
    job = make_job(recipe)
    recipe, run = job.recipe, job.recipe.run
    torch.manual_seed(run.seed)
    model = class_of(recipe.model)(recipe.model)
    bf16 = run.precision == "bf16"
    stepper = Stepper(model, job.task, recipe.optim, create_accelerator(), bf16=bf16, compile=False)
    plan = Plan(job.train.sizes(), run.batch_files, run.batch_bytes, run.seed)
    parts = iter(load_parts(job.train, job.task, Deal(plan, range(STEPS), 0, 1, 1), seed=run.seed))
    losses, seconds, changed = [], [], 0.0
    for step in range(STEPS):
        before = stepper.plain.state_dict()
        probe = {key: float(value.double().abs().sum()) for key, value in before.items()}
        start = time.process_time()
        result = stepper.step([next(parts)], step, learning_rate(step, 100, recipe.optim), run.seed)
        seconds.append(time.process_time() - start)
        losses.append(result.loss)
        after = stepper.plain.state_dict()
        changed = sum(float(value.double().abs().sum()) != probe[key] for key, value in after.items()) / len(probe)
        if not math.isfinite(result.loss) or not changed:
            raise ValueError(f"{recipe.name}: step {step} has a loss of {result.loss} and changed {changed:.0%} of all")
    return {
        "parameters": sum(parameter.numel() for parameter in stepper.plain.parameters()),
        "optimizer": recipe.optim.optimizer,
        "precision": run.precision,
        "losses": losses,
        "processor_seconds_a_step": seconds,
        "tensors_changed": changed,
        "peak_memory_bytes": measure.peak_memory(),
    }


def _memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="Two steps of one example")
    for column in ("recipe", "parameters", "peak", "processor seconds a step", "losses"):
        table.add_column(column, justify="left" if column == "recipe" else "right")
    for name, run in results.items():
        if "skipped" in run:
            table.add_row(name, "", run["skipped"], "", "")
            continue
        losses = ", ".join(f"{loss:.3f}" for loss in run["losses"])
        peak = f"{run['peak_memory_bytes'] / GB:.2f} GB"
        table.add_row(name, f"{run['parameters']:,}", peak, f"{run['processor_seconds_a_step'][-1]:.1f}", losses)
    return table


if __name__ == "__main__":
    main()
