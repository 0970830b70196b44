"""Train the five models of `small/images` on CIFAR-10 for equal time, measure them, and write the page of results.

    python scripts/results_images.py run --data data/cifar10_tiff.zip --runs runs/images
    python scripts/results_images.py page --runs runs/images --trials runs/images_trials/*
    python scripts/results_images.py page

`run` trains and evaluates whatever is not there yet, each model in a process of its own, and keeps what the training
took of a processor in `cost.json`. `page` gathers the numbers of the runs in docs/results/images.json and writes
docs/results/images.md from that file; without `--runs` from the file alone. No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finished_runs import COST, count_parameters, flatten, markdown_table, read_finished, train_and_evaluate

from anybyte.recipes import get_recipe
from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log

ROWS = ("fourier", "learned", "conv", "bytes", "byteformer")
WHAT = {
    "fourier": ("Perceiver IO", "pixels, 2-D Fourier positions", "1,024 pixels"),
    "learned": ("Perceiver IO", "pixels, 1 x 1 convolution, learned positions", "1,024 pixels"),
    "conv": ("Perceiver IO", "pixels behind convolution and pool, 2-D Fourier positions", "64 places"),
    "bytes": ("Perceiver IO", "bytes of the file", "33 pieces of 192 bytes"),
    "byteformer": ("ByteFormer", "bytes of the file", "33 pieces of 192 bytes"),
}
"""Row -> model, what it reads, tokens."""

DATA = Path("docs/results/images.json")
PAGE = Path("docs/results/images.md")
_NOT_SETTINGS = re.compile(r"name|data\.path|run\.(out|max_steps|threads|evaluate_every|resume)|model\.architecture")
"""Fields of a recipe in which a trial may differ from its recipe without being another setting."""


def main(args: list[str] | None = None) -> int:
    """Trains, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run", help="train and evaluate")
    runs.add_argument("--data", type=Path, required=True, metavar="ZIP", help="what prepare_data.py makes of CIFAR-10")
    runs.add_argument("--runs", type=Path, required=True, metavar="DIR", help="folder of the runs")
    runs.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="which models (all)")
    page = verbs.add_parser("page", help="write the page")
    page.add_argument("--runs", type=Path, metavar="DIR", help="folder of the runs (none: the numbers in the JSON)")
    page.add_argument("--trials", type=Path, nargs="*", default=(), metavar="RUN", help="runs that chose the settings")
    page.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page.add_argument("--out", type=Path, default=PAGE, help=f"the page ({PAGE})")
    options = parser.parse_args(args)
    if options.verb == "run":
        for row in options.rows:
            train_and_evaluate(f"small/images/{row}", options.data, options.runs / row, "--run.threads", "1")
        return 0
    if options.runs is not None:
        write_atomically(options.json, (json.dumps(gather(options.runs, options.trials), indent=1) + "\n").encode())
    write_atomically(options.out, write_page(json.loads(options.json.read_text(encoding="utf-8"))).encode())
    return 0


def gather(runs: Path, trials: Sequence[Path]) -> dict[str, Any]:
    """The numbers of all runs that are there.

    Raises:
        ValueError: a run is not finished, or was measured on other files than the test part.
        OSError: a file of a run cannot be read.
    """
    return {
        "rows": {row: numbers(runs / row) for row in ROWS if (runs / row).is_dir()},
        "trials": [trial(path) for path in sorted(trials)],
    }


def numbers(run: Path) -> dict[str, Any]:
    """What is said of a run."""
    recipe, report = read_finished(run)
    log = read_log(run / "log.jsonl")
    best = [line for line in log if line["event"] == "validation" and line.get("best")][-1]
    last = [line for line in log if line["event"] == "validation"][-1]
    card = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (run / "model" / "README.md").read_text(), re.MULTILINE))
    return {
        "recipe": recipe["name"],
        "seed": recipe["run"]["seed"],
        "precision": recipe["run"]["precision"],
        "parameters": count_parameters(run / "model" / "model.safetensors"),
        "steps": last["step"],
        "epochs": last["epoch"],
        "minutes": last["minutes"],
        "processor_minutes": json.loads((run / COST).read_text())["processor_seconds"] / 60,
        "hardware": f"{card['hardware']}, {card['made with'].partition(', ')[2]}",
        "validation": best["accuracy"],
        "test": report["top1"],
        "test_files": report["files"],
    }


def trial(run: Path) -> dict[str, Any]:
    """A short run that helped to choose the settings: what it did otherwise, and how far it came."""
    recipe = json.loads((run / "recipe.json").read_text())
    best = [line for line in read_log(run / "log.jsonl") if line["event"] == "validation"][-1]
    stands = dict(flatten(json.loads(json.dumps(dataclasses.asdict(get_recipe(recipe["name"]))))))
    differs = {
        name: value
        for name, value in flatten(recipe)
        if not _NOT_SETTINGS.fullmatch(name) and value != stands.get(name)
    }
    return {
        "recipe": recipe["name"],
        "steps": best["step"],
        "learning_rate": recipe["optim"]["learning_rate"],
        "differs": differs,
        "validation": best["accuracy"],
    }


def write_page(found: dict[str, Any]) -> str:
    """The page, of the numbers that `gather` returned."""
    rows = found["rows"]
    first = next(iter(rows.values()))
    hardware = sorted({row["hardware"] for row in rows.values()})
    about = [
        "CIFAR-10 as TIFF files (`scripts/prepare_data.py cifar10`), 47,500 of the 50,000 training files to train on "
        "and 2,500 to choose by; the test files were looked at once, after everything was chosen.",
        f"Seed {first['seed']}, {first['precision']}, one thread each: {'; '.join(hardware)}. The machine had other "
        "work, so time is what the training process took of a processor, start and validation included, and not that "
        "of a clock.",
        "Equal time, not equal steps: each recipe's `run.max_steps` is what its model does in about five minutes of "
        "one core. All see the same files in the same order, under the same changes (mirrored at random, shifted by up "
        "to three pixels); the four Perceivers have the same latents and layers.",
        "± is the standard error of the test accuracy from the number of test files alone; another seed moves a row "
        "as well, and there is one seed.",
    ]
    parts = [
        "# Pictures: pixels and bytes in equal time\n",
        "Written by `scripts/results_images.py` from finished runs: change the runs, not this page.\n",
        _results(rows),
        "\n".join(f"- {line}" for line in about) + "\n",
        "## What it says\n",
        "\n".join(f"- {line}" for line in _findings(rows)) + "\n",
        *_trials(found["trials"]),
        "## To repeat it\n",
        "    python scripts/prepare_data.py cifar10 --data shared/data --out data\n"
        "    python scripts/results_images.py run --data data/cifar10_tiff.zip --runs runs/images\n"
        "    python scripts/results_images.py page --runs runs/images\n",
        "One model alone:\n",
        "    anybyte train small/images/conv --data data/cifar10_tiff.zip --out runs/images/conv\n"
        "    anybyte evaluate runs/images/conv --out runs/images/conv/test\n"
        "    anybyte classify picture.png --model runs/images/conv\n",
    ]
    return "\n".join(parts)


def _results(rows: dict[str, dict[str, Any]]) -> str:
    heads = (
        *("recipe", "model", "reads", "tokens", "parameters", "steps", "epochs"),
        *("processor minutes", "validation", "test"),
    )
    lines = []
    for row in sorted(rows, key=lambda name: -rows[name]["test"]):
        one = rows[row]
        error = (one["test"] * (1 - one["test"]) / one["test_files"]) ** 0.5
        lines.append(
            (
                f"`{one['recipe']}`",
                *WHAT[row],
                f"{one['parameters'] / 1e6:.2f} M",
                f"{one['steps']:,}",
                f"{one['epochs']:.1f}",
                f"{one['processor_minutes']:.1f}",
                f"{one['validation']:.1%}",
                f"**{one['test']:.1%}** ± {error:.1%}",
            )
        )
    return markdown_table(heads, lines)


def _findings(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What the numbers say, in words that follow from them."""
    share = {name: f"{one['test']:.1%}" for name, one in rows.items()}
    pixels = sorted({"fourier", "learned", "conv"} & rows.keys(), key=lambda name: -rows[name]["test"])
    order = ", ".join(f"{WHAT[name][1]} ({share[name]})" for name in pixels)
    ahead, behind = sorted(("bytes", "byteformer"), key=lambda name: -rows[name]["test"])
    gap = rows[ahead]["test"] - rows[behind]["test"]
    return [
        f"The Perceiver IO's ways to read pixels, the best first: {order}. In the paper, on ImageNet and with "
        "equal epochs, the order is convolution, Fourier positions, learned positions.",
        f"Of the same file bytes, in equal time, the {WHAT[ahead][0]} makes {share[ahead]} and the {WHAT[behind][0]} "
        f"{share[behind]}: {gap * 100:.1f} points apart.",
    ]


def _trials(trials: list[dict[str, Any]]) -> list[str]:
    if not trials:
        return []
    lines = [
        (
            f"`{one['recipe']}`",
            f"{one['steps']:,}",
            f"{one['learning_rate']:g}",
            ", ".join(f"`{name}` {value}" for name, value in one["differs"].items()) or "nothing",
            f"{one['validation']:.1%}",
        )
        for one in trials
    ]
    return [
        "## How the settings were chosen\n",
        "By short runs, on validation files alone. A run is a whole schedule of its own length.\n",
        markdown_table(("recipe", "steps", "learning rate", "otherwise than the recipe", "validation"), lines),
    ]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
