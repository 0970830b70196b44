"""The Perceiver's cost is linear in inputs M and outputs O, and each latent layer costs the same at every M and O.

Claim: doubling M and O up to 2^18 each, time and peak memory lie on a straight line with R^2 of at least 0.98; depth L
costs nothing in M or O.

    python -m benchmarks.perceiver_linear --threads 1 --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    PerceiverConfig,
)
from anybyte.models.perceiver import Perceiver
from benchmarks import measure

LEAST_R2 = 0.98
FIXED = 1024
"""Length of the side that does not grow."""


@dataclass(frozen=True)
class Size:
    """How wide the model is, and how far it goes."""

    latents: int
    width: int
    first: int
    last: int
    """Powers of two: the lengths run from 2^first to 2^last."""

    def lengths(self) -> list[int]:
        return [2**power for power in range(self.first, self.last + 1)]


FULL = Size(latents=128, width=128, first=12, last=18)
QUICK = Size(latents=8, width=16, first=12, last=15)


@dataclass(frozen=True)
class Line:
    """A least-squares line through measurements: what no input costs, what each element adds, and how well it fits."""

    constant: float
    slope: float
    r2: float


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints, draws; ends with an error if a line does not fit."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=3, threads=1)
    parser.add_argument("--depth", type=int, default=6, help="latent layers of the deep side (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tiny model and short arrays: does it run?")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory, which takes a process a point")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    size = QUICK if options.quick else FULL
    results: dict[str, Any] = {
        side: _measure(side, size, options) for side in ("inputs", "outputs", "outputs in pieces")
    }
    path = measure.publish("perceiver_linear", options, results, *(_table(*item) for item in results.items()))
    _draw(results, path.with_suffix(".png"))
    poor = [f"{side}, {what}" for side, result in results.items() for what in result["poor"]]
    if poor and not options.quick:
        raise SystemExit(f"R^2 below {LEAST_R2}: {'; '.join(poor)}")


def prepare(side: str, length: int, depth: int, size: Size, threads: int) -> Callable[[], Tensor]:
    """A call that reads `length` inputs, or answers `length` outputs."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    inputs, outputs = (length, FIXED) if side == "inputs" else (FIXED, length)
    config = PerceiverConfig(
        inputs=(ArrayInputConfig(num_channels=size.width),),
        outputs=(
            GridOutputConfig(
                name="signal",
                shape=(outputs,),
                num_channels=1,
                positions=FourierPositionsConfig(num_bands=size.width // 2 - 1, max_resolution=(outputs,)),
            ),
        ),
        num_latents=size.latents,
        latent_dim=size.width,
        num_blocks=1,
        num_layers=depth,
        process=AttentionConfig(num_heads=4),
        decode=AttentionConfig(query_residual=False),
    )
    model = Perceiver(config).eval().requires_grad_(False)
    array = torch.randn(1, inputs, size.width)
    piece = 4096 if side == "outputs in pieces" else None

    def call() -> Tensor:
        with torch.inference_mode():
            out = model(array, piece=piece)
            assert isinstance(out, Tensor)
            return out

    return call


def fit(lengths: Sequence[int], values: Sequence[float]) -> Line:
    """The line through the values, and the share of their variance that it explains."""
    x, y = np.asarray(lengths, float), np.asarray(values, float)
    slope, constant = np.polyfit(x, y, 1)
    rest = ((y - (constant + slope * x)) ** 2).sum()
    return Line(float(constant), float(slope), float(1 - rest / ((y - y.mean()) ** 2).sum()))


def _measure(side: str, size: Size, options: argparse.Namespace) -> dict[str, Any]:
    lengths = size.lengths()
    calls = {
        f"{length} {depth}": prepare(side, length, depth, size, options.threads)
        for length in lengths
        for depth in (1, options.depth)
    }
    seconds = measure.take_turns(calls, options.repeats, clock=options.clock)
    # The least of the rounds: other work on the machine only ever adds.
    times = {depth: [min(seconds[f"{length} {depth}"]) for length in lengths] for depth in (1, options.depth)}
    extra = [deep - flat for deep, flat in zip(times[options.depth], times[1], strict=True)]
    result: dict[str, Any] = {
        "lengths": lengths,
        "seconds": times[1],
        "medians": [statistics.median(seconds[f"{length} 1"]) for length in lengths],
        "time": asdict(fit(lengths, times[1])),
        "depth": options.depth,
        "deep_seconds": times[options.depth],
        "extra_seconds": extra,
        # What depth adds an element, as a share of what an element costs.
        "extra_slope_share": fit(lengths, extra).slope / fit(lengths, times[1]).slope,
    }
    lines = {"time": result["time"]}
    if not options.no_memory:
        result["memory"] = [
            measure.in_fresh_process(measure.growth_of_call, prepare, side, length, 1, size, options.threads)
            for length in lengths
        ]
        result["memory_line"] = asdict(fit(lengths, result["memory"]))
        if side != "outputs in pieces":  # whose memory hardly grows: there is no line to fit
            lines["memory"] = result["memory_line"]
    result["poor"] = [what for what, line in lines.items() if line["r2"] < LEAST_R2]
    return result


def _table(side: str, result: dict[str, Any]) -> Table:
    line = result["time"]
    fits = f"time: {1e9 * line['slope']:.0f} ns each, R² {line['r2']:.4f}"
    if "memory" in result:
        memory = result["memory_line"]
        fits += f"; memory: {memory['slope']:.0f} bytes each, R² {memory['r2']:.4f}"
    share = f"{100 * result['extra_slope_share']:+.1f} % of the cost of each"
    table = Table(title=f"{side}: {fits}", title_justify="left", caption_justify="left")
    table.caption = f"{result['depth'] - 1} more latent layers add the same everywhere: their slope is {share}"
    for column in (side.split()[0], "ms", "MB", f"ms with {result['depth']} layers", "more layers add, ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, length in enumerate(result["lengths"]):
        table.add_row(
            f"{length:,}",
            f"{1000 * result['seconds'][index]:.1f}",
            f"{result['memory'][index] / measure.MB:.0f}" if "memory" in result else "-",
            f"{1000 * result['deep_seconds'][index]:.1f}",
            f"{1000 * result['extra_seconds'][index]:.1f}",
        )
    return table


def _draw(results: dict[str, Any], path: Path) -> None:
    """Time and memory over the length, with their lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for side, result in results.items():
        lengths = np.asarray(result["lengths"])
        (line,) = panels[0].plot(lengths, result["seconds"], "o", label=f"{side}, R² {result['time']['r2']:.4f}")
        panels[0].plot(
            lengths, result["time"]["constant"] + result["time"]["slope"] * lengths, color=line.get_color(), lw=1
        )
        if "memory" in result:
            panels[1].plot(lengths, np.asarray(result["memory"]) / measure.MB, "o-", lw=1, label=side)
    panels[0].set(xlabel="elements", ylabel="seconds", title="time and its line")
    panels[1].set(xlabel="elements", ylabel="MB", title="growth of the peak of memory")
    for panel in panels:
        if panel.get_lines():
            panel.legend(fontsize=8)
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
