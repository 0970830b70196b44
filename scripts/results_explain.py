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
from collections.abc import Iterable
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
TOLERANCE = 0.01
"""Of the sum of its scores, as a share of the difference of logits."""
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


def gather(work: Path) -> dict[str, Any]:
    """The numbers of all sets that were measured.

    Raises:
        ValueError: there is none in the folder.
    """
    found = {}
    for name in SETS:
        lines = work / f"{name}.jsonl"
        if lines.exists():
            found[name] = summary([json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()])
    if not found:
        raise ValueError(f"no set was measured in {work}: `run` comes first")
    return {"percent": list(SHARES), "sets": found}


def summary(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over files, and what is said of each method."""
    errors = [file["methods"][CHOSEN]["error"] for file in files]
    return {
        "files": len(files),
        "right": mean(file["right"] for file in files),
        "probability": mean(file["probability"] for file in files),
        "nothing": mean(file["curves"]["mask 1"][RANDOM][1][0] for file in files),
        "header": {kind: mean(file["header"][kind] for file in files) for kind in files[0]["header"]},
        "seconds": {method: mean(file["methods"][method]["seconds"] for file in files) for method in METHODS},
        "completeness": {
            "median": float(np.median(errors)),
            "largest": max(errors),
            "within": mean(error <= TOLERANCE for error in errors),
            "steps": {
                str(steps): sum(file["methods"][CHOSEN]["steps"] == steps for file in files)
                for steps in sorted({file["methods"][CHOSEN]["steps"] for file in files})
            },
        },
        "agreement": {pair: mean(file["agreement"][pair] for file in files) for pair in files[0]["agreement"]},
        "ways": {
            way: {order: ways(files, way, order) for order in files[0]["curves"][way]} for way in files[0]["curves"]
        },
    }


def ways(files: list[dict[str, Any]], way: str, order: str) -> dict[str, Any]:
    """Mean curves of one order, their areas, and those areas beside the areas of random order in the same files."""
    curves = np.array([file["curves"][way][order] for file in files])  # [files, deletion and insertion, points]
    areas = area(curves)
    random = area(np.array([file["curves"][way][RANDOM] for file in files]))
    ratios = areas.mean(axis=0) / random.mean(axis=0)
    draws = np.random.default_rng(0).integers(0, len(files), (1000, len(files)))
    drawn = areas[draws].mean(axis=1) / random[draws].mean(axis=1)
    found: dict[str, Any] = {}
    for number, kind in enumerate(("deletion", "insertion")):
        better = areas[:, number] < random[:, number] if kind == "deletion" else areas[:, number] > random[:, number]
        found[kind] = {
            "area": float(areas[:, number].mean()),
            "ratio": float(ratios[number]),
            "interval": np.percentile(drawn[:, number], [2.5, 97.5]).tolist(),
            "better": float(better.mean()),
            "curve": curves[:, number].mean(axis=0).round(4).tolist(),
        }
    return found


def area(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Under curves over their last axis."""
    return np.trapezoid(curves, np.array(SHARES) / 100, axis=-1)


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def draw(found: dict[str, Any], out: Path) -> None:
    """Curves of deletion (above) and insertion (below), a column a set."""
    from matplotlib.figure import Figure

    sets = found["sets"]
    figure = Figure(figsize=(3.6 * len(sets), 6), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(sets), squeeze=False, sharex=True, sharey=True)
    for column, (name, numbers) in enumerate(sets.items()):
        for row, kind in enumerate(("deletion", "insertion")):
            axis = axes[row, column]
            for order, about in numbers["ways"]["mask 1"].items():
                style = {RANDOM: "k--", HEADER: "k:"}.get(order, "-")
                axis.plot(found["percent"], about[kind]["curve"], style, label=order.replace("_", " "), linewidth=1.4)
            axis.set_title(f"{SETS[name].title}\n{SETS[name].model.partition(',')[0]}: {kind}", fontsize=9)
            axis.set_xlabel("% of the bytes")
            axis.grid(alpha=0.3)
        axes[0, column].set_ylim(0, 1)
    for row in (0, 1):
        axes[row, 0].set_ylabel("probability of the label")
    axes[0, -1].legend(fontsize=7)
    figure.savefig(out, format="png", metadata={"Software": None})


def write_page(found: dict[str, Any]) -> str:
    """The page, of the numbers that `gather` returned."""
    sets = found["sets"]
    total = sum(numbers["files"] for name, numbers in sets.items() if not name.startswith("perceiver"))
    counts = ", ".join(
        f"{numbers['files']} of {SETS[name].title} ({SETS[name].model})" for name, numbers in sets.items()
    )
    within = sum(numbers["completeness"]["within"] * numbers["files"] for numbers in sets.values())
    every = sum(numbers["files"] for numbers in sets.values())
    largest = max(numbers["completeness"]["largest"] for numbers in sets.values())
    return f"""# Which bytes decided: the methods measured

Written by `scripts/results_explain.py` from measurements: change these, not this page. What the methods are, and which
one to trust: [explain.md](../explain.md).

Files of test parts, drawn at random (seed 0): {counts}; {total} different files. The label explained is the model's own
answer, right or wrong. {HARDWARE}.

## What it says

{said(sets)}

This is of the ByteFormers. The other numbers stand in the tables.

## Deletion

Bytes are deleted in the order of their scores, those for the label first: a byte that is deleted is read as padding,
which is embedded as zero. The number is the area under the curve of the label's probability, the mean along the way;
less is better. In brackets: that area as a share of random order's on the same files, and where 95% of bootstrap draws
of the files lie. In bold: what `anybyte explain` does unless told otherwise.

{curves_table(sets, "mask 1", "deletion")}
![curves]({PICTURE.name})

The same in other ways, as shares of random order's area. *Lines*: lines of {LINE} bytes go together, ordered by their
mean, and so do random ones. *Other file*: what is deleted is not padding but the byte of another file of the test part
at the same place.

{other_ways_table(sets, "deletion")}
## Insertion

From a file of padding alone to the file, best bytes first; more is better.

{curves_table(sets, "mask 1", "insertion")}
{other_ways_table(sets, "insertion")}
## The header alone

The mean probability of the label for the file, without the bytes before the first pixel or sample, with nothing else,
and for a file of padding.

{header_table(sets)}
## Completeness

The scores of integrated gradients should add up to the logit minus that of a file of padding. The error is a share of
that difference; steps are doubled from 32 on until it is no more than {TOLERANCE:.0%}. So it is in {within:.0f} of
{every} files; the largest error is {largest:.2%}.

{completeness_table(sets)}
## Agreement

Spearman's rank correlation of two methods, over lines of {LINE} bytes; the mean over files.

{agreement_table(sets)}
## What it costs

Seconds of one thread a file.

{cost_table(sets)}
## To repeat it

    python scripts/results_explain.py run --data data --work runs/explain \\
{set_options(sets)}
    python scripts/results_explain.py page --work runs/explain

The archives are those of `scripts/prepare_data.py`; the models are those of [results_small.md](../results_small.md) and
[images.md](images.md).
"""


def said(sets: dict[str, Any]) -> str:
    """The numbers that the choice of a method rests on, in words; they are those of the ByteFormers."""
    sets = {name: numbers for name, numbers in sets.items() if not name.startswith("perceiver")}

    def span(way: str, method: str, kind: str = "deletion") -> str:
        ratios = [numbers["ways"][way][method][kind]["ratio"] for numbers in sets.values()]
        return f"{min(ratios):.2f} to {max(ratios):.2f}"

    better = min(numbers["ways"]["mask 1"][CHOSEN]["deletion"]["better"] for numbers in sets.values())
    lines = f"mask {LINE}"
    best = {
        SETS[name].title: min(METHODS, key=lambda method: numbers["ways"][lines][method]["deletion"]["ratio"])
        for name, numbers in sets.items()
    }
    items = [
        f"Integrated gradients: the area of deletion is {span('mask 1', CHOSEN)} of random order's, byte by byte; "
        f"{span(lines, CHOSEN)} in lines of {LINE} bytes, and {span('other 1', CHOSEN)} where bytes of another file "
        f"stand in. Byte by byte it is below random order's in {'all' if better == 1 else f'{better:.0%} or more'} of "
        "the files of each set.",
        f"Gradient x embedding: {span('mask 1', 'gradient')} byte by byte, {span(lines, 'gradient')} in lines, at a "
        "small part of the cost.",
        f"Occlusion: {span('mask 1', 'occlusion')} byte by byte, {span(lines, 'occlusion')} in lines: it hides "
        "stretches of about that length, so that it says little of single bytes.",
        f"Attention: {span('mask 1', 'attention')} byte by byte, {span(lines, 'attention')} in lines.",
        "In lines, deletion does most by " + "; ".join(f"{method} ({title})" for title, method in best.items()) + ".",
        f"The header first: {span('mask 1', HEADER)}: it is not by the header that these models know their classes.",
        "Byte by byte, part of what the gradients find is what the model is brittle in, not what a picture shows: "
        "single bytes that are replaced make files that no camera writes. The lines and the bytes of other files are "
        "the fairer test, and there the margins are smaller.",
    ]
    return "\n".join(f"- {item}" for item in items)


def set_options(sets: dict[str, Any]) -> str:
    """The options of `run` that name the sets."""
    return " \\\n".join(f"      --set {name}=runs/{name}/model" for name in sets)


def head(sets: dict[str, Any], first: str) -> list[str]:
    """The heading of a table with a column a set."""
    return [first, *(f"{SETS[name].title}: {SETS[name].model.partition(',')[0]}" for name in sets)]


def curves_table(sets: dict[str, Any], way: str, kind: str) -> str:
    """Areas and ratios of every order."""
    orders = list(next(iter(sets.values()))["ways"][way])
    rows = []
    for order in orders:
        row = [f"**{order}**" if order == CHOSEN else order]
        for numbers in sets.values():
            about = numbers["ways"][way][order][kind]
            low, high = about["interval"]
            ratio = "" if order == RANDOM else f" ({about['ratio']:.2f}; {low:.2f} to {high:.2f})"
            row.append(f"{about['area']:.3f}{ratio}")
        rows.append(row)
    return markdown_table(head(sets, "order"), rows)


def other_ways_table(sets: dict[str, Any], kind: str) -> str:
    """Ratios of the methods in the other ways."""
    words = {f"mask {LINE}": "lines", "other 1": "other file"}
    rows = [
        [f"{method}, {word}", *(f"{numbers['ways'][way][method][kind]['ratio']:.2f}" for numbers in sets.values())]
        for way, word in words.items()
        for method in METHODS
    ]
    return markdown_table(head(sets, "order"), rows)


def header_table(sets: dict[str, Any]) -> str:
    rows = [
        ["the file", *(f"{numbers['probability']:.3f}" for numbers in sets.values())],
        ["without its header", *(f"{numbers['header']['without']:.3f}" for numbers in sets.values())],
        ["its header alone", *(f"{numbers['header']['only']:.3f}" for numbers in sets.values())],
        ["padding alone", *(f"{numbers['nothing']:.3f}" for numbers in sets.values())],
    ]
    return markdown_table(head(sets, "what is read"), rows)


def completeness_table(sets: dict[str, Any]) -> str:
    about = [numbers["completeness"] for numbers in sets.values()]
    rows = [
        ["median error", *(f"{one['median']:.2%}" for one in about)],
        ["largest error", *(f"{one['largest']:.2%}" for one in about)],
        [f"files within {TOLERANCE:.0%}", *(f"{one['within']:.1%}" for one in about)],
        ["steps: files", *(", ".join(f"{steps}: {count}" for steps, count in one["steps"].items()) for one in about)],
    ]
    return markdown_table(head(sets, ""), rows)


def agreement_table(sets: dict[str, Any]) -> str:
    pairs = next(iter(sets.values()))["agreement"]
    rows = [
        [pair.replace(" ", ", "), *(f"{numbers['agreement'][pair]:+.2f}" for numbers in sets.values())]
        for pair in pairs
    ]
    return markdown_table(head(sets, "methods"), rows)


def cost_table(sets: dict[str, Any]) -> str:
    rows = [[method, *(f"{numbers['seconds'][method]:.2f}" for numbers in sets.values())] for method in METHODS]
    return markdown_table(head(sets, "method"), rows)


if __name__ == "__main__":
    sys.exit(main())
