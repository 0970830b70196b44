"""Perceiver IO against Hugging Face transformers: the same weights, the same input, in the same run.

Claim: optical flow at least 1.8 times as fast in fp32 with at most half of the memory growth; the autoencoder, fully
decoded, 3 times; language and ImageNet no slower in fp32 and 1.8 times as fast in bf16; a step of masked language
modelling 1.5 times, by decoding the masked positions only.

    python -m benchmarks.perceiver_peers --case language --repeats 3 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from benchmarks import measure
from benchmarks.perceiver_cases import CASES, Case, Prepared

THEIRS, OURS, HALF = "transformers fp32", "anybyte fp32", "anybyte bf16"


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases that the command line names."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--case", default=",".join(CASES), help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny models of the same kind: does it run?")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory, which takes a process a side")
    parser.add_argument("--no-bf16", action="store_true", help="leave out bfloat16")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.case.split(","), CASES)
    torch.set_num_threads(options.threads)
    results = {name: _measure(name, options) for name in options.case.split(",")}
    path = measure.publish("perceiver_peers", options, results, *map(_table, results.values()))
    _draw(results, path.with_suffix(".png"))


def prepare(name: str, side: str, quick: bool, threads: int) -> Callable[[], Tensor]:
    """A call of one side alone: what a fresh process measures the memory of."""
    torch.set_num_threads(threads)
    with warnings.catch_warnings(action="ignore"):
        prepared = CASES[name].prepare(quick)
    call = prepared.calls(bf16=side == HALF)[side]
    prepared.release(side)
    return call


def relative_error(values: Tensor, expected: Tensor) -> float:
    """Norm of the difference over that of what is expected."""
    return float((values.double() - expected.double()).norm() / expected.double().norm())


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    case: Case = CASES[name]
    with warnings.catch_warnings(action="ignore"):
        prepared: Prepared = case.prepare(options.quick)
    calls = prepared.calls(bf16=case.bf16 and not options.no_bf16)
    expected = prepared.check(THEIRS)
    errors = {side: relative_error(prepared.check(side), expected) for side in calls}
    seconds = measure.take_turns(calls, options.repeats, warmup=case.warmup, clock=options.clock)
    seconds[THEIRS] = tuple(time * prepared.repeated for time in seconds[THEIRS])
    memory = {}
    if not options.no_memory:
        arguments = (name, options.quick, options.threads)
        for side in calls:
            memory[side] = measure.in_fresh_process(
                measure.growth_of_call, prepare, arguments[0], side, arguments[1], arguments[2]
            )
    sides = {
        side: {
            "median_seconds": statistics.median(seconds[side]),
            "seconds": seconds[side],
            "speedup": asdict(measure.ratio(seconds[THEIRS], seconds[side])),
            "relative_error": errors[side],
        }
        | (
            {"memory_growth_bytes": memory[side], "memory_ratio": memory[side] / max(memory[THEIRS], 1)}
            if memory
            else {}
        )
        for side in calls
    }
    return {
        "title": case.title,
        "note": case.note,
        "times_repeated": prepared.repeated,
        "targets": case.targets,
        "sides": sides,
    }


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=result["title"], title_justify="left", caption_justify="left")
    wanted = ", ".join(f"{side} {bound}" for side, bound in result["targets"].items())
    table.caption = f"wanted: {wanted}. {result['note']} Share: of the memory of transformers; errors are relative."
    table.add_column("side", no_wrap=True)
    for column in ("s", "speed (range)", "MB", "share", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    for side, row in result["sides"].items():
        has_memory = "memory_ratio" in row
        table.add_row(
            side,
            f"{row['median_seconds']:.3g}",
            str(measure.Ratio(**row["speedup"])),
            f"{row['memory_growth_bytes'] / measure.MB:.0f}" if has_memory else "-",
            f"{row['memory_ratio']:.2f}" if has_memory else "-",
            f"{row['relative_error']:.1e}",
        )
    return table


def _draw(results: dict[str, Any], path: Path) -> None:
    """How many times as fast, and what share of the memory, case by case."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for offset, side in enumerate((OURS, HALF)):
        rows = [
            (index, result["sides"][side]) for index, result in enumerate(results.values()) if side in result["sides"]
        ]
        places = [index + 0.4 * (offset - 0.5) for index, _ in rows]
        panels[0].bar(places, [row["speedup"]["value"] for _, row in rows], 0.38, label=side)
        panels[1].bar(places, [row.get("memory_ratio", 0.0) for _, row in rows], 0.38, label=side)
    for panel, title in zip(
        panels, ("times as fast as transformers in fp32", "share of its memory growth"), strict=True
    ):
        panel.set_xticks(range(len(results)), list(results))
        panel.axhline(1, color="grey", lw=1)
        panel.set_title(title)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
