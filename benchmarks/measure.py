"""How everything here is measured.

Times: all sides of a comparison take turns in one process, so that a machine that drifts, drifts for all of them. What
is told is the median, and ratios come with the range they had over the rounds.
Memory: the growth of the peak during the first call in a fresh process, which nothing else has warmed up or grown.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import anybyte
from anybyte.batch import ByteBatch
from benchmarks.drawing import draw_ratios

RESULTS = Path(__file__).parent / "results"
MB = 1_000_000
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""cpu: the processor's time for this process alone, over all of its threads; for one thread on a machine that other
work shares."""

_PRODUCTS = 10
"""Matrix products that are timed together."""

_WIDTH = 120
"""Columns of a table that is written to a file."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Ratio:
    """How many times `base` is of `other`: of the medians, and the least and the most of any one round."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def take_turns(
    calls: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 1, clock: str = "wall"
) -> dict[str, tuple[float, ...]]:
    """Seconds of each call in each round, by one of `CLOCKS`. Every round runs all, and starts with another one."""
    now = CLOCKS[clock]
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warmup + repeats):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            start = now()
            calls[name]()
            elapsed = now() - start
            if number >= warmup:
                seconds[name].append(elapsed)
    return {name: tuple(times) for name, times in seconds.items()}


def matrix_products(precision: str = "fp32", size: int = 1024) -> dict[str, Callable[[], object]]:
    """Square matrix products, the fastest work that a machine has for models, by each of torch's ways to them.

    Let them take turns with what is measured; `machine_rate` makes a rate of their times.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator).to(dtype) for _ in range(2))
    ways: dict[str, Callable[[], object]] = {"product by BLAS": lambda: _repeat(lambda: a @ b.T)}
    if torch.backends.mkldnn.is_available():
        linear = torch.ops.mkldnn._linear_pointwise
        ways["product by oneDNN"] = lambda: _repeat(lambda: linear(a, b, None, "none", [], ""))
    return ways


def machine_rate(seconds: Mapping[str, Sequence[float]], size: int = 1024) -> float:
    """FLOPs a second of the fastest way of `matrix_products`, by its median."""
    medians = [statistics.median(times) for name, times in seconds.items() if name.startswith("product by ")]
    return 2 * size**3 * _PRODUCTS / min(medians)


def _repeat(call: Callable[[], object]) -> None:
    with torch.inference_mode():
        for _ in range(_PRODUCTS):
            call()


def ratio(base: Sequence[float], other: Sequence[float]) -> Ratio:
    """base / other, from measurements of the same rounds."""
    rounds = [one / two for one, two in zip(base, other, strict=True)]
    return Ratio(statistics.median(base) / statistics.median(other), min(rounds), max(rounds))


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args, **kwargs)` in a new Python process that inherits no memory. It has to be a module's function."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def growth_of_call(prepare: Callable[P, Callable[[], object]], *args: P.args, **kwargs: P.kwargs) -> int:
    """Bytes by which the peak of resident memory grows during the first call of what `prepare(...)` gives.

    Run it through `in_fresh_process`.
    """
    call = prepare(*args, **kwargs)
    gc.collect()
    before = _forget_peak()
    call()
    return peak_memory() - before


def peak_memory() -> int:
    """Most bytes of memory that this process has had at once.

    Linux: VmHWM. Unlike `ru_maxrss`, a process does not inherit it from the one that started it.
    """
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak() -> int:
    """Lets the peak start anew from what is resident now, where the system can, and returns it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not permitted: the growth is then told from the old peak
        return peak_memory()
    return _status("VmRSS") or peak_memory()


def _status(field: str) -> int | None:
    """A size in /proc/self/status in bytes, where there is one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")]
    return sizes[0] if sizes else None


def random_batch(lengths: Sequence[int], seed: int = 0) -> ByteBatch:
    """Files of evenly spread bytes, the hardest for a table lookup: no row is asked for twice in a row."""
    values = np.random.default_rng(seed).integers(0, 256, sum(lengths), dtype=np.uint8)
    return ByteBatch(torch.from_numpy(values), torch.tensor(lengths))


def options(description: str | None, rounds: bool = True) -> argparse.ArgumentParser:
    """A command line with what every benchmark takes; `rounds`: it takes turns."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads to compute with (default: 2)")
    if rounds:
        parser.add_argument("--repeats", type=int, default=7, help="rounds, after one to warm up (default: 7)")
        parser.add_argument(
            "--clock", choices=CLOCKS, default="wall", help="cpu: processor time, where others work too"
        )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder that keeps the JSON (default: benchmarks/results)"
    )
    return parser


def check_names(parser: argparse.ArgumentParser, names: Sequence[str], known: Iterable[str]) -> None:
    """Ends the program with a line that says which of the names are none of those known."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(known)}")


def publish(name: str, arguments: argparse.Namespace, results: dict[str, Any], *tables: Table) -> Path:
    """Prints the results and keeps them, with where and when they were made: `<name>-<date>-<time>.json`.

    A plot of the same name stands beside it where there are ratios to draw.
    """
    now = datetime.now().astimezone()
    settings = {key: value for key, value in vars(arguments).items() if key not in ("json", "results")}
    machine = environment()
    document = {
        "benchmark": name,
        "date": now.isoformat(timespec="seconds"),
        "environment": machine,
        "settings": settings,
        "results": results,
    }
    text = json.dumps(document, indent=2) + "\n"
    arguments.results.mkdir(parents=True, exist_ok=True)
    path: Path = arguments.results / f"{name}-{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(text, encoding="utf-8")
    draw_ratios(results, path.with_suffix(".png"))
    if arguments.json:
        print(text, end="")
        return path
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(*tables, sep="\n")
    console.print(f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}", highlight=False)
    console.print(f"kept in {path}", highlight=False, soft_wrap=True)
    return path


def environment() -> dict[str, Any]:
    """The machine and the software of a measurement, and how busy the machine was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "anybyte": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _commit() -> str:
    """The commit that was measured, `-dirty` behind it if files differ from it; the version where git does not know."""
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return anybyte.__version__


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
