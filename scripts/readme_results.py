"""Put what the small Perceivers reach into the README, a line a task, from the numbers beside the pages of results.

    python scripts/readme_results.py

Reads docs/results/*.json, which the scripts of the pages wrote, and replaces what stands between the two marks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

from finished_runs import markdown_table

from anybyte.train.checkpoint import write_atomically

START, END = "<!-- perceivers:start -->", "<!-- perceivers:end -->"
_HEADS = ("task", "measured on", "model", "beside it", "trained in minutes of one core")


def main(args: list[str] | None = None) -> int:
    """Writes the README's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--results", type=Path, default=Path("docs/results"), help="folder of the numbers (docs/results)"
    )
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="the page to change (README.md)")
    options = parser.parse_args(args)
    text = options.readme.read_text(encoding="utf-8")
    write_atomically(options.readme, replace_block(text, table(options.results)).encode())
    return 0


def replace_block(text: str, block: str) -> str:
    """Puts `block` between the marks.

    Raises:
        ValueError: a mark is missing.
    """
    for mark in (START, END):
        if text.count(mark) != 1:
            raise ValueError(f"the page has {text.count(mark)} lines {mark!r}, not one")
    before, rest = text.split(START)
    return f"{before}{START}\n{block}{END}{rest.split(END)[1]}"


def table(folder: Path) -> str:
    """One row a task, each with a link to its page."""
    rows = []
    for page, title, row in _ROWS:
        numbers = json.loads((folder / f"{page}.json").read_text(encoding="utf-8"))
        rows.append((f"[{title}](docs/results/{page}.md)", *row(numbers)))
    return markdown_table(_HEADS, rows)


def _language(numbers: dict[str, Any]) -> tuple[str, ...]:
    ours, theirs = (numbers["rows"][name] for name in ("bytes", "ngram_both"))
    return (
        "hidden words of WikiText-2, after three novels",
        f"**{ours['test']['byte_accuracy']:.1%}** of bytes, {ours['mixed']['test']:.2f} bits",
        f"byte 5-gram from both sides {theirs['test']['byte_accuracy']:.1%}, {theirs['mixed']['test']:.2f} bits",
        f"{ours['run']['minutes']:.0f} (shared)",
    )


def _glue(numbers: dict[str, Any]) -> tuple[str, ...]:
    row = numbers["rows"]["queries"]
    tasks = [row["tasks"][name] for name in ("sst2", "mrpc", "qnli")]
    return (
        "SST-2, MRPC, QNLI: one model, a query a task",
        "**" + " / ".join(f"{task['accuracy']:.1%}" for task in tasks) + "**",
        "most frequent answer " + " / ".join(f"{task['baseline']['accuracy']:.1%}" for task in tasks),
        f"{row['train_minutes']:.0f}",
    )


def _flow(numbers: dict[str, Any]) -> tuple[str, ...]:
    pairs = [pair["metrics"] for pair in numbers["pairs"]]
    error = {method: mean(pair[method]["epe"] for pair in pairs) for method in ("model", "zero", "farneback", "dis")}
    return (
        f"{len(pairs)} pairs of Sintel, FlyingChairs, KITTI, after made pairs only",
        f"**{error['model']:.1f}** pixels off",
        f"zero flow {error['zero']:.1f}, Farnebäck {error['farneback']:.1f}, DIS {error['dis']:.1f}",
        f"{sum(run['minutes'] for run in numbers['training']['runs']):.0f} (shared)",
    )


def _autoencoder(numbers: dict[str, Any]) -> tuple[str, ...]:
    unseen = [file for file in numbers["files"].values() if not file["seen"]]
    psnr = {
        part: {name: mean(file[part][name] for file in unseen) for name in unseen[0][part]}
        for part in ("video", "audio")
    }
    return (
        "video and sound of unseen recordings",
        f"**{psnr['video']['model']:.1f} dB**, sound {psnr['audio']['model']:.1f} dB",
        f"bicubic of equal size {psnr['video']['bicubic']:.1f} dB, silence {psnr['audio']['silence']:.1f} dB",
        f"{numbers['minutes']:.0f}",
    )


def _images(numbers: dict[str, Any]) -> tuple[str, ...]:
    rows = numbers["rows"]
    return (
        "CIFAR-10: pixels (convolution / Fourier / learned), file bytes",
        "**" + " / ".join(f"{rows[name]['test']:.1%}" for name in ("conv", "fourier", "learned", "bytes")) + "**",
        f"ByteFormer on the same bytes {rows['byteformer']['test']:.1%}",
        f"{mean(row['processor_minutes'] for row in rows.values()):.0f} each",
    )


def _audio(numbers: dict[str, Any]) -> tuple[str, ...]:
    scores = {name: mean(fold["test"] for fold in folds) for name, folds in numbers["rows"].items()}
    reference = mean(fold["test"] for fold in numbers["reference"])
    return (
        f"ESC-10, {len(numbers['reference'])} folds: mel / samples",
        f"**{scores['mel']:.1%} / {scores['raw']:.1%}**",
        f"logistic regression on averages of mel {reference:.1%}",
        f"{mean(fold['processor_minutes'] for folds in numbers['rows'].values() for fold in folds):.0f} each",
    )


def _sets(numbers: dict[str, Any]) -> tuple[str, ...]:
    rows = [numbers[name] for name in ("small/entities", "small/points")]
    return (
        "targets of units / shapes of point clouds, generated",
        "**" + " / ".join(f"{row['test']:.1%}" for row in rows) + "**",
        "the best there can be " + " / ".join(f"{row['achievable']:.1%}" for row in rows),
        " / ".join(f"{row['minutes']:.0f}" for row in rows) + " (shared)",
    )


_ROWS = (
    ("language", "masked bytes", _language),
    ("glue", "GLUE", _glue),
    ("flow", "optical flow", _flow),
    ("autoencoder", "autoencoding", _autoencoder),
    ("images", "pictures", _images),
    ("audio", "sounds", _audio),
    ("sets", "sets", _sets),
)
"""Page, what it is called, and its row."""

if __name__ == "__main__":
    raise SystemExit(main())
