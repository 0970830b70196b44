"""Measure which bytes decided: delete and insert bytes of held-out files by each method's scores; write the page.

    python scripts/results_explain.py run --set fsdd_wav=runs/fsdd_wav/model --data data --work runs/explain
    python scripts/results_explain.py page --work runs/explain
    python scripts/results_explain.py page

`run` appends a line a file to WORK/SET.jsonl and goes on where it stopped; `page` gathers these lines in
docs/results/explain.json, and writes docs/results/explain.md and the curves' picture from that file; without `--work`
from the file alone. No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from finished_runs import markdown_table
from numpy.typing import NDArray

from anybyte.config import DataConfig
from anybyte.explain import METHODS, explain
from anybyte.explain.curves import SHARES, curves, order_of, probabilities
from anybyte.explain.layout import layout_of
from anybyte.explain.result import stretch_sums
from anybyte.explain.target import Target, make_target
from anybyte.files.sources import Source, open_splits
from anybyte.predictor import Predictor, load_as
from anybyte.tasks.agreement import spearman
from anybyte.train.checkpoint import write_atomically

DATA, PAGE, PICTURE = (Path("docs/results") / f"explain.{suffix}" for suffix in ("json", "md", "png"))
HARDWARE = "2 cores of an AMD EPYC (Zen 4), shared; one thread a set; torch 2.13 CPU"
LINE = 16
"""Bytes of the longer units that are deleted together: a line of a hex dump."""
CHOSEN = "integrated_gradients"
RANDOM, HEADER = "random", "header first"
WAYS = (("mask", 1), ("mask", LINE), ("other", 1))
"""What replaces deleted bytes, and how many go together: padding, or the bytes of another file at the same places."""


@dataclass(frozen=True)
class Set:
    """What is measured on.

    Attributes:
        archive: file that `prepare_data.py` writes.
        title: of its row.
        model: what reads it.
    """

    archive: str
    title: str
    model: str


SETS = {
    "cifar10_tiff": Set("cifar10_tiff.zip", "CIFAR-10, TIFF", "ByteFormer, `small/cifar10_tiff`"),
    "fashion_mnist_png": Set("fashion_mnist_png.zip", "Fashion-MNIST, PNG", "ByteFormer, `small/fashion_mnist_png`"),
    "fsdd_wav": Set("fsdd.zip", "FSDD, WAV", "ByteFormer, `small/fsdd_wav`"),
    "perceiver_tiff": Set("cifar10_tiff.zip", "CIFAR-10, TIFF", "Perceiver IO on bytes"),
}


def main(args: list[str] | None = None) -> int:
    """Measures, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="measure")
    run.add_argument("--set", action="append", required=True, metavar="NAME=MODEL", help=f"of {', '.join(SETS)}")
    run.add_argument("--data", type=Path, required=True, metavar="DIR", help="what prepare_data.py wrote")
    run.add_argument("--work", type=Path, required=True, metavar="DIR", help="where the lines go")
    run.add_argument("--files", type=int, default=67, metavar="N", help="of each set's test part (67)")
    run.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw of files and of random orders (0)")
    page = verbs.add_parser("page", help="write the page")
    page.add_argument("--work", type=Path, metavar="DIR", help="where the lines are (none: the numbers in the JSON)")
    page.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page.add_argument("--out", type=Path, default=PAGE, help=f"the page ({PAGE})")
    page.add_argument("--picture", type=Path, default=PICTURE, help=f"the curves ({PICTURE})")
    options = parser.parse_args(args)
    if options.verb == "run":
        torch.set_num_threads(1)
        measure_all(dict(pair.split("=", 1) for pair in options.set), options)
        return 0
    if options.work is not None:
        found = gather(options.work)
        write_atomically(options.json, (json.dumps(found, indent=1) + "\n").encode())
    found = json.loads(options.json.read_text(encoding="utf-8"))
    draw(found, options.picture)
    write_atomically(options.out, write_page(found).encode())
    return 0


def measure_all(models: dict[str, str], options: argparse.Namespace) -> None:
    """Every set that was asked for, file by file in turns, so that all grow evenly."""
    options.work.mkdir(parents=True, exist_ok=True)
    todo = []
    for name, folder in models.items():
        if name not in SETS:
            raise ValueError(f"no set {name!r}; there are {', '.join(SETS)}")
        test = open_splits(DataConfig(path=str(options.data / SETS[name].archive))).test
        lines = options.work / f"{name}.jsonl"
        done = {json.loads(line)["file"] for line in lines.read_text().splitlines()} if lines.exists() else set()
        drawn = np.random.default_rng(options.seed).choice(len(test.entries), options.files, replace=False)
        files = [int(index) for index in drawn if test.entries[index].name not in done]
        todo.append((load_as(Predictor, folder), test, lines, files))
    for turn in range(max(len(files) for *_, files in todo)):
        for predictor, test, lines, files in todo:
            if turn < len(files):
                found = measure(predictor, test, files[turn], options.seed)
                with lines.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(found) + "\n")


def measure(predictor: Predictor, test: Source, index: int, seed: int) -> dict[str, Any]:
    """All that is found out about one file."""
    entry, data = test.entries[index], test.read(index)
    rng = np.random.default_rng([seed, zlib.crc32(entry.name.encode())])
    scores: dict[str, NDArray[np.float32]] = {}
    about: dict[str, Any] = {}
    for method in METHODS:
        start = time.process_time()
        one = explain(predictor, data, method=method, name=entry.name)
        took = time.process_time() - start
        scores[method] = one.scores
        about[method] = {"seconds": took, "sum": float(one.scores.sum()), **one.settings}
        if one.completeness_error is not None:
            about[method] |= {"error": one.completeness_error, "difference": one.logit - (one.baseline or 0.0)}
    target = make_target(predictor.model, data, predictor.labels.index(one.label))
    other = other_bytes(data, test.read(int(rng.integers(len(test.entries)))))
    found: dict[str, Any] = {
        "file": entry.name,
        "bytes": len(data),
        "right": test.classes[entry.label] == one.label,
        "probability": one.probability,
        "methods": about,
        "agreement": agreement(scores),
        "header": header_alone(target),
        "curves": {},
    }
    for fill, size in WAYS:
        orders = {**scores, **without_scores(data, size, rng)}
        if fill == "other" or size > 1:
            del orders[HEADER]
        found["curves"][f"{fill} {size}"] = {
            name: [
                curve.probabilities.round(5).tolist()
                for curve in curves(target, order_of(one_scores, size), other=other if fill == "other" else None)
            ]
            for name, one_scores in orders.items()
        }
    return found


def header_of(data: bytes) -> int:
    """Bytes before the first that belongs to a pixel or sample."""
    layout = layout_of(data)
    assert layout is not None, "every set has a layout"
    return int(layout.offsets.min())


def without_scores(data: bytes, size: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Scores of no method: at random, a number for each stretch, and the header before all that."""
    drawn = rng.random(-(-len(data) // size)).repeat(size)[: len(data)]
    header = drawn + (np.arange(len(data)) < header_of(data))
    return {RANDOM: drawn, HEADER: header}


def other_bytes(data: bytes, other: bytes) -> NDArray[np.uint8]:
    """Another file's bytes: its header at the place of the header, then its pixels or samples, repeated if need be."""
    head, its_head = header_of(data), header_of(other)
    values = np.frombuffer(other, dtype=np.uint8)
    return np.concatenate([np.resize(values[:its_head], head), np.resize(values[its_head:], len(data) - head)])


def header_alone(target: Target) -> dict[str, float]:
    """The probability without the header, and with nothing else."""
    header = torch.arange(target.length) < header_of(target.data)
    without, only = probabilities(target, torch.stack([header, ~header]), 256).tolist()
    return {"without": without, "only": only}


def agreement(scores: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Rank correlation of each two methods over lines of bytes."""
    lines = {name: stretch_sums(one, LINE) for name, one in scores.items()}
    names = list(lines)
    return {
        f"{first} {second}": spearman(lines[first], lines[second])
        for number, first in enumerate(names)
        for second in names[number + 1 :]
    }


if __name__ == "__main__":
    sys.exit(main())
