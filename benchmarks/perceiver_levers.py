"""What each reshaping of a Perceiver's arithmetic brings by itself, at the sizes of the flow and the language model.

Claim: each is quicker than what it stands for, and gives the same.

    python -m benchmarks.perceiver_levers --repeats 5 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import AttentionConfig
from anybyte.models.attention import AttentionLayer, attend_holding_scores
from anybyte.models.one_head import as_array, as_latents
from anybyte.models.products import linear
from benchmarks import measure
from benchmarks.counted import count

Pair = tuple[Callable[[], Tensor], Callable[[], Tensor]]
"""As one would first write it, and as it is."""
_POSITIONS, _LATENTS = 8192, 2048
"""Of the flow model: part of its 182,528 positions, and its latents."""


def main(arguments: list[str] | None = None) -> None:
    """Measures all of them."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=5)
    parser.add_argument("--smaller", type=int, default=1, help="divides lengths: does it run? (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        results = {
            name: _measure(title, pair, options)
            for name, (title, pair) in pairs(_POSITIONS // options.smaller, _LATENTS // options.smaller).items()
        }
    measure.publish("perceiver_levers", options, results, _table(results))


def pairs(positions: int, latents: int) -> dict[str, tuple[str, Pair]]:
    """Name -> what is compared in words, and its two forms."""
    torch.manual_seed(0)
    layer = AttentionLayer(512, 322, AttentionConfig(), "tanh", "zero")
    x, tokens = torch.randn(1, latents, 512), torch.randn(1, positions, 322)
    decoder = AttentionLayer(322, 512, AttentionConfig(query_residual=False), "tanh", "zero")
    found: dict[str, tuple[str, Pair]] = {
        "read": (
            f"{latents:,} latents read {positions:,} positions: keys and values are not made",
            (lambda: layer(x, layer.read(tokens)), lambda: layer(x, as_array(layer, x, tokens))),
        ),
        "answer": (
            f"{positions:,} queries read {latents:,} latents: queries are not projected",
            (
                lambda: decoder(tokens, decoder.read(x)),
                lambda: decoder(tokens, as_latents(decoder, x, positions)),
            ),
        ),
    }
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        q, k = (torch.randn(1, 256, 8, 32).to(dtype).transpose(1, 2) for _ in range(2))
        v = torch.randn(1, 256, 8, 160).to(dtype).transpose(1, 2)
        found[f"scores {precision}"] = (
            f"8 heads, 256 x 256 scores, values wider than keys, {precision}: two products and a softmax",
            (
                lambda q=q, k=k, v=v: F.scaled_dot_product_attention(q, k, v),
                lambda q=q, k=k, v=v: attend_holding_scores(q, k, v),
            ),
        )
    for width, rows in ((1280, 256), (322, 4096)):
        wide, given = nn.Linear(width, width), torch.randn(rows, width)
        found[f"linear {width}"] = (
            f"a linear layer {width} -> {width} on {rows:,} rows, fp32: oneDNN",
            (lambda wide=wide, given=given: wide(given), lambda wide=wide, given=given: linear(wide, given)),
        )
    return found


def _measure(title: str, pair: Pair, options: argparse.Namespace) -> dict[str, Any]:
    calls = dict(zip(("first", "as it is"), pair, strict=True))
    expected = calls["first"]().double()
    errors = {name: float((call().double() - expected).norm() / expected.norm()) for name, call in calls.items()}
    costs = {name: count(call) for name, call in calls.items()}
    seconds = measure.take_turns(calls, options.repeats, clock=options.clock)
    return {
        "title": title,
        "sides": {
            name: {
                "milliseconds": 1000 * statistics.median(seconds[name]),
                "speedup": asdict(measure.ratio(seconds["first"], seconds[name])),
                "flops": costs[name].flops,
                "relative_error": errors[name],
            }
            for name in calls
        },
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="Reshapings of a Perceiver's arithmetic", title_justify="left")
    table.add_column("what")
    for column in ("ms first", "ms", "speed (range)", "FLOPs", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results.values():
        first, now = result["sides"].values()
        table.add_row(
            result["title"],
            f"{first['milliseconds']:.1f}",
            f"{now['milliseconds']:.1f}",
            str(measure.Ratio(**now["speedup"])),
            f"{now['flops'] / first['flops']:.2f} of",
            f"{now['relative_error']:.0e}",
        )
    return table


if __name__ == "__main__":
    main()
