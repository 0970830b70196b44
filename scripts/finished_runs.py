"""What the pages of results have in common: runs that are trained and measured once, their numbers, and tables."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log

COST = "cost.json"
"""Name of the file in a run's folder that holds what it took of a processor."""
REPORT = Path("test", "report.json")
"""What the test part says, in a run's folder."""


def train_and_evaluate(recipe: str, data: Path, run: Path, *options: str) -> None:
    """Both in processes of their own, if they have not been done; what training took of a processor goes to `COST`."""
    if not is_finished(run):
        before = processor_seconds()
        anybyte("train", recipe, "--data", str(data), "--out", str(run), *options)
        took, cost = processor_seconds() - before, run / COST
        if cost.exists():  # the run was resumed
            took += json.loads(cost.read_text())["processor_seconds"]
        write_atomically(cost, json.dumps({"processor_seconds": round(took, 1)}).encode())
    if not (run / REPORT).exists():
        anybyte("evaluate", str(run), "--out", str((run / REPORT).parent))


def anybyte(*args: str) -> None:
    """A command of its own, on one thread."""
    subprocess.run([sys.executable, "-m", "anybyte", *args], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_finished(run: Path) -> bool:
    """Whether a training came to its end."""
    return any(line["event"] == "end" for line in read_log(run / "log.jsonl"))


def read_finished(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe of a run, and the report of its test.

    Raises:
        ValueError: it is not finished, or was measured on other files than the test part.
        OSError: a file cannot be read.
    """
    if not is_finished(run):
        raise ValueError(f"{run}: the run is not finished")
    recipe, report = json.loads((run / "recipe.json").read_text()), json.loads((run / REPORT).read_text())
    if not report["about"]["part"].startswith("test,"):
        raise ValueError(f"{run}: measured on {report['about']['part']!r}, not on the test part")
    return recipe, report


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file, of which only the head is read."""
    with safe_open(path, framework="np") as file:
        return sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a recipe by their paths."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, ["---"] * len(heads), *rows))
