"""The training loop: one for all tasks, from one CPU to many GPUs.

`train` puts a byte classifier's run together from its recipe; `Loop` knows files and a `Task`, and nothing of classes.
What is computed follows from the recipe and the files alone: not from workers or restarts, nor from processes and
accumulation, save that these draw stochastic depth and dropout for files of their own.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import gather_object

from anybyte.config import Recipe
from anybyte.files.sources import Splits, open_splits
from anybyte.files.transform import FileTransform
from anybyte.models.byteformer import ByteFormer
from anybyte.tasks.classify import Classify
from anybyte.train.card import describe_hardware, model_card
from anybyte.train.checkpoint import Checkpointer, State, identify, read_checkpoint, write_atomically
from anybyte.train.data import NO_EPOCH, Deal, Files, Part, Plan, Problem, load_parts, planned_sizes
from anybyte.train.optim import learning_rate
from anybyte.train.progress import Display, Row, RunLog, Throughput, draw_curves, read_log
from anybyte.train.step import NotFinite, Stepper, create_accelerator

_MAX_NAMES = 8
"""Files that an error message lists before it says how many more there are."""


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        folder: the model folder, with the best weights.
        best: metrics of the best validation (`accuracy`, `loss`, ...), with its `step` and `epoch`.
        history: all rows of the run's log, over all restarts.
    """

    folder: Path
    best: dict[str, float]
    history: list[Row]


def train(recipe: Recipe, splits: Splits | None = None, *, log_every: int = 10) -> TrainResult:
    """Trains a byte classifier from files to a model folder, `run.out/model`; the test split is not looked at.

    Args:
        recipe: every setting. `model.num_classes` follows from the data.
        splits: the files; by default those that `recipe.data` describes.
        log_every: steps between lines of `run.out/log.jsonl`.

    Raises:
        ValueError: a setting, a file, or a checkpoint in `run.out` that does not fit; the message names it.
        OSError: a path that cannot be read or written.
    """
    _check_settings(recipe)
    splits = splits or open_splits(recipe.data)
    _check_splits(recipe, splits)
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, num_classes=len(splits.classes)))
    run, data, out = recipe.run, recipe.data, Path(recipe.run.out)
    accelerator = create_accelerator()
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    task = Classify(splits.classes, recipe.optim.label_smoothing)
    bf16 = run.precision == "bf16"
    stepper = Stepper(ByteFormer(recipe.model), task, recipe.optim, accelerator, bf16=bf16, compile=run.compile)
    transform = FileTransform(data.format, data.augment, data.max_bytes)
    files = [Files(source, transform, run.seed) for source in (splits.train, splits.val)]
    loop = Loop(recipe, stepper, files[0], files[1], log_every)
    loop.resume(identify(recipe, splits.train, splits.val))
    if loop.is_main:
        settings = json.dumps(dataclasses.asdict(recipe), indent=2) + "\n"
        write_atomically(out / "recipe.json", settings.encode())
    loop.fit()
    if loop.is_main:
        _write_results(recipe, splits.classes, loop.state, describe_hardware(accelerator))
    accelerator.wait_for_everyone()
    return TrainResult(out / "model", dict(loop.state.best or {}), read_log(out / "log.jsonl"))


class Loop:
    """One run of a task over files; call `resume`, then `fit`.

    Args:
        recipe: its optimiser and run settings, and what to do with files that cannot be used.
        stepper: the model in training.
        train, val: the files; `val` may be empty, then the newest weights are the best.
        log_every: steps between lines of the log.
    """

    def __init__(self, recipe: Recipe, stepper: Stepper, train: Files, val: Files, log_every: int = 10) -> None:
        run = recipe.run
        self.run, self.optim, self.skip_problems = run, recipe.optim, recipe.data.on_error == "skip"
        self.stepper, self.train, self.val, self.log_every = stepper, train, val, log_every
        self.is_main = stepper.accelerator.is_main_process
        self.train_plan, self.val_plan = (
            Plan(planned_sizes(files.source, files.transform), run.batch_files, run.batch_bytes, run.seed)
            for files in (train, val)
        )
        self.total_steps = run.epochs * len(self.train_plan.epoch(0))
        self.total_steps = min(self.total_steps, run.max_steps or self.total_steps)
        self.state = State()
        self.stop = ""
        self.throughput = Throughput()
        self.problems: dict[str, Problem] = {}

    def resume(self, identity: dict[str, object]) -> None:
        """Goes on from the newest checkpoint in the run folder, or clears the folder's checkpoints, as the recipe says.

        Raises:
            ValueError: the checkpoint is damaged, or of a run with another `identity`.
        """
        stepper = self.stepper
        folder = Path(self.run.out) / "checkpoints"
        self.checkpoints = Checkpointer(folder, stepper.plain, stepper.optimizer, stepper.average, identity)
        if self.run.resume and self.checkpoints.last.exists():
            self.state = self.checkpoints.load_last()
        elif self.is_main:
            self.checkpoints.clear()
        stepper.accelerator.wait_for_everyone()

    def fit(self) -> None:
        """Trains to the end, and leaves `state` there.

        Raises:
            ValueError: a file that cannot be used, or a loss that is not finite.
            OSError: the run folder cannot be written.
        """
        out, run = Path(self.run.out), self.run
        board = out / "tensorboard" if run.tensorboard else None
        self.log = RunLog(out / "log.jsonl", self.state.step, board) if self.is_main else None
        self.display = Display(self.total_steps, self.state.step, run.max_minutes, self.is_main)
        self.clock = time.monotonic()
        try:
            self._decide(self._is_anyone_late())
            self._epochs()
            if self.state.best is None:  # out of time before the first validation
                self._validate(self.state.epoch)
            self._write({"event": "end", "step": self.state.step, "reason": self.stop or "epochs"})
        finally:
            self.display.close()
            if self.log:
                self.log.close()

    def _epochs(self) -> None:
        state, run = self.state, self.run
        parts = self._parts(self.train, self.train_plan, range(state.epoch, run.epochs), state.batch)
        while state.epoch < run.epochs and not self.stop:
            num_batches = len(self.train_plan.epoch(state.epoch))
            while state.batch < num_batches and not self.stop:
                self._step(parts, state.epoch + (state.batch + 1) / num_batches)
                state.batch += 1
                if state.step % run.checkpoint_every == 0 and state.batch < num_batches:
                    self._log_training(state.epoch + state.batch / num_batches)
                    self.checkpoints.save_last(state, self.is_main)
            progress = state.epoch + state.batch / num_batches
            self._log_training(progress)
            if state.batch == num_batches:
                state.epoch, state.batch = state.epoch + 1, 0
            if self.stop or state.epoch == run.epochs or state.epoch % run.evaluate_every == 0:
                self._validate(progress)
            self.checkpoints.save_last(state, self.is_main)

    def _step(self, queue: Iterator[Part], epoch: float) -> None:
        """One optimiser step; `epoch` is where training stands after it."""
        started, step = time.monotonic(), self.state.step
        parts = [next(queue) for _ in range(self.run.accumulation)]
        self.rate = rate = learning_rate(step, self.total_steps, self.optim)
        try:
            result = self.stepper.step(parts, step, rate, self.run.seed, flag=self._is_late())
        except NotFinite as error:
            raise ValueError(self._explain(error, step, rate)) from error
        self.throughput.add(result, time.monotonic() - started)
        self.state.step += 1
        if self.state.step % self.log_every == 0:
            self._log_training(epoch)
        self.display.step(self.state.step)
        self._decide(result.flag)

    def _log_training(self, epoch: float) -> None:
        """Writes the averages since it was last called: every few steps, and wherever a later start may begin."""
        if self.throughput.steps:
            row = {"event": "train", "step": self.state.step, "epoch": round(epoch, 4), "lr": self.rate}
            row |= self.throughput.take()
            self._write(row)
            self.display.training(row)

    def _validate(self, epoch: float) -> None:
        """Measures the averaged weights on the validation files, and keeps them if they are the best so far."""
        state, score = self.state, self.stepper.task.score
        metrics = self.stepper.measure(self._parts(self.val, self.val_plan, [NO_EPOCH]))
        before = {name: state.best[name] for name in metrics} if state.best else {}
        # What is not a number is worse than anything. Without validation files, newer is better.
        is_best = not (metrics and before) or _rank(score(metrics)) > _rank(score(before))
        state.stale = 0 if is_best else state.stale + 1
        if is_best:
            state.best = metrics | {"step": state.step, "epoch": epoch}
            self.checkpoints.save_best(state, self.is_main)
        if self.skip_problems:
            self._share_problems()
        row: Row = {"event": "validation", "step": state.step, "epoch": round(epoch, 4), **metrics, "best": is_best}
        self._decide(self._is_anyone_late())
        self._write(row | {"minutes": round(state.seconds / 60, 3)})
        self.display.validation(row, state.seconds)

    def _decide(self, late: bool) -> None:
        """Brings the clock up to date, and decides whether to stop; all processes decide the same."""
        now = time.monotonic()
        self.state.seconds += now - self.clock
        self.clock = now
        if late:
            self.stop = "max_minutes"
        elif self.run.max_steps is not None and self.state.step >= self.run.max_steps:
            self.stop = "max_steps"
        elif self.run.patience is not None and self.state.stale >= max(1, self.run.patience):
            self.stop = "patience"

    def _is_late(self) -> bool:
        limit = self.run.max_minutes
        return limit is not None and self.state.seconds + time.monotonic() - self.clock >= limit * 60

    def _is_anyone_late(self) -> bool:
        return self.stepper.sum([self._is_late()])[0] > 0

    def _parts(self, files: Files, plan: Plan, epochs: Sequence[int], skip: int = 0) -> Iterator[Part]:
        accelerator = self.stepper.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        deal = Deal(plan, epochs, rank, world, self.run.accumulation, skip)
        pin_memory = accelerator.device.type == "cuda"
        for part in load_parts(files, self.stepper.task, deal, self.run.num_workers, pin_memory):
            self._report(part.problems)
            yield part

    def _report(self, problems: Iterable[Problem]) -> None:
        """Stops at a file that cannot be used, or notes it down once, as `data.on_error` says."""
        for problem in problems:
            if not self.skip_problems:
                raise ValueError(f"{problem} (data.on_error skip leaves such files out)")
            if problem.name not in self.problems:
                self.problems[problem.name] = problem
                self.display.say(f"left out: {problem}")
                row = {"event": "problem", "step": self.state.step, "name": problem.name, "reason": problem.reason}
                self._write(row)

    def _share_problems(self) -> None:
        """Brings what other processes noted down into the main process's log."""
        if self.stepper.accelerator.num_processes > 1:
            self._report(gather_object(list(self.problems.values())))

    def _write(self, row: Row) -> None:
        if self.log:
            self.log.write(row)

    def _explain(self, error: NotFinite, step: int, rate: float) -> str:
        names = [self.train.source.entries[index].name for index in error.indices]
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        return (
            f"{error} at step {step} (learning rate {rate:.3g}, files: {', '.join(names[:_MAX_NAMES])}{more}). Nothing "
            "of this step was kept. A lower optim.learning_rate, more optim.warmup_steps or run.precision fp32 may help"
        )


def _rank(score: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-math.inf if math.isnan(value) else value for value in score)


def _check_settings(recipe: Recipe) -> None:
    counts = "epochs max_steps batch_files batch_bytes accumulation threads checkpoint_every evaluate_every patience"
    for names, least in ((counts, 1), ("seed num_workers max_minutes", 0)):
        for name in names.split():
            value = getattr(recipe.run, name)
            if value is not None and value < least:
                raise ValueError(f"run.{name} must be at least {least}, got {value}")
    optim = recipe.optim
    if not (optim.learning_rate > 0 and optim.min_learning_rate >= 0 and optim.warmup_steps >= 0):
        raise ValueError(f"optim: a learning rate must be positive and warmup_steps not negative, got {optim}")
    if optim.clip_norm is not None and not optim.clip_norm > 0:
        raise ValueError(f"optim.clip_norm must be positive, or None for no clipping, got {optim.clip_norm}")


def _check_splits(recipe: Recipe, splits: Splits) -> None:
    """What can be known to be wrong with the files before any is read."""
    if len(splits.classes) < 2:
        raise ValueError(f"{recipe.data.path}: telling classes apart takes two of them, found {list(splits.classes)}")
    missing = set(range(len(splits.classes))) - {entry.label for entry in splits.train.entries}
    if missing:
        raise ValueError(f"class {splits.classes[min(missing)]!r} has no files in the training split")
    for entry in (*splits.train.entries, *splits.val.entries):
        if not 0 <= entry.label < len(splits.classes):
            raise ValueError(f"{entry.name}: training needs to know the class of every file, and this one has none")
        if entry.size == 0 and recipe.data.on_error == "fail":
            raise ValueError(f"{entry.name}: the file is empty (data.on_error skip leaves such files out)")


def _write_results(recipe: Recipe, classes: Sequence[str], state: State, hardware: str) -> None:
    """The model folder with the best weights, and the curves."""
    out = Path(recipe.run.out)
    weights, metadata = read_checkpoint(out / "checkpoints" / "best.safetensors")
    model = ByteFormer(recipe.model)
    model.load_state_dict(weights)
    best = metadata["state"]["best"]
    card = model_card(recipe, classes, best, seconds=state.seconds, model=model, hardware=hardware)
    model.save_pretrained(out / "model", labels=classes, card=card)
    draw_curves(read_log(out / "log.jsonl"), out / "curves.png")
