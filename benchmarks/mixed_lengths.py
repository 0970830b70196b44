"""Bytes per second of batches of very different files, compared with batches of equal ones.

Claim: lengths spread log-uniformly over 1 kB to 150 kB cost no more than a tenth of the speed, since nothing is padded
to the longest file.

    python -m benchmarks.mixed_lengths --repeats 7 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from anybyte import create_model
from anybyte.batch import ByteBatch
from benchmarks import measure


def main(arguments: list[str] | None = None) -> None:
    """Measures both kinds of batch."""
    parser = measure.options(__doc__)
    parser.add_argument("--files", type=int, default=16, help="files in a batch (default: 16)")
    parser.add_argument("--batches", type=int, default=3, help="batches, each of other lengths (default: 3)")
    parser.add_argument("--shortest", type=int, default=1_000, help="bytes (default: 1000)")
    parser.add_argument("--longest", type=int, default=150_000, help="bytes (default: 150000)")
    parser.add_argument("--kernel", type=int, default=16, help="bytes a token reads (default: 16)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="(default: fp32)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    results = _measure(options)
    measure.publish("mixed_lengths", options, results, _table(results))


def mixed_lengths(files: int, shortest: int, longest: int, seed: int) -> list[int]:
    """Log-uniform lengths whose sum is a multiple of `files`: what is over is taken off the longest."""
    drawn = np.exp(np.random.default_rng(seed).uniform(np.log(shortest), np.log(longest), files))
    lengths = [int(length) for length in drawn]
    lengths[int(np.argmax(lengths))] -= sum(lengths) % files
    return lengths


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    model = create_model(options.model, kernel_size=options.kernel).eval().requires_grad_(False)
    lengths = [mixed_lengths(options.files, options.shortest, options.longest, seed) for seed in range(options.batches)]
    mixed = [measure.random_batch(batch) for batch in lengths]
    equal = [measure.random_batch([sum(batch) // len(batch)] * len(batch)) for batch in lengths]

    def run(batches: list[ByteBatch]) -> Callable[[], list[Tensor]]:
        def call() -> list[Tensor]:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
                return [model(batch) for batch in batches]

        return call

    seconds = measure.take_turns({"equal": run(equal), "mixed": run(mixed)}, options.repeats, clock=options.clock)
    total = sum(map(sum, lengths))
    return {
        "bytes": total,
        "lengths": lengths,
        "sides": {
            side: {
                "bytes_per_second": total / statistics.median(times),
                "seconds": times,
                "speed": asdict(measure.ratio(seconds["equal"], times)),
            }
            for side, times in seconds.items()
        },
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(title=f"Batches of {results['bytes'] / measure.MB:.2f} MB in all")
    for column in ("lengths", "kB/s", "speed (range)"):
        table.add_column(column, justify="left" if column == "lengths" else "right")
    for side, row in results["sides"].items():
        table.add_row(side, f"{row['bytes_per_second'] / 1000:.0f}", str(measure.Ratio(**row["speed"])))
    return table


if __name__ == "__main__":
    main()
