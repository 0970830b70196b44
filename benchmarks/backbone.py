"""How near to the machine's matrix products ByteFormer's backbone comes, and where the rest of the time goes.

The backbone is all behind the stem: blocks, merging of tokens, the mean, the classifier. Its rate is its FLOPs (matrix
products and attention) by its time; the machine's is that of square products which take turns with it in one run.

Claim: in fp32 at least half of the machine's rate.

    python -m benchmarks.backbone --cases tiff,jpeg,wav --repeats 7 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from anybyte import create_model
from anybyte.models.byteformer import ByteFormer
from benchmarks import measure
from benchmarks.counted import count
from benchmarks.latency import CASES

KINDS = {
    "linear layers": ("addmm", "mm", "linear", "_linear_pointwise", "mkldnn_linear"),
    "attention": ("_scaled_dot_product_flash_attention_for_cpu", "bmm", "baddbmm", "_softmax", "softmax"),
    "LayerNorm": ("native_layer_norm", "layer_norm"),
    "GELU": ("gelu", "gelu_"),
    "additions": ("add", "add_", "mul", "mul_", "sum", "div", "mean"),
    "copies": ("copy_", "cat", "index", "index_select", "clone", "contiguous", "fill_", "index_copy_", "index_put_"),
}
"""Operators of torch by what they are for; all others, with what is between operators, are the rest."""
REST = "all else"


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases that the command line names."""
    parser = measure.options(__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--batch", type=int, default=1, help="files of equal length in a call (default: 1)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.cases.split(","), CASES)
    torch.set_num_threads(options.threads)
    results = {
        f"{case} {precision}": _measure(case, precision, options)
        for case in options.cases.split(",")
        for precision in ("fp32", "bf16")
    }
    measure.publish("backbone", options, results, _table(results))


def prepare(case: str, precision: str, model: str, batch: int) -> Callable[[], Tensor]:
    """A call that computes logits from what the stem made of `batch` files."""
    torch.manual_seed(0)
    network = create_model(model, kernel_size=CASES[case].kernel_size).eval().requires_grad_(False)
    assert isinstance(network, ByteFormer)
    bf16 = precision == "bf16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        x, counts = network.stem(measure.random_batch([CASES[case].size] * batch))

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network.logits_from_stem(x.clone(), counts)  # blocks may write into what they are given

    return call


def shares(call: Callable[[], object]) -> dict[str, float]:
    """Of the time of a call, by what the operators that took it are for."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    times = dict.fromkeys([*KINDS, REST], 0.0)
    for event in profiler.key_averages():
        name = event.key.rpartition("::")[2]
        kind = next((kind for kind, names in KINDS.items() if name in names), REST)
        times[kind] += event.self_cpu_time_total
    total = sum(times.values())
    return {kind: time / total for kind, time in times.items()}


def _measure(case: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    call = prepare(case, precision, options.model, options.batch)
    call()
    flops = count(call).flops
    seconds = measure.take_turns(
        {"backbone": call} | measure.matrix_products(precision), options.repeats, clock=options.clock
    )
    rate, machine = flops / statistics.median(seconds["backbone"]), measure.machine_rate(seconds)
    return {
        "title": CASES[case].title,
        "precision": precision,
        "batch": options.batch,
        "flops": flops,
        "seconds": seconds["backbone"],
        "flops_per_second": rate,
        "machine_flops_per_second": machine,
        "share_of_machine_rate": rate / machine,
        "time_by_kind": shares(call),
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="ByteFormer behind its stem", title_justify="left", caption_justify="left")
    table.caption = "shares of the time by torch.profiler, in one call"
    table.add_column("case", no_wrap=True)
    for column in ("ms", "GFLOP/s", "machine", "share", *KINDS, REST):
        table.add_column(column, justify="right")
    for name, row in results.items():
        table.add_row(
            name,
            f"{1000 * statistics.median(row['seconds']):.0f}",
            f"{1e-9 * row['flops_per_second']:.0f}",
            f"{1e-9 * row['machine_flops_per_second']:.0f}",
            f"{100 * row['share_of_machine_rate']:.0f} %",
            *(f"{100 * share:.0f} %" for share in row["time_by_kind"].values()),
        )
    return table


if __name__ == "__main__":
    main()
