"""Write the page of results from finished training runs, and put its summary into the README.

    python scripts/results_table.py RUN... --out docs/results_small.md --readme README.md

Each RUN is a folder that `anybyte train` has finished and that `anybyte evaluate RUN --out RUN/test` has measured. No
number on the page is typed by hand: settings come from `recipe.json`, times and validation from `log.jsonl`, hardware
from the model's card, sizes from the weights and the data, the test from `test/report.json`. Pictures of the runs are
copied to `pictures/` beside the page.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from finished_runs import count_parameters, flatten, markdown_table

from anybyte.config import DataConfig
from anybyte.files.sources import open_splits
from anybyte.models.stem import Stem
from anybyte.recipes import RECIPES, get_recipe
from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log

START, END = "<!-- results:start -->", "<!-- results:end -->"

PREPARED = {"fsdd.zip": "fsdd", "fashion_mnist_png.zip": "fashion_mnist", "cifar10_tiff.zip": "cifar10"}
"""Archive -> the data set that `scripts/prepare_data.py` makes it from."""


@dataclass(frozen=True)
class Goal:
    """Test accuracies set before any training, for two processor cores and `minutes`: one to reach, one to aim for."""

    required: float
    aim: float
    minutes: int = 100


GOALS = {
    "small/fsdd_wav": Goal(0.80, 0.95),
    "small/fashion_mnist_png": Goal(0.85, 0.91),
    "small/cifar10_tiff": Goal(0.55, 0.75),
}

_FROM_THE_RUN = ("name", "data.path", "run.out", "model.num_classes")
"""Fields of a recipe that its command does not repeat: named otherwise, or following from the data."""


@dataclass(frozen=True)
class Run:
    """What a finished run and its evaluation say.

    Attributes:
        folder: where they lie.
        recipe: the run's settings, as JSON holds them.
        card: the rows of the model card's table.
        parameters: numbers in the weights.
        train_files, val_files: files of the parts that were trained on and that chose the weights.
        epochs, minutes: of training.
        stopped: why training ended.
        files_per_second: of optimiser steps, over the whole run, validation and checkpoints aside.
        validation: the last row of the log whose weights were the best so far: those that were kept.
        report: of the test.
    """

    folder: Path
    recipe: dict[str, Any]
    card: dict[str, str]
    parameters: int
    train_files: int
    val_files: int
    epochs: float
    minutes: float
    stopped: str
    files_per_second: float
    validation: dict[str, Any]
    report: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.recipe["name"])

    @property
    def hardware(self) -> str:
        return re.sub(r"\b1 threads\b", "1 thread", self.card["hardware"])

    @property
    def is_on_processor(self) -> bool:
        """Whether it ran without a GPU: the goals are for processors."""
        return bool(re.match(r"\d+ threads? of", self.hardware))

    @property
    def bytes_a_file(self) -> float:
        return float(self.report["bytes"] / self.report["files"])

    @property
    def input(self) -> str:
        """What the model reads, in words."""
        kernel = self.recipe["model"]["kernel_size"]
        tokens = int(Stem(1, kernel).num_tokens(np.array([round(self.bytes_a_file)]))[0])
        format = self.recipe["reading"]["format"]
        stored = Path(self.recipe["data"]["path"]).stem if format is None else f"written as {format}"
        return f"{stored}: {self.bytes_a_file:,.0f} bytes a file, kernel {kernel}, {tokens:,} tokens"

    @property
    def interval(self) -> tuple[float, float]:
        """Of the test accuracy."""
        return wilson(round(self.report["top1"] * self.report["files"]), self.report["files"])


def wilson(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95% interval of a share, after Wilson (1927): it stays inside [0, 1] and holds for small totals too."""
    share, spread = right / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * (share * (1 - share) / total + spread / (4 * total)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def read_run(folder: Path, data_folder: Path | None = None) -> Run:
    """The run in a folder.

    Args:
        folder: of the run.
        data_folder: where to look for data that are no longer where the run read them.

    Raises:
        ValueError: the run is not finished, or its evaluation is missing or not of the test part of these data.
        OSError: a file of the run, or its data, cannot be read.
    """
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    rows = read_log(folder / "log.jsonl")
    ends = [row for row in rows if row["event"] == "end"]
    if not ends:
        raise ValueError(f"{folder}: the run is not finished: its log has no end")
    best = [row for row in rows if row["event"] == "validation" and row["best"] and "accuracy" in row]
    steps = [row for row in rows if row["event"] in ("train", "validation")]
    if not best or not any(row["event"] == "train" for row in rows):
        raise ValueError(f"{folder}: the log holds no training or no validation")
    config = _data_config(recipe["data"], data_folder)
    splits = open_splits(config)
    num_test = len(splits.test.entries)
    return Run(
        folder=folder,
        recipe=recipe,
        card=read_card(folder / "model" / "README.md"),
        parameters=count_parameters(folder / "model" / "model.safetensors"),
        train_files=len(splits.train.entries),
        val_files=len(splits.val.entries),
        epochs=max(row["epoch"] for row in steps),
        minutes=max(row["minutes"] for row in rows if row["event"] == "validation"),
        stopped=ends[-1]["reason"],
        files_per_second=mean_rate([row for row in rows if row["event"] == "train"]),
        validation=best[-1],
        report=read_report(folder / "test" / "report.json", folder, num_test),
    )


def _data_config(fields: dict[str, Any], data_folder: Path | None) -> DataConfig:
    names = {field.name for field in dataclasses.fields(DataConfig)} - {"augment"}
    config = DataConfig(**{name: value for name, value in fields.items() if name in names})
    if data_folder is not None and not Path(config.path).exists():
        config = dataclasses.replace(config, path=str(data_folder / Path(config.path).name))
    return config


def read_card(path: Path) -> dict[str, str]:
    """The rows of the table of a model card."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: value.strip("`") for name, value in rows}


def mean_rate(rows: Sequence[dict[str, Any]]) -> float:
    """Files a second over all steps of a log: each row stands for the steps since the one before it."""
    steps = np.diff([0, *(row["step"] for row in rows)])
    return float(steps.sum() / sum(count / row["files_per_second"] for count, row in zip(steps, rows, strict=True)))


def read_report(path: Path, run: Path, num_test: int) -> dict[str, Any]:
    """What `anybyte evaluate` wrote, if it is of the test part.

    Raises:
        ValueError: it is not there, or of other files.
    """
    command = f"anybyte evaluate {run} --out {path.parent}"
    if not path.exists():
        raise ValueError(f"{run}: not evaluated yet: {command}")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    part = report["about"]["part"]
    if not part.startswith("test,"):
        raise ValueError(f"{path}: the report is of {part!r}, not of the test part: {command}")
    if report["files"] + len(report["skipped"]) != num_test:
        raise ValueError(f"{path}: the report is of {report['files']:,} files, but the test part has {num_test:,}")
    return report


def commands(run: Run) -> list[str]:
    """What to type in order to repeat a run: prepare the data, train, evaluate."""
    data, out = Path(run.recipe["data"]["path"]).name, f"runs/{run.folder.name}"
    lines = []
    if data in PREPARED:
        lines.append(f"python scripts/prepare_data.py {PREPARED[data]} --data shared/data --out data")
    train = ["anybyte", "train", run.name, "--data", f"data/{data}", "--out", out, *overrides(run.recipe)]
    return [*lines, shlex.join(train), f"anybyte evaluate {out} --out {out}/test"]


def overrides(recipe: dict[str, Any]) -> list[str]:
    """The options that make the recipe of this name the one that was run; none if it is as it stands."""
    if recipe["name"] not in RECIPES:
        raise ValueError(f"the recipe {recipe['name']!r} is none of {', '.join(RECIPES)}")
    stands = dict(flatten(dataclasses.asdict(get_recipe(recipe["name"]))))
    options: list[str] = []
    for field, value in flatten(recipe):
        if field in _FROM_THE_RUN or _plain(stands.get(field)) == value:
            continue
        if isinstance(value, bool):
            group, _, name = field.rpartition(".")
            options.append(f"--{field}" if value else f"--{group}.no_{name}")
        else:
            options += [f"--{field}", *map(str, value if isinstance(value, list) else [value])]
    return options


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def summary_table(runs: Sequence[Run]) -> str:
    """One short row a run, for the README."""
    heads = ("recipe", "reads", "parameters", "minutes", "on", "test accuracy", "95% interval")
    rows = [
        (
            f"`{run.name}`",
            run.input,
            f"{run.parameters / 1e6:.2f} M",
            f"{run.minutes:.0f}",
            run.hardware,
            f"**{run.report['top1']:.2%}**",
            "{:.1%} to {:.1%}".format(*run.interval),
        )
        for run in runs
    ]
    return markdown_table(heads, rows)


def full_table(runs: Sequence[Run]) -> str:
    """One row a run, with everything."""
    heads = (
        *("recipe", "input", "parameters", "files seen", "epochs", "minutes", "hardware", "seed"),
        *("validation", "test top-1", "test files", "95% interval", "calibration error", "files/s in training"),
    )
    rows = [
        (
            f"[`{run.name}`](#{anchor(title)})",
            run.input,
            f"{run.parameters:,}",
            f"{run.epochs * run.train_files:,.0f}",
            f"{run.epochs:.4g}",
            f"{run.minutes:.1f}",
            run.hardware,
            str(run.recipe["run"]["seed"]),
            f"{run.validation['accuracy']:.2%}",
            f"**{run.report['top1']:.2%}**",
            f"{run.report['files']:,}",
            "{:.2%} to {:.2%}".format(*run.interval),
            f"{run.report['ece']:.4f}",
            f"{run.files_per_second:,.0f}",
        )
        for run, title in zip(runs, titles(runs), strict=True)
    ]
    return markdown_table(heads, rows)


def titles(runs: Sequence[Run]) -> list[str]:
    """A heading a run: its recipe, and its folder where several runs are of one recipe."""
    count = Counter(run.name for run in runs)
    return [run.name if count[run.name] == 1 else f"{run.name} ({run.folder.name})" for run in runs]


def slugs(runs: Sequence[Run]) -> list[str]:
    """A name for the pictures of each run."""
    count = Counter(run.name for run in runs)
    return [run.name.rpartition("/")[2] if count[run.name] == 1 else run.folder.name for run in runs]


def anchor(title: str) -> str:
    """The link to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def page(runs: Sequence[Run], notes: Sequence[str] = ()) -> str:
    """The whole page of results."""
    sections = [
        "# Results of the small recipes\n",
        "Written by `scripts/results_table.py` from the folders of the runs: change the runs, not this page.\n",
        full_table(runs),
        "How to read it:\n",
        "\n".join(f"- {line}" for line in (*conditions(runs), *notes)) + "\n",
    ]
    for run, title, slug in zip(runs, titles(runs), slugs(runs), strict=True):
        sections.append(section(run, title, slug))
    return "\n".join(sections)


def conditions(runs: Sequence[Run]) -> list[str]:
    """Under what conditions the numbers hold."""
    seeds = sorted({run.recipe["run"]["seed"] for run in runs})
    return [
        "The test split is looked at once, after training, by the last command of each run. Settings and weights were "
        "chosen by the validation files alone, which are held out of the training files by a seeded draw.",
        f"Each row is one run with one seed ({', '.join(map(str, seeds))}). The interval is Wilson's, for the number "
        "of test files; it does not cover what another seed would give.",
        "Minutes are those of training, validation between epochs and checkpoints included. Hardware names the "
        "threads that the run used.",
        "Bytes a file are the mean over the test files, and tokens those of a file of that length. Files seen count "
        "each file once an epoch.",
        "The calibration error is the expected one, over 15 bins of equal width.",
    ]


def section(run: Run, title: str, slug: str) -> str:
    """What belongs to one run: the commands, the goals, the pictures."""
    lines = [
        f"## {title}\n",
        "```bash",
        *commands(run),
        "```\n",
        f"Trained on {run.train_files:,} files, chosen by {run.val_files:,}, tested on {run.report['files']:,}. "
        f"The weights kept are those of step {run.validation['step']:,}, epoch {run.validation['epoch']:.4g}, "
        f"by validation accuracy{_stopped(run)}.\n",
        *(f"{line}\n" for line in verdicts(run)),
        f"{confidence(run)} {mistakes(run)}\n",
        f"![Loss and validation accuracy by epoch](pictures/{slug}_curves.png)\n",
        f"![Confusion matrix and reliability on the test files](pictures/{slug}_confusion.png)\n",
    ]
    return "\n".join(lines)


def _stopped(run: Run) -> str:
    reasons = {"epochs": "", "patience": "; training stopped when validation no longer improved (`run.patience`)"}
    return reasons.get(run.stopped, f"; training stopped at `run.{run.stopped}`")


def verdicts(run: Run) -> list[str]:
    """Whether the goals are met, if there are any for this run."""
    goal = GOALS.get(run.name)
    if goal is None or not run.is_on_processor:
        return []
    top1 = run.report["top1"]
    required = "reached" if top1 >= goal.required and run.minutes <= goal.minutes else "**not reached**"
    missing = f"missed by {(goal.aim - top1) * 100:.1f} points"
    return [
        f"To reach, set before training: {goal.required:.0%} in at most {goal.minutes} minutes on two cores: "
        f"{required}. To aim for: {goal.aim:.0%}: {'met' if top1 >= goal.aim else missing}."
    ]


def confidence(run: Run) -> str:
    """How sure the model is, beside how right it is."""
    sure = sum(bin["files"] * bin["confidence"] for bin in run.report["bins"]) / run.report["files"]
    return f"On the test files the model is on average {sure:.1%} sure, and right in {run.report['top1']:.1%}."


def mistakes(run: Run, most: int = 3) -> str:
    """The classes that are most often taken for others."""
    labels, confusion = run.report["labels"], run.report["confusion"]
    pairs = sorted(
        (-files, labels[truth], labels[answer], sum(row))
        for truth, row in enumerate(confusion)
        for answer, files in enumerate(row)
        if files and truth != answer
    )
    if not pairs:
        return "No test file was given a wrong class."
    told = [f"{truth} for {answer} ({-files} of {total})" for files, truth, answer, total in pairs[:most]]
    return f"Most often taken for another class: {', '.join(told)}."


def put_between(text: str, content: str) -> str:
    """`text` with `content` between its two markers.

    Raises:
        ValueError: each marker is not there exactly once, in order.
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"expected {START} and {END} once each, in this order")
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{content}{END}{rest.partition(END)[2]}"


def write(runs: Sequence[Run], out: Path, readme: Path | None, notes: Sequence[str]) -> list[Path]:
    """Writes the page, its pictures and the README's table, all of it or (on an error in the input) nothing."""
    files: dict[Path, bytes] = {out: page(runs, notes).encode()}
    for run, slug in zip(runs, slugs(runs), strict=True):
        files[out.parent / "pictures" / f"{slug}_curves.png"] = (run.folder / "curves.png").read_bytes()
        files[out.parent / "pictures" / f"{slug}_confusion.png"] = (run.folder / "test" / "report.png").read_bytes()
    if readme is not None:
        try:
            link = Path(os.path.relpath(out, readme.parent)).as_posix()
            short = f"{summary_table(runs)}\nCommands, conditions, curves and confusions: [{out.name}]({link}).\n"
            files[readme] = put_between(readme.read_text(encoding="utf-8"), short).encode()
        except ValueError as error:
            raise ValueError(f"{readme}: {error}") from error
    for path, content in files.items():
        write_atomically(path, content)
    return list(files)


def main(args: list[str] | None = None) -> int:
    """Exit code: 0, or 2 after a line on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished, evaluated run")
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    parser.add_argument("--readme", type=Path, help="also put a short table between the markers of this file")
    parser.add_argument("--data", type=Path, help="where the data are, if not where the runs read them")
    parser.add_argument("--note", action="append", default=[], help="a further condition, such as a shared machine")
    options = parser.parse_args(args)
    try:
        runs = [read_run(folder, options.data) for folder in options.runs]
        for path in write(runs, options.out, options.readme, options.note):
            print(path)
    except (OSError, ValueError) as error:
        print(f"results_table: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
