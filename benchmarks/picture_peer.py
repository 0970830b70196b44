"""From a picture's file to its logits: ByteFormer tiny on the file's bytes, and DeiT-Ti on the decoded picture.

DeiT-Ti (Touvron et al. 2021, arXiv 2012.12877) is what the paper compares with: as wide and as deep, and made for
pictures alone. It is written out here, with random weights: only its time is of interest. Both start at the file; the
time of DeiT-Ti has its decoding and normalising in it.

Aim: within 3 times of DeiT-Ti.

    python -m benchmarks.picture_peer --repeats 7 --threads 2
"""

from __future__ import annotations

import argparse
import io
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte import ByteBatch, create_model
from anybyte.files.media import encode_image
from benchmarks import measure
from benchmarks.counted import count

KERNELS = {"tiff": 32, "jpeg:q100": 8, "jpeg:q60": 8}
"""Format -> bytes that a token of ByteFormer reads, as in the paper."""
PEER = "DeiT-Ti, decoded"
_MEAN, _STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class DeiT(nn.Module):
    """Pictures [batch, 3, 224, 224] -> logits: patches of 16, a class token, learned positions, 12 pre-norm layers."""

    def __init__(self, dim: int = 192, heads: int = 3, depth: int = 12, num_classes: int = 1000) -> None:
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, dim, 16, stride=16)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.randn(1, 197, dim) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(dim, eps=1e-6),
                    "qkv": nn.Linear(dim, 3 * dim),
                    "out": nn.Linear(dim, dim),
                    "mlp": nn.Sequential(
                        nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
                    ),
                }
            )
            for _ in range(depth)
        )
        self.norm, self.head = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            q, k, v = layer["qkv"](layer["norm"](x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            x = x + layer["out"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = x + layer["mlp"](x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits


def main(arguments: list[str] | None = None) -> None:
    """Measures the formats that the command line names."""
    parser = measure.options(__doc__)
    parser.add_argument("--formats", default=",".join(KERNELS), help=f"of {', '.join(KERNELS)} (default: all)")
    parser.add_argument("--model", default="byteformer_tiny", help="an entry of the zoo (default: %(default)s)")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.formats.split(","), KERNELS)
    torch.set_num_threads(options.threads)
    results = {name: _measure(name, options) for name in options.formats.split(",")}
    measure.publish("picture_peer", options, results, *(_table(*item) for item in results.items()))


def picture(height: int = 224, width: int = 224, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture with about as much detail as a photograph's: noise, the stronger the coarser."""
    rng = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128, np.float32)
    for step in (64, 32, 16, 8, 4, 2, 1):
        rough = rng.normal(size=(-(-height // step), -(-width // step), 3)).astype(np.float32)
        total += 3.2 * step**0.6 * rough.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
    return np.clip(total, 0, 255).astype(np.uint8)


def prepare(side: str, data: bytes, model: str, kernel_size: int) -> Callable[[], Tensor]:
    """A call from the bytes of a file to logits."""
    torch.manual_seed(0)
    form, bf16 = side.rpartition(" ")[0], side.endswith("bf16")
    network = DeiT() if form == PEER else create_model(model, kernel_size=kernel_size)
    network = network.eval().requires_grad_(False)

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits: Tensor = network(_decoded(data) if form == PEER else ByteBatch.from_bytes([data]))
            return logits

    return call


def _decoded(data: bytes) -> Tensor:
    """A picture's file as DeiT reads it, [1, 3, height, width]."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    return ((pixels / 255 - _MEAN) / _STD).permute(2, 0, 1)[None]


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    data = encode_image(picture(), name)
    sides = [f"{form} {precision}" for form in (PEER, "anybyte, bytes") for precision in ("fp32", "bf16")]
    calls = {side: prepare(side, data, options.model, KERNELS[name]) for side in sides}
    costs = {side: count(call) for side, call in calls.items()}
    seconds = measure.take_turns(calls, options.repeats, clock=options.clock)
    return {
        "bytes": len(data),
        "kernel_size": KERNELS[name],
        "sides": {
            side: {
                "milliseconds": 1000 * statistics.median(seconds[side]),
                "seconds": seconds[side],
                "times_the_peer": asdict(measure.ratio(seconds[side], seconds[sides[0]])),
                "flops": costs[side].flops,
            }
            for side in sides
        },
    }


def _table(name: str, result: dict[str, Any]) -> Table:
    title = f"A picture of 224x224 as {name}, {result['bytes']:,} bytes, k={result['kernel_size']}"
    table = Table(title=title, title_justify="left")
    table.add_column("form", no_wrap=True)
    for column in ("ms from the file", "of DeiT-Ti fp32 (range)", "GFLOP"):
        table.add_column(column, justify="right", no_wrap=True)
    for side, row in result["sides"].items():
        ratio = measure.Ratio(**row["times_the_peer"])
        table.add_row(side, f"{row['milliseconds']:.0f}", str(ratio), f"{1e-9 * row['flops']:.1f}")
    return table


if __name__ == "__main__":
    main()
