"""`anybyte reproduce small`: the small twins of the paper's experiments, trained and measured one after the other."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybyte.config import Recipe
from anybyte.recipes.small.plan import Experiment, plan

RESULTS, RUNS = "results", "runs"
"""Folders below --out: one JSON a finished experiment, and what training and evaluation wrote."""

_FROM_THE_RUN = ("model.num_classes", "data.path", "run.out", "run.seed", "run.threads")
"""Fields that do not tell one recipe from another here: they follow from the data or the command line."""

_POLL = 0.5
"""Seconds between looks at the running experiments."""

EXAMPLES = """\
examples:
  anybyte reproduce small --list
  anybyte reproduce small --data data/ --out runs/small --jobs 2
  anybyte reproduce small --only 'camera/*' --only encodings/tiff --seeds 0,1,2

The data are the archives that `python scripts/prepare_data.py all` writes. Each experiment is trained on one thread,
measured on the held-out test files, and its result written at once. Stop the command when you like: given again, it
goes on where it was. An experiment that fails is named at the end and tried again next time; the others are not kept
waiting. Several of these commands may share one --out folder."""


def main(args: list[str]) -> int:
    """Runs what is not finished. Exit code 2 if an experiment failed."""
    options = _parser().parse_args(args)
    experiments = [
        dataclasses.replace(each, max_steps=options.max_steps)
        for each in _chosen(plan(_seeds(options.seeds)), options.only)
    ]
    out = Path(options.out)
    if options.run_one:
        [experiment] = [each for each in experiments if each.key == options.run_one]
        return run_one(experiment, Path(options.data), out)
    if options.list:
        for experiment in experiments:
            state = "done" if is_done(out, experiment) else "to do"
            print(f"{state:<6} {experiment.recipe} --run.seed {experiment.seed}")
        return 0
    missing = {name for each in experiments for name in each.archives if not (Path(options.data) / name).is_file()}
    if missing:
        raise ValueError(
            f"{options.data} has no {', '.join(sorted(missing))}: python scripts/prepare_data.py all writes them there"
        )
    return Queue(experiments, Path(options.data), out, options.jobs).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte reproduce",
        description="Train and measure the small twins of the paper's experiments.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("small",), help="the small twins")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="rows, such as camera/* (all)")
    parser.add_argument("--data", default="data", metavar="DIR", help="folder of the prepared archives (data)")
    parser.add_argument("--out", default="runs/small", metavar="DIR", help="where results and runs go (runs/small)")
    parser.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="experiments at a time, a thread each (1)"
    )
    parser.add_argument("--seeds", metavar="0,1,2", help="of every row (0, and also 1 and 2 for the headline rows)")
    parser.add_argument("--max-steps", type=_positive, metavar="N", help="cut every training short, to try things out")
    parser.add_argument("--list", action="store_true", help="say what there is and what is done, and run nothing")
    parser.add_argument("--run-one", help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, at least 1")
    return int(text)


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        seeds = tuple(dict.fromkeys(int(word) for word in text.split(",")))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise ValueError(f"--seeds is {text!r}; it must be whole numbers with commas between, such as 0,1,2")
    return seeds


def _chosen(experiments: Sequence[Experiment], patterns: Sequence[str]) -> list[Experiment]:
    """The experiments that one of the patterns names; all without patterns."""
    for pattern in patterns:
        if not any(_matches(each, pattern) for each in experiments):
            names = dict.fromkeys(each.row for each in experiments)
            raise ValueError(f"--only {pattern!r} matches no row: there are {', '.join(names)}")
    return [each for each in experiments if not patterns or any(_matches(each, pattern) for pattern in patterns)]


def _matches(experiment: Experiment, pattern: str) -> bool:
    return fnmatch.fnmatchcase(experiment.row, pattern.removeprefix("small/"))


def result_path(out: Path, experiment: Experiment) -> Path:
    """Where the result of an experiment stands once it is finished."""
    return out / RESULTS / f"{experiment.key}.json"


def is_done(out: Path, experiment: Experiment) -> bool:
    """Whether there is a result, and it is of the recipe as it stands today."""
    return result_path(out, experiment).exists() and _is_of(out / RUNS / experiment.key, experiment.settings())


def _is_of(run: Path, recipe: Recipe) -> bool:
    """Whether a run's folder is of this recipe, or does not say of which. What cannot be read is of another."""
    try:
        written = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    wanted = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return all(
        group in written and value == written[group].get(name, value)
        for group in ("model", "data", "reading", "optim", "run")
        for name, value in wanted[group].items()
        if f"{group}.{name}" not in _FROM_THE_RUN
    )


@dataclass
class Job:
    """An experiment in a process of its own."""

    experiment: Experiment
    process: subprocess.Popen[bytes]
    started: float


class Queue:
    """Experiments, some at a time, each in a process of its own, so that none can break another.

    Args:
        experiments: in the order in which to run them; finished ones are left out.
        data: folder of the archives.
        out: where results and runs go.
        jobs: experiments at a time.
    """

    def __init__(self, experiments: Sequence[Experiment], data: Path, out: Path, jobs: int = 1) -> None:
        self.all, self.data, self.out, self.jobs = experiments, data, out, jobs
        self.waiting = [each for each in experiments if not is_done(out, each)]
        self.running: list[Job] = []
        self.failed: list[Experiment] = []
        self.minutes: list[float] = []

    def run(self) -> int:
        """Runs all that is to do; 0, or 2 if some failed."""
        print(f"{len(self.all) - len(self.waiting)} of {len(self.all)} experiments are done already", flush=True)
        # A signal to end must reach `finally`, or the experiments would go on alone.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.jobs:
                    self._start(self.waiting.pop(0))
                time.sleep(_POLL)
                for job in [job for job in self.running if job.process.poll() is not None]:
                    self.running.remove(job)
                    self._finish(job)
        finally:
            for job in self.running:  # interrupted: each goes on from its last checkpoint next time
                job.process.terminate()
                job.process.wait()
            signal.signal(signal.SIGTERM, before)
        for experiment in self.failed:
            print(f"failed: {experiment.key}, see {self._log(experiment)}", file=sys.stderr)
        return 2 if self.failed else 0

    def _start(self, experiment: Experiment) -> None:
        if is_done(self.out, experiment):  # another command was quicker
            return
        log = self._log(experiment)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "anybyte", "reproduce", "small", "--only", experiment.row]
        command += ["--seeds", str(experiment.seed), "--run-one", experiment.key]
        command += ["--data", str(self.data), "--out", str(self.out)]
        command += ["--max-steps", str(experiment.max_steps)] if experiment.max_steps else []
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with log.open("ab") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment)
        self.running.append(Job(experiment, process, time.monotonic()))

    def _finish(self, job: Job) -> None:
        """Says how an experiment ended."""
        minutes, key = (time.monotonic() - job.started) / 60, job.experiment.key
        path = result_path(self.out, job.experiment)
        if path.exists():
            self.minutes.append(minutes)
            accuracy = json.loads(path.read_text(encoding="utf-8"))["top1"]
            print(f"{key}: {accuracy:.2%}, {minutes:.1f} min; {self._left()}", flush=True)
        elif job.process.returncode == BUSY:
            print(f"{key}: another command is at it", flush=True)
        else:
            self.failed.append(job.experiment)
            print(f"{key}: failed, see {self._log(job.experiment)}; {self._left()}", flush=True)

    def _left(self) -> str:
        left = len(self.waiting) + len(self.running)
        if not self.minutes:
            return f"{left} to go"
        minutes = sum(self.minutes) / len(self.minutes) * left / self.jobs
        return f"{left} to go, about {minutes:.0f} min"

    def _log(self, experiment: Experiment) -> Path:
        return self.out / RUNS / experiment.key / "output.txt"


BUSY = 75
"""Exit code of one experiment that another process is at: sysexits.h's EX_TEMPFAIL."""


def run_one(experiment: Experiment, data: Path, out: Path) -> int:
    """Trains and measures one experiment in this process, and writes its result."""
    from anybyte.cli.evaluate import main as evaluate
    from anybyte.train.loop import train

    run, result = out / RUNS / experiment.key, result_path(out, experiment)
    run.mkdir(parents=True, exist_ok=True)
    with _lock(run / "lock") as is_ours:
        if not is_ours:
            return BUSY
        if is_done(out, experiment):
            return 0
        result.unlink(missing_ok=True)
        recipe = experiment.settings()
        if not _is_of(run, recipe):  # the recipe has changed since: what is there cannot be gone on with
            for name in ("recipe.json", "log.jsonl"):
                (run / name).unlink(missing_ok=True)
            for name in ("checkpoints", "model", "test"):
                shutil.rmtree(run / name, ignore_errors=True)
        recipe = dataclasses.replace(
            recipe,
            data=dataclasses.replace(recipe.data, path=experiment.data_path(data)),
            run=dataclasses.replace(recipe.run, out=str(run), threads=1),
        )
        train(recipe)
        evaluate([str(run), "--out", str(run / "test")])
        _write(result, summarise(experiment, run))
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    return 0


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether no other process is at work on an experiment. A lock goes with its process, however that ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def summarise(experiment: Experiment, run: Path) -> dict[str, Any]:
    """All that the page of results says of an experiment, from what its run left behind."""
    from anybyte.train.progress import read_log

    report = json.loads((run / "test" / "report.json").read_text(encoding="utf-8"))
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    rows = read_log(run / "log.jsonl")
    return {
        "recipe": experiment.recipe,
        "paper": experiment.paper,
        "seed": experiment.seed,
        "data": list(experiment.archives),
        "top1": report["top1"],
        "loss": report["loss"],
        "ece": report["ece"],
        "files": report["files"],
        "bytes_a_file": report["bytes"] / report["files"],
        "sources": report.get("sources", []),
        "steps": max(row["step"] for row in rows),
        "epochs": max(row["epoch"] for row in rows if "epoch" in row),
        "minutes": max(row["minutes"] for row in rows if "minutes" in row),
        "kernel_size": recipe["model"]["kernel_size"],
        "window_sizes": recipe["model"]["window_sizes"],
        "format": recipe["reading"]["format"],
        "privacy": recipe["reading"]["privacy"],
        "hardware": card.partition("| hardware | ")[2].partition(" |")[0],
        "parameters": int(card.partition("| parameters | ")[2].partition(" |")[0].replace(",", "")),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    from anybyte.train.checkpoint import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
