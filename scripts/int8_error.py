"""How far bfloat16 and 8-bit integers are from float32: logits and accuracy on the test part of trained runs.

    python scripts/int8_error.py runs/fsdd_wav runs/cifar10_tiff --files 300 --write

The difference of logits (root of the mean square, and the largest) is over the standard deviation of float32's logits
around their mean of a file. `--write`: into docs/results/int8.json, and the table of docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from finished_runs import markdown_table
from levers import with_table
from torch import Tensor, nn

from anybyte.batch import ByteBatch
from anybyte.config import DataConfig
from anybyte.files.sources import open_splits
from anybyte.models.byteformer import ByteFormer
from anybyte.models.quantize import quantized
from anybyte.models.zoo import load_pretrained
from anybyte.train.checkpoint import write_atomically

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- precisions: written by scripts/int8_error.py -->", "<!-- end of precisions -->"
TOGETHER = 32
_SPLIT = ("path", "val_fraction", "test_fraction", "split_seed")
"""What decides which files are the test part; runs of older versions have other settings beside them."""


def main(arguments: list[str] | None = None) -> None:
    """Measures, and prints or writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--files", type=int, default=300, help="of the test part, drawn with seed 0 (default: 300)")
    parser.add_argument("--write", action="store_true", help="into the documentation")
    parser.add_argument("--json", type=Path, default=DOCS / "results" / "int8.json")
    parser.add_argument("--page", type=Path, default=DOCS / "speed.md")
    options = parser.parse_args(arguments)
    results = {run.name: differences(run, options.files) for run in options.runs}
    print(table(results))
    if options.write:
        write_atomically(options.json, (json.dumps(results, indent=2) + "\n").encode())
        text = options.page.read_text(encoding="utf-8")
        write_atomically(options.page, with_table(text, table(results), BEGIN, END).encode())


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """All runs as Markdown."""
    rows = [
        [
            run,
            f"{row['files']:.0f}",
            name,
            f"{row['accuracy']:.1%}",
            f"{row['agree']:.1%}",
            f"{row['rms']:.2%}",
            f"{row['most']:.1%}",
        ]
        for run, precisions in results.items()
        for name, row in precisions.items()
    ]
    heads = ["run", "test files", "precision", "accuracy", "answers of fp32", "logits off by (rms)", "at most"]
    return markdown_table(heads, rows).rstrip()


def differences(run: Path, count: int) -> dict[str, dict[str, float]]:
    """Precision -> its numbers.

    Raises:
        ValueError: the run's model reads something else than files as they are stored, or is no ByteFormer.
        OSError: something cannot be read.
    """
    if (run / "model" / "reading.json").exists():
        raise ValueError(f"{run}: its model does not read files as they are stored")
    model, _ = load_pretrained(run / "model")
    if not isinstance(model, ByteFormer):
        raise ValueError(f"{run}: its model is a {type(model).__name__}, not a ByteFormer")
    model.eval().requires_grad_(False)
    data = json.loads((run / "recipe.json").read_text(encoding="utf-8"))["data"]
    test = open_splits(DataConfig(**{name: data[name] for name in _SPLIT})).test
    chosen = np.random.default_rng(0).permutation(len(test.entries))[:count].tolist()
    files = [test.read(index) for index in chosen]
    labels = torch.tensor([test.entries[index].label for index in chosen])
    exact = _logits(model, files, bf16=False)
    spread = (exact - exact.mean(dim=1, keepdim=True)).std()
    rows = {}
    for name, net, bf16 in (("fp32", model, False), ("bf16", model, True), ("int8", quantized(model), True)):
        found = _logits(net, files, bf16)
        rows[name] = {
            "files": len(files),
            "accuracy": float((found.argmax(dim=1) == labels).double().mean()),
            "agree": float((found.argmax(dim=1) == exact.argmax(dim=1)).double().mean()),
            "rms": float((found - exact).square().mean().sqrt() / spread),
            "most": float((found - exact).abs().max() / spread),
        }
    return rows


def _logits(model: nn.Module, files: Sequence[bytes], bf16: bool) -> Tensor:
    groups = [files[first : first + TOGETHER] for first in range(0, len(files), TOGETHER)]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return torch.cat([model(ByteBatch.from_bytes(group)).float() for group in groups])


if __name__ == "__main__":
    main()
