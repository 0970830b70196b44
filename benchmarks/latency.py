"""ByteFormer tiny on one file: time and peak memory against the plain form of the same model, in the same run.

Claim: TIFF 224x224 at least 3 times as fast in fp32 with at most half the memory growth, and 4.5 times in bf16; JPEG
1.5 and WAV 1.8 times in fp32, both 3 times in bf16.

    python -m benchmarks.latency --cases tiff,jpeg,wav --repeats 7 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from anybyte import create_model
from anybyte.config import ByteFormerConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.models.quantize import quantized
from benchmarks import measure
from benchmarks.counted import count
from benchmarks.plain import PlainByteFormer


@dataclass(frozen=True)
class Case:
    """A kind of file as the paper reads it. Times depend on its size alone, so its bytes are random."""

    title: str
    size: int
    kernel_size: int


CASES = {
    "tiff": Case("TIFF 224x224", 150_668, 32),
    "jpeg": Case("JPEG quality 100", 48_564, 8),
    "wav": Case("WAV 16 bit, 1 s", 32_044, 16),
}
SIDES = ("plain fp32", "plain bf16", "anybyte fp32", "anybyte bf16")
"""Who takes part: a form of the model and a precision. The first is what the others are compared with."""
INT8 = "anybyte int8"
"""Takes part where the processor can."""


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases that the command line names."""
    parser = measure.options(__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--batch", type=int, default=1, help="files of equal length in a call (default: 1)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.cases.split(","), CASES)
    torch.set_num_threads(options.threads)
    results = {case: _measure(case, options) for case in options.cases.split(",")}
    measure.publish("latency", options, results, *map(_table, results.values()))


def prepare(case: str, side: str, model: str, batch: int, threads: int) -> Callable[[], Tensor]:
    """A call that computes the logits of `batch` files of a case, as a side does it."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ours = create_model(model, kernel_size=CASES[case].kernel_size).eval().requires_grad_(False)
    assert isinstance(ours, ByteFormer)
    form, precision = side.split()
    network = PlainByteFormer(ours) if form == "plain" else ours
    if precision == "int8":
        network = quantized(ours)
    files = measure.random_batch([CASES[case].size] * batch)

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision != "fp32"):
            logits: Tensor = network(files)
            return logits

    return call


def all_sides() -> tuple[str, ...]:
    """`SIDES`, and 8-bit integers if this processor computes with them."""
    try:
        quantized(ByteFormer(ByteFormerConfig(dim=32, num_heads=1, depth=1, merge_after=())))
    except ValueError:
        return SIDES
    return *SIDES, INT8


def _measure(case: str, options: argparse.Namespace) -> dict[str, Any]:
    settings, all_of_them = (options.model, options.batch, options.threads), all_sides()
    memory = {
        side: measure.in_fresh_process(measure.growth_of_call, prepare, case, side, *settings) for side in all_of_them
    }
    calls = {side: prepare(case, side, *settings) for side in all_of_them}
    expected = calls[SIDES[0]]()
    differences = {side: float((call().float() - expected).abs().max()) for side, call in calls.items()}
    costs = {side: count(call) for side, call in calls.items()}
    products = {precision: measure.matrix_products(precision) for precision in ("fp32", "bf16")}
    work = {f"{name} in {precision}": way for precision, ways in products.items() for name, way in ways.items()}
    seconds = measure.take_turns(calls | work, options.repeats, clock=options.clock)
    rates = {
        precision: measure.machine_rate({name: times for name, times in seconds.items() if name.endswith(precision)})
        for precision in products
    }
    sides = {
        side: {
            "milliseconds": 1000 * statistics.median(seconds[side]),
            "flops": costs[side].flops,
            "share_of_machine_rate": costs[side].flops
            / statistics.median(seconds[side])
            / rates["fp32" if side.endswith("fp32") else "bf16"],
            "seconds": seconds[side],
            "speedup": asdict(measure.ratio(seconds[SIDES[0]], seconds[side])),
            "memory_growth_bytes": memory[side],
            "memory_ratio": memory[side] / max(1, memory[SIDES[0]]),
            "largest_logit_difference": differences[side],
        }
        for side in all_of_them
    }
    result = {**asdict(CASES[case]), "logit_spread": float(expected.std())}
    return result | {"machine_flops_per_second": rates, "sides": sides}


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['title']}, {result['size']:,} bytes, k={result['kernel_size']}", title_justify="left")
    rates = ", ".join(f"{1e-9 * rate:.0f} in {name}" for name, rate in result["machine_flops_per_second"].items())
    table.caption = (
        "* at most, over the standard deviation of all logits\n"
        f"** FLOPs a second, of what matrix products of the machine reach: {rates} (GFLOP/s); int8 of that in bf16"
    )
    table.caption_justify = "left"
    table.add_column("form", no_wrap=True)
    for column in ("ms", "speed (range)", "MB", "of plain", "GFLOP", "rate**", "logits differ by*"):
        table.add_column(column, justify="right", no_wrap=True)
    for side, row in result["sides"].items():
        table.add_row(
            side,
            f"{row['milliseconds']:.0f}",
            str(measure.Ratio(**row["speedup"])),
            f"{row['memory_growth_bytes'] / measure.MB:.0f}",
            f"{row['memory_ratio']:.2f}",
            f"{1e-9 * row['flops']:.1f}",
            f"{100 * row['share_of_machine_rate']:.0f} %",
            f"{row['largest_logit_difference'] / result['logit_spread']:.1e}",
        )
    return table


if __name__ == "__main__":
    main()
