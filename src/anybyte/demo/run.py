"""The demo from start to end: write files, train, evaluate, classify, report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from anybyte import __version__
from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, Recipe, RunConfig
from anybyte.demo.data import DIGITS, PICTURE_FORMATS, SOUND_FORMATS, DemoSize, format_of, write_files
from anybyte.evaluate.runner import Evaluation, evaluate
from anybyte.files.sources import Entry, Source, Splits, open_splits
from anybyte.predictor import Prediction, load
from anybyte.train.loop import TrainResult, train

FORMATS = (*PICTURE_FORMATS.values(), *SOUND_FORMATS.values())

_SECONDS_AROUND = 25
"""What the demo takes besides training, on two cores."""
_SECONDS_AN_EPOCH = 6.8
_EXAMPLES_A_FORMAT = 2
_RECORD = "demo.json"


@dataclass(frozen=True)
class Example:
    """A held-out file and what the model said about it."""

    path: Path
    truth: str
    answer: Prediction


@dataclass(frozen=True)
class DemoResult:
    """What the demo did and found.

    Attributes:
        folder: everything that it wrote.
        seed: of the files' and the training's randomness.
        recipe: the settings of the training.
        training: the run.
        by_format: format -> the scores on the held-out files of that format.
        examples: a few held-out files, classified one by one.
        seconds: stage -> how long it took.
    """

    folder: Path
    seed: int
    recipe: Recipe
    training: TrainResult
    by_format: dict[str, Evaluation]
    examples: tuple[Example, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def written(self) -> float:
        """Accuracy on the pictures."""
        return pooled_accuracy([self.by_format[name] for name in PICTURE_FORMATS.values()])

    @property
    def spoken(self) -> float:
        """Accuracy on the sounds."""
        return pooled_accuracy([self.by_format[name] for name in SOUND_FORMATS.values()])


def pooled_accuracy(parts: Sequence[Evaluation]) -> float:
    """The share of right answers over several sets of files."""
    return sum(part.top1 * part.files for part in parts) / sum(part.files for part in parts)


def demo_recipe(folder: Path, seed: int = 0, epochs: int = 14) -> Recipe:
    """A small model on the demo's files: 0.4 million weights, about seven seconds an epoch on two cores."""
    return Recipe(
        name="demo",
        model=ByteFormerConfig(
            num_classes=len(DIGITS),
            dim=64,
            num_heads=4,
            depth=4,
            mlp_ratio=2.0,
            # 64 bytes are a whole picture of 8 x 8, or 4 to 8 ms of sound: about a period of a voice.
            kernel_size=64,
            window_sizes=16,
            merge_after=(0, 1, 2),
            initialisation="smooth",
        ),
        data=DataConfig(
            path=str(folder / "data"),
            augment=AugmentConfig(brightness=0.3, gain_db=4, shift_seconds=0.04, speed=0.1, noise_db=-25),
        ),
        optim=OptimConfig(learning_rate=2e-3, warmup_steps=60, weight_decay=0.3, ema_decay=0.99),
        run=RunConfig(
            out=str(folder / "run"),
            seed=seed,
            epochs=epochs,
            batch_files=64,
            # Small files and a small model: more threads than this only wait for each other.
            threads=min(4, torch.get_num_threads()),
            checkpoint_every=1_000_000,
            evaluate_every=3,
            resume=False,
        ),
    )


def run_demo(
    folder: Path,
    seed: int = 0,
    minutes: float = 2.0,
    size: DemoSize | None = None,
    say: Callable[[str], None] = print,
) -> DemoResult:
    """Runs the demo and writes everything into `folder`: the files, the run with its model, and `report.html`.

    Args:
        folder: new, empty, or of an earlier demo, which is replaced.
        seed: of all randomness.
        minutes: how long to take, about, on two cores. Equal settings train equally long on any machine.
        size: of the data set.
        say: what takes the lines that tell how far the demo is.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: the folder holds something else, or there is no time to train in.
        OSError: the folder cannot be written.
    """
    from anybyte.demo.report import write_report

    if not minutes > 0:
        raise ValueError(f"minutes must be positive, got {minutes:g}")
    _clear(folder)
    clock = _Clock(say)
    epochs = max(1, round((minutes * 60 - _SECONDS_AROUND) / _SECONDS_AN_EPOCH))
    recipe = demo_recipe(folder, seed, epochs)
    with clock.stage("write files"):
        count = write_files(folder / "data", seed, size)
        say(f"  {count:,} files in {folder / 'data'}")
    with clock.stage("train"):
        splits = open_splits(recipe.data)
        training = train(recipe, splits)
    with clock.stage("evaluate"):
        by_format = _evaluate(training.folder, splits)
    with clock.stage("classify"):
        examples = _classify(training.folder, folder / "data/test", seed)
    result = DemoResult(folder, seed, recipe, training, by_format, examples, clock.seconds)
    with clock.stage("report"):
        write_report(result)
        _record(result)
    return result


class OneFormat:
    """The files of a source that are of one format."""

    def __init__(self, source: Source, format: str) -> None:
        self.source, self.classes = source, source.classes
        self.indices = [index for index, entry in enumerate(source.entries) if format_of(entry.name) == format]
        self.entries: Sequence[Entry] = [source.entries[index] for index in self.indices]

    def read(self, index: int) -> bytes:
        return self.source.read(self.indices[index])


@dataclass
class _Clock:
    """Says which stage begins, and keeps how long each takes."""

    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.say(f"{name} ...")
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def _clear(folder: Path) -> None:
    """Makes the folder, without what an earlier demo left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / _RECORD).exists():
        raise ValueError(f"{folder} holds files that are not from a demo: name another folder with --out")
    for name in ("data", "run"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "report.html").unlink(missing_ok=True)
    (folder / _RECORD).write_text("{}\n")


def _evaluate(model: Path, splits: Splits) -> dict[str, Evaluation]:
    predictor = load(model)
    return {name: evaluate(predictor.model, OneFormat(splits.test, name), predictor.labels) for name in FORMATS}


def _classify(model: Path, test: Path, seed: int) -> tuple[Example, ...]:
    """Two held-out files of each format, drawn at random, through the front door."""
    rng = np.random.default_rng(seed)
    paths: list[Path] = []
    for suffix in (*PICTURE_FORMATS, *SOUND_FORMATS):
        found = sorted(test.glob(f"*/*{suffix}"))
        chosen = rng.choice(len(found), min(_EXAMPLES_A_FORMAT, len(found)), replace=False)
        paths += [found[index] for index in chosen]
    answers = load(model).classify(paths, top=3)
    return tuple(Example(path, path.parent.name, answer) for path, answer in zip(paths, answers, strict=True))


def _record(result: DemoResult) -> None:
    """The numbers, for programs."""
    numbers = {
        "anybyte": __version__,
        "torch": torch.__version__,
        "threads": result.recipe.run.threads,
        "seed": result.seed,
        "epochs": result.recipe.run.epochs,
        "accuracy": {
            "written": result.written,
            "spoken": result.spoken,
            **{name: evaluation.top1 for name, evaluation in result.by_format.items()},
        },
        "seconds": {name: round(value, 2) for name, value in result.seconds.items()},
    }
    (result.folder / _RECORD).write_text(json.dumps(numbers, indent=2) + "\n")
