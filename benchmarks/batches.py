"""What a file costs in a batch of eight, compared with alone: ByteFormer tiny, and the plain form of it.

Claim: a file in a batch of 8 costs no more than alone.

    python -m benchmarks.batches --cases tiff,jpeg,wav --repeats 5 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table

from benchmarks import measure
from benchmarks.latency import CASES, SIDES, prepare


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases that the command line names."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=5)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--batch", type=int, default=8, help="files of equal length in a call (default: 8)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    parser.add_argument("--no-plain", action="store_true", help="leave out the plain form")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.cases.split(","), CASES)
    torch.set_num_threads(options.threads)
    results = {case: _measure(case, options) for case in options.cases.split(",")}
    measure.publish("batches", options, results, *map(_table, results.values()))


def _measure(case: str, options: argparse.Namespace) -> dict[str, Any]:
    sides = [side for side in SIDES if not (options.no_plain and side.startswith("plain"))]
    calls = {
        f"{side}, {batch}": prepare(case, side, options.model, batch, options.threads)
        for side in sides
        for batch in (1, options.batch)
    }
    seconds = measure.take_turns(calls, options.repeats, clock=options.clock)
    found = {}
    for side in sides:
        alone = seconds[f"{side}, 1"]
        each = tuple(time / options.batch for time in seconds[f"{side}, {options.batch}"])
        found[side] = {
            "seconds_alone": alone,
            "seconds_each_in_batch": each,
            "milliseconds_alone": 1000 * statistics.median(alone),
            "milliseconds_each_in_batch": 1000 * statistics.median(each),
            "cost_in_batch": asdict(measure.ratio(each, alone)),
        }
    return {**asdict(CASES[case]), "batch": options.batch, "sides": found}


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['title']}, {result['size']:,} bytes, k={result['kernel_size']}", title_justify="left")
    table.add_column("form", no_wrap=True)
    for column in ("ms alone", f"ms each of {result['batch']}", "of alone (range)"):
        table.add_column(column, justify="right", no_wrap=True)
    for side, row in result["sides"].items():
        times = f"{row['milliseconds_alone']:.0f}", f"{row['milliseconds_each_in_batch']:.0f}"
        table.add_row(side, *times, str(measure.Ratio(**row["cost_in_batch"])))
    return table


if __name__ == "__main__":
    main()
