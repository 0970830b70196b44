"""A training step of ByteFormer tiny, batch 8: files a second and peak memory against the plain form, in the same run.

Claim: in fp32 TIFF at least 2 times the plain form's files a second at 0.6 of its peak memory, WAV 1.5 times at 0.8;
bf16 above both.

    python -m benchmarks.training --cases tiff,wav --repeats 3 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from anybyte import create_model
from anybyte.models.byteformer import ByteFormer
from benchmarks import measure
from benchmarks.counted import count
from benchmarks.latency import CASES, SIDES
from benchmarks.plain import PlainByteFormer


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases that the command line names."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--cases", default="tiff,wav", help=f"of {', '.join(CASES)} (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="files of equal length in a step (default: 8)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.cases.split(","), CASES)
    torch.set_num_threads(options.threads)
    results = {case: _measure(case, options) for case in options.cases.split(",")}
    measure.publish("training", options, results, *map(_table, results.values()))


def prepare(case: str, side: str, model: str, batch: int, threads: int) -> Callable[[], Tensor]:
    """A call that makes one step: loss, gradients, AdamW. It returns the loss before the step."""
    torch.set_num_threads(threads)
    loss_of, network = prepare_loss(case, side, model, batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def call() -> Tensor:
        loss = loss_of()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return call


def prepare_loss(
    case: str, side: str, model: str, batch: int
) -> tuple[Callable[[], Tensor], ByteFormer | PlainByteFormer]:
    """The loss on `batch` files of a case as a side computes it, and the side's model."""
    torch.manual_seed(0)
    ours = create_model(model, kernel_size=CASES[case].kernel_size).train()
    assert isinstance(ours, ByteFormer)
    form, precision = side.split()
    network = PlainByteFormer(ours).train() if form == "plain" else ours
    files = measure.random_batch([CASES[case].size] * batch)
    labels = torch.arange(batch) % ours.config.num_classes

    def loss_of() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(files)
        return F.cross_entropy(logits.float(), labels)

    return loss_of, network


def _measure(case: str, options: argparse.Namespace) -> dict[str, Any]:
    settings = (options.model, options.batch, options.threads)
    memory = {side: measure.in_fresh_process(measure.growth_of_call, prepare, case, side, *settings) for side in SIDES}
    flops = {side: count(prepare(case, side, options.model, 1, options.threads)).flops for side in SIDES}
    calls = {side: prepare(case, side, *settings) for side in SIDES}
    losses = {side: float(call()) for side, call in calls.items()}
    seconds = measure.take_turns(calls, options.repeats, warmup=0, clock=options.clock)
    sides = {
        side: {
            "files_per_second": options.batch / statistics.median(seconds[side]),
            "seconds": seconds[side],
            "speedup": asdict(measure.ratio(seconds[SIDES[0]], seconds[side])),
            "flops_per_file": flops[side],
            "memory_growth_bytes": memory[side],
            "memory_ratio": memory[side] / max(1, memory[SIDES[0]]),  # tiny cases fit into what is there
            "loss_before": losses[side],
        }
        for side in SIDES
    }
    return {**asdict(CASES[case]), "batch": options.batch, "sides": sides}


def _table(result: dict[str, Any]) -> Table:
    title = f"A step of {result['batch']} files: {result['title']}, {result['size']:,} bytes, k={result['kernel_size']}"
    table = Table(title=title, title_justify="left")
    table.add_column("form", no_wrap=True)
    for column in ("files/s", "speed (range)", "MB", "of plain", "GFLOP a file", "loss before"):
        table.add_column(column, justify="right", no_wrap=True)
    for side, row in result["sides"].items():
        table.add_row(
            side,
            f"{row['files_per_second']:.2f}",
            str(measure.Ratio(**row["speedup"])),
            f"{row['memory_growth_bytes'] / measure.MB:.0f}",
            f"{row['memory_ratio']:.2f}",
            f"{1e-9 * row['flops_per_file']:.1f}",
            f"{row['loss_before']:.4f}",
        )
    return table


if __name__ == "__main__":
    main()
