"""What a run says about itself: the log it writes, the line or bar it shows, the curves it draws."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from anybyte.train.checkpoint import write_atomically
from anybyte.train.step import StepResult

Row = dict[str, Any]
"""A line of the log: `event` ("train", "validation", "problem" or "end"), `step`, `epoch`, and numbers by name."""


class RunLog:
    """The log of a run, one JSON object a line: `log.jsonl`.

    Args:
        path: the file.
        after_step: lines about later steps are dropped: a resumed run does those steps again.
        tensorboard: folder for TensorBoard's events, None for none.

    Raises:
        ModuleNotFoundError: TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, after_step: int, tensorboard: Path | None = None) -> None:
        kept = [row for row in read_log(path) if row["step"] <= after_step and row["event"] != "end"]
        lines = [json.dumps(row) + "\n" for row in kept] if after_step else []
        write_atomically(path, "".join(lines).encode())
        self.path = path
        self.board = _open_tensorboard(tensorboard) if tensorboard else None

    def write(self, row: Row) -> None:
        """Adds a line, at once.

        Raises:
            OSError: naming the file.
        """
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:  # when a disk is full, the system does not say where
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if self.board:
            for name, value in row.items():
                if name not in ("event", "step") and isinstance(value, int | float):
                    self.board.add_scalar(f"{row['event']}/{name}", value, row["step"])

    def close(self) -> None:
        if self.board:
            self.board.close()


class Board(Protocol):
    """The part of TensorBoard's SummaryWriter that a log uses."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


def read_log(path: Path) -> list[Row]:
    """The rows of a log; a last line that was cut short by a crash is left out. No file: no rows."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class Throughput:
    """Averages since it was last asked: loss (over files), gradient norm (over steps), files and bytes a second."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.steps, self.loss, self.norm, self.files, self.bytes, self.seconds = 0, 0.0, 0.0, 0, 0, 0.0

    def add(self, result: StepResult, seconds: float) -> None:
        self.seconds += seconds
        if result.files:  # a step whose files were all left out has neither loss nor gradient
            self.steps += 1
            self.loss += result.loss * result.files
            self.norm += result.grad_norm
            self.files += result.files
            self.bytes += result.num_bytes

    def take(self) -> Row:
        """The averages as columns of a log row; counting starts again."""
        seconds = max(1e-9, self.seconds)
        row = {
            "loss": self.loss / max(1, self.files),
            "grad_norm": self.norm / max(1, self.steps),
            "files_per_second": round(self.files / seconds, 2),
            "bytes_per_second": round(self.bytes / seconds),
        }
        self._reset()
        return row


class Display:
    """A progress bar on a terminal; elsewhere one line a validation, so that a log file stays short.

    Args:
        total_steps: of the whole run.
        step: steps done before this start.
        max_minutes: of training, over all starts; it bounds the remaining time that is shown.
        enabled: False on processes that are not the main one.
    """

    def __init__(self, total_steps: int, step: int, max_minutes: float | None, enabled: bool) -> None:
        console = Console(stderr=True)
        self.enabled = enabled
        self.total, self.first, self.max_minutes = total_steps, step, max_minutes
        self.started = time.monotonic()
        self.bar: Progress | None = None
        self.speed = ""
        if enabled and console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )  # fmt: skip
            self.bar = Progress(*columns, console=console)
            self.task = self.bar.add_task("training", total=total_steps, completed=step, note="")
            self.bar.start()

    def training(self, row: Row) -> None:
        """Takes note of a line of the log."""
        rate = f"{row['files_per_second']:.0f} files/s {row['bytes_per_second'] / 1e6:.2f} MB/s"
        self.speed = f"loss {row['loss']:.3f}  {rate}"

    def step(self, step: int) -> None:
        """Shows that `step` steps are done."""
        if self.bar:
            self.bar.update(self.task, completed=step, note=self.speed)

    def validation(self, row: Row, seconds: float) -> None:
        """Shows a validation after `seconds` of training."""
        numbers = (f"{k} {v:.4f}" for k, v in row.items() if isinstance(v, float) and k not in ("epoch", "minutes"))
        mark = "  best" if row["best"] else ""
        self.say(
            f"epoch {row['epoch']:.4g}  step {row['step']}/{self.total}  validation: {'  '.join(numbers)}{mark}"
            f"  ({self.speed})  {seconds / 60:.1f} min, {self._remaining(row['step'], seconds)} to go"
        )

    def say(self, line: str) -> None:
        """A line of text."""
        if self.bar:
            self.bar.console.print(line, markup=False, highlight=False)
        elif self.enabled:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar:
            self.bar.stop()

    def _remaining(self, step: int, seconds: float) -> str:
        each = (time.monotonic() - self.started) / max(1, step - self.first)
        left = max(0.0, (self.total - step) * each)
        if self.max_minutes is not None:
            left = min(left, max(0.0, self.max_minutes * 60 - seconds))
        return f"{left / 60:.1f} min" if left < 5400 else f"{left / 3600:.1f} h"


def draw_curves(rows: list[Row], path: Path) -> None:
    """Writes a PNG of the loss and, beside it, whatever shares validation measured (accuracies), over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    train = [row for row in rows if row["event"] == "train"]
    validations = [row for row in rows if row["event"] == "validation"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, shares = figure.subplots(1, 2)
    losses.plot([row["epoch"] for row in train], [row["loss"] for row in train], label="training", linewidth=1)
    losses.set(xlabel="epoch", ylabel="loss")
    epochs = [row["epoch"] for row in validations]
    for name in [key for key, value in (validations or [{}])[-1].items() if isinstance(value, float)]:
        if name in ("epoch", "minutes"):
            continue
        axes, values = losses if name == "loss" else shares, [row.get(name, math.nan) for row in validations]
        if axes is losses or not max(values) > 1:  # what is no share, as decibels, stays in the log
            axes.plot(epochs, values, ".-", label=f"validation {name}")
    shares.set(xlabel="epoch", ylim=(0, 1))
    for axes in (losses, shares):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    write_atomically(path, picture.getvalue())


def _open_tensorboard(folder: Path) -> Board:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModuleNotFoundError("run.tensorboard needs TensorBoard: pip install 'anybyte[tensorboard]'") from error
    board: Board = SummaryWriter(str(folder))
    return board
