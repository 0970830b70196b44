"""What each case of the benchmarks may cost at most, counted: FLOPs and the peak memory of its tensors.

A guard that needs no quiet machine: `budget.json` is committed, `tests/benchmarks/test_budget.py` counts anew and
compares. Who makes something cheaper lowers the budget by writing it again:

    python -m benchmarks.budget            # or: anybyte bench --budget
    python -m benchmarks.budget --check    # compares, and writes nothing
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import latency, measure, training
from benchmarks.counted import Cost, count

PATH = Path(__file__).parent / "budget.json"
SLACK = 0.01
"""Share by which a case may exceed its budget: releases of torch differ in a temporary here and there."""

Prepare = Callable[[], Callable[[], object]]


def main(arguments: list[str] | None = None) -> None:
    """Writes the budget, or compares with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the budget that is there, and write nothing")
    parser.add_argument("--path", type=Path, default=PATH, help="(default: benchmarks/budget.json)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    costs = {name: count_case(prepare) for name, prepare in cases().items()}
    budget = read(options.path) if options.path.exists() else {}
    Console(width=110).print(_table(costs, budget))
    if not options.check:
        options.path.write_text(json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2) + "\n")
        return
    over = [line for name, cost in costs.items() for line in excess(name, cost, budget)]
    if over:
        raise SystemExit("\n".join(over))


def cases() -> dict[str, Prepare]:
    """All by name, each with what gives its call: the forms of the benchmarks that are ours.

    Counting one takes a second or two. So steps have one file here, and the Perceivers are small.
    """
    from benchmarks import perceiver_cases, perceiver_peers

    found: dict[str, Prepare] = {}
    for side in (side for side in latency.SIDES if side.startswith("anybyte")):
        for kind in latency.CASES:
            found[f"{kind}, {side}"] = _later(latency.prepare, kind, side, "byteformer_tiny", 1, 1)
        found[f"8 wav, nano, {side}"] = _later(latency.prepare, "wav", side, "byteformer_nano", 8, 1)
        for kind in ("tiff", "wav"):
            found[f"step of 1 {kind}, {side}"] = _later(training.prepare, kind, side, "byteformer_tiny", 1, 1)
    for name in perceiver_cases.CASES:
        side = perceiver_peers.OURS
        found[f"small {name}, {side}"] = _later(perceiver_peers.prepare, name, side, True, 1)
    return found


def count_case(prepare: Prepare) -> Cost:
    """What the second call costs: the first one makes what is kept."""
    call = prepare()
    call()
    return count(call)


def read(path: Path = PATH) -> dict[str, Cost]:
    """The budget that is committed."""
    return {name: Cost(**cost) for name, cost in json.loads(path.read_text(encoding="utf-8")).items()}


def excess(name: str, cost: Cost, budget: Mapping[str, Cost]) -> list[str]:
    """In which ways a case costs more than it may, in words; none if it does not."""
    if name not in budget:
        return [f"{name}: has no budget; write it with `python -m benchmarks.budget`"]
    found = []
    for field, unit in (("flops", "FLOPs"), ("peak_bytes", "bytes at once")):
        cost_now, allowed = getattr(cost, field), getattr(budget[name], field)
        if cost_now > allowed * (1 + SLACK):
            found.append(f"{name}: takes {cost_now:,} {unit}, {cost_now / allowed - 1:.1%} more than {allowed:,}")
    return found


def _later(prepare: Callable[..., Callable[[], object]], *arguments: object) -> Prepare:
    return lambda: prepare(*arguments)


def _table(costs: Mapping[str, Cost], budget: Mapping[str, Cost]) -> Table:
    table = Table(title="Counted costs, and the budget so far")
    table.add_column("case")
    for column in ("GFLOP", "budget", "MB", "budget"):
        table.add_column(column, justify="right")
    for name, cost in costs.items():
        allowed = budget.get(name)
        table.add_row(
            name,
            f"{1e-9 * cost.flops:.3f}",
            f"{1e-9 * allowed.flops:.3f}" if allowed else "-",
            f"{cost.peak_bytes / measure.MB:.2f}",
            f"{allowed.peak_bytes / measure.MB:.2f}" if allowed else "-",
        )
    return table


if __name__ == "__main__":
    main()
