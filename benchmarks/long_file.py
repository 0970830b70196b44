"""One very long file through `anybyte.load(...).classify([path])` in a fresh process: memory, speed, exactness.

Claim: 100 MB under 4 GB of memory, imports and file included, with the logits that the model would give at once.

    python -m benchmarks.long_file --mb 100 --kernel 32 --model tiny
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

import anybyte
from anybyte.models import stretches
from anybyte.predictor import Precision
from benchmarks import measure


def main(arguments: list[str] | None = None) -> None:
    """Measures one file."""
    parser = measure.options(__doc__, rounds=False)
    parser.add_argument("--mb", type=float, default=100, help="length of the file in MB of 10^6 bytes (default: 100)")
    parser.add_argument("--exact-mb", type=float, default=9, help="of the file computed both ways (default: 9)")
    parser.add_argument("--kernel", type=int, default=32, help="bytes a token reads (default: 32)")
    parser.add_argument("--model", choices=("nano", "tiny"), default="tiny", help="(default: tiny)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="(default: fp32)")
    options = parser.parse_args(arguments)
    if options.exact_mb * measure.MB <= stretches.STRETCH_BYTES:
        parser.error(f"--exact-mb {options.exact_mb}: a file of up to {stretches.STRETCH_BYTES} bytes is no long one")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = _measure(options, Path(folder))
    measure.publish("long_file", options, results, _table(results))


def write_random_file(path: Path, size: int, seed: int = 0) -> None:
    """A file of `size` evenly spread bytes, written a piece at a time."""
    generator = np.random.default_rng(seed)
    with path.open("wb") as file:
        for first in range(0, size, measure.MB):
            file.write(generator.bytes(min(measure.MB, size - first)))


def classify(model: Path, path: Path, precision: Precision, threads: int) -> dict[str, float]:
    """What a user does, and what it took. For `measure.in_fresh_process`."""
    torch.set_num_threads(threads)
    predictor = anybyte.load(model, device="cpu", precision=precision)
    size, loaded = path.stat().st_size, measure.peak_memory()
    start = time.perf_counter()
    (answer,) = predictor.classify([path], max_bytes=size)
    seconds = time.perf_counter() - start
    return {
        "bytes": size,
        "seconds": seconds,
        "bytes_per_second": size / seconds,
        "peak_memory_bytes": measure.peak_memory(),
        "peak_memory_before_bytes": loaded,
        "score": answer.score,
    }


def exactness(model: Path, path: Path, threads: int) -> dict[str, float]:
    """How far logits in stretches are from logits at once, in fp32, and how far logits are from each other."""
    torch.set_num_threads(threads)
    network = anybyte.load(model, device="cpu").model
    batch = anybyte.ByteBatch.from_files([path])
    pieces = -(-len(batch.values) // stretches.STRETCH_BYTES)
    with torch.inference_mode():
        in_stretches = network(batch)
        stretches.STRETCH_BYTES = len(batch.values)  # this process is used for nothing else
        at_once = network(batch)
    return {
        "bytes": len(batch.values),
        "stretches": pieces,
        "largest_logit_difference": float((in_stretches - at_once).abs().max()),
        "logit_spread": float(at_once.std()),
    }


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    network = anybyte.create_model(f"byteformer_{options.model}", kernel_size=options.kernel)
    network.save_pretrained(folder / "model")
    long, short = folder / "long", folder / "short"
    write_random_file(long, round(options.mb * measure.MB))
    write_random_file(short, round(options.exact_mb * measure.MB))
    run = measure.in_fresh_process
    return {
        "classify": run(classify, folder / "model", long, options.precision, options.threads),
        "exactness": run(exactness, folder / "model", short, options.threads),
    }


def _table(results: dict[str, Any]) -> Table:
    run, exact = results["classify"], results["exactness"]
    table = Table(title=f"A file of {run['bytes'] / measure.MB:.6g} MB", show_header=False)
    table.add_row("peak memory of the process", f"{run['peak_memory_bytes'] / measure.MB:.0f} MB")
    table.add_row("  of which before the file", f"{run['peak_memory_before_bytes'] / measure.MB:.0f} MB")
    table.add_row("time", f"{run['seconds']:.1f} s")
    table.add_row("speed", f"{run['bytes_per_second'] / 1000:.0f} kB/s")
    table.add_section()
    table.add_row("computed both ways", f"{exact['bytes'] / measure.MB:.6g} MB, {exact['stretches']} stretches")
    table.add_row("largest difference of logits", f"{exact['largest_logit_difference']:.1e}")
    table.add_row("logits spread by", f"{exact['logit_spread']:.1e}")
    return table


if __name__ == "__main__":
    main()
