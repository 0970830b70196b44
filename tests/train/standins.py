"""What the tests of training share: files in memory, a recipe that trains in a second, runs in their own processes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from anybyte.config import ByteFormerConfig, DataConfig, OptimConfig, Recipe, RunConfig
from anybyte.files.sources import Entry, Splits
from anybyte.models.schema_files import parse_schema
from anybyte.tasks import ExampleSplits
from anybyte.tasks.arrays import Arrays
from anybyte.train.loop import TrainResult, train
from anybyte.train.progress import Row

CLASSES = ("low", "middle", "high")


class MemorySource:
    """A `Source` of files in memory; `broken` are those that cannot be read."""

    classes = CLASSES

    def __init__(self, files: Sequence[tuple[str, int, bytes]], broken: Sequence[str] = ()) -> None:
        self.files = files
        self.broken = broken
        self.entries = [Entry(name, label, len(data)) for name, label, data in files]

    def read(self, index: int) -> bytes:
        name, _, data = self.files[index]
        if name in self.broken:
            raise OSError(5, "Input/output error", name)
        return data


def make_files(count: int, seed: int, longest: int = 120) -> list[tuple[str, int, bytes]]:
    """Files of 20 or more bytes, whose class is the range of values that their bytes lie in (with some overlap)."""
    rng = np.random.default_rng(seed)
    files = []
    for number in range(count):
        label, length = number % 3, int(rng.integers(20, longest))
        data = rng.integers(70 * label, 70 * label + 110, length, dtype=np.uint8).tobytes()
        files.append((f"{CLASSES[label]}/{seed}-{number}", label, data))
    return files


def make_splits(train: int = 60, val: int = 21, broken: Sequence[str] = ()) -> Splits:
    """Splits of files in memory. One file is so long that it is a batch of its own. The test split must not be read."""
    files = [*make_files(train - 1, seed=1), ("low/long", 0, bytes(range(100)) * 10)]
    sources = [MemorySource(files, broken), MemorySource(make_files(val, seed=2), broken)]
    return Splits(CLASSES, *sources, test=Untouchable())


class Untouchable:
    """A source that training must leave alone."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"training looked at the test split: {name}")


def tiny_recipe(
    out: Path | str, *, model: Any = None, optim: Any = None, data: Any = None, reading: Any = None, **run: Any
) -> Recipe:
    """A recipe that trains in a second; keywords override fields of its `run`, dicts those of its other parts."""
    settings = {"epochs": 3, "batch_files": 8, "batch_bytes": 900, "threads": 1, "checkpoint_every": 5} | run
    recipe = Recipe(
        name="tiny",
        model=ByteFormerConfig(dim=16, num_heads=2, depth=2, kernel_size=8, window_sizes=8, merge_after=(0,)),
        optim=OptimConfig(learning_rate=3e-3, warmup_steps=5),
        run=RunConfig(out=str(out), **settings),
    )
    parts = {"model": model or {}, "optim": optim or {}, "data": data or {}, "reading": reading or {}}
    return dataclasses.replace(
        recipe, **{name: dataclasses.replace(getattr(recipe, name), **fields) for name, fields in parts.items()}
    )


DECLARED = parse_schema("""\
inputs:
  picture: {kind: image, shape: [4, 4, 1], patch: 2}
  series: {kind: series, shape: [8, 1], patch: 2}
outputs:
  side: {classes: 2}
  again: {reconstructs: picture, rows: 6}
size: {latents: 4, width: 16, layers: 1, heads: 2}
""")
"""A small problem: does the series rise? And a picture again."""


def make_arrays(count: int, seed: int) -> Arrays:
    """Examples of `DECLARED`; of every fifth the class is missing."""
    rng = np.random.default_rng(seed)
    bright, slope = rng.choice([-1.0, 1.0], count), rng.choice([-1.0, 1.0], count)
    picture = bright[:, None, None, None] + rng.normal(0, 0.2, (count, 4, 4, 1))
    series = slope[:, None, None] * np.linspace(-1, 1, 8)[:, None] + rng.normal(0, 0.2, (count, 8, 1))
    side = np.where(np.arange(count) % 5, (slope > 0).astype(np.int64), -1)
    return Arrays({"picture": picture, "series": series}, {"side": side}, name="train")


def make_array_splits() -> ExampleSplits:
    return ExampleSplits(train=make_arrays(48, seed=1), val=make_arrays(24, seed=2))


def tiny_declared(out: Path | str, *, weight: float = 1.0, data: str = "", **run: Any) -> Recipe:
    """A recipe for `DECLARED` that trains in a second; keywords override fields of its `run`."""
    settings = {"epochs": 12, "batch_files": 16, "threads": 1, "checkpoint_every": 5} | run
    first, *others = DECLARED.task().losses
    return Recipe(
        name="declared",
        model=DECLARED.config(),
        task=dataclasses.replace(DECLARED.task(), losses=(dataclasses.replace(first, weight=weight), *others)),
        data=DataConfig(path=data),
        optim=OptimConfig(learning_rate=1e-2, warmup_steps=3, ema_decay=0.9),
        run=RunConfig(out=str(out), **settings),
    )


def curve(rows: list[Row], name: str = "loss") -> list[float]:
    """A column of the log, step by step."""
    return [row[name] for row in rows if row["event"] == "train"]


def run(recipe: Recipe, splits: Splits | None = None) -> TrainResult:
    """Trains here, and logs every step."""
    return train(recipe, splits or make_splits(), log_every=1)


def final_tensors(out: Path) -> dict[str, Tensor]:
    """All tensors of a run's newest checkpoint: weights, average, moments."""
    return load_file(out / "checkpoints" / "last.safetensors")


def spawn_run(out: Path, options: dict[str, Any], processes: int = 1) -> subprocess.CompletedProcess[str]:
    """A run of `run_training.py` in processes of its own, single-threaded."""
    launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}") if processes > 1 else ()
    command = (sys.executable, *launch, "-m", "train.run_training", str(out), json.dumps(options))
    settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=280)
