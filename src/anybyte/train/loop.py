"""The training loop: one for all tasks, from one CPU to many GPUs.

`train` makes a `Job` of a recipe (jobs.py); `Loop` knows `Examples` and a `Task`, and nothing of files or classes.
What is computed follows from the recipe and the data alone: not from workers or restarts, nor from processes and
accumulation, save that these draw stochastic depth and dropout for examples of their own.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from accelerate.utils import gather_object

from anybyte.config import PerceiverConfig, Recipe, RunConfig
from anybyte.models.pieces import PIECES
from anybyte.models.pretrained import CARD, CONFIG, LABELS, READING, WEIGHTS
from anybyte.models.zoo import class_of
from anybyte.tasks import Examples
from anybyte.train.card import describe_hardware, model_card
from anybyte.train.checkpoint import Checkpointer, State, identify, read_checkpoint, remove_drafts, write_atomically
from anybyte.train.data import NO_EPOCH, Deal, Part, Plan, Problem, load_parts
from anybyte.train.jobs import Data, Job, make_job
from anybyte.train.jobs.declared import SCHEMA
from anybyte.train.optim import learning_rate
from anybyte.train.progress import Display, Row, RunLog, Throughput, draw_curves, read_log
from anybyte.train.settings import RECIPE, recipe_json
from anybyte.train.start import start_from
from anybyte.train.step import NotFinite, Refused, Stepper, create_accelerator

CHECKPOINTS = "checkpoints"
"""Their folder in that of a run."""

_MAX_NAMES = 8
"""Files that an error message lists before it says how many more there are."""

_MAX_PROBLEMS = 3
_ADVICE = "A lower optim.learning_rate, more optim.warmup_steps or run.precision fp32 may help"


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


def train(recipe: Recipe, data: Data | None = None, *, log_every: int = 10) -> TrainResult:
    """Trains a model from data to a model folder, `run.out/model`; a test split is not looked at.

    Args:
        recipe: every setting. The number of classes follows from the data.
        data: files to be told apart (`Splits`), or what else `recipe.task` learns from (`ExampleSplits`); by default
            what `recipe.data` describes.
        log_every: steps between lines of `run.out/log.jsonl`.

    Raises:
        ValueError: a setting, a file, or a checkpoint in `run.out` that does not fit; the message names it.
        OSError: a path that cannot be read or written.
    """
    return train_job(make_job(recipe, data), log_every=log_every)


def train_job(job: Job, *, log_every: int = 10) -> TrainResult:
    """Trains what a job describes; see `train`."""
    recipe, run, out = job.recipe, job.recipe.run, Path(job.recipe.run.out)
    accelerator = create_accelerator(some_unused=_leaves_parameters_unused(recipe))
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    model = class_of(recipe.model)(recipe.model)
    notes = job.notes
    if run.init_from is not None and not has_checkpoint(run):
        notes = (*notes, start_from(model, run.init_from))
    bf16 = run.precision == "bf16"
    stepper = Stepper(model, job.task, recipe.optim, accelerator, bf16=bf16, compile=run.compile)
    loop = Loop(recipe, stepper, job.train, job.val, log_every)
    loop.resume(identify(recipe, job.train, job.val))
    for note in notes if loop.is_main else ():
        print(note, file=sys.stderr)
    loop.fit()
    if loop.is_main:
        _write_results(job, loop.state, describe_hardware(accelerator))
    accelerator.wait_for_everyone()
    return TrainResult(out / "model", dict(loop.state.best or {}), read_log(out / "log.jsonl"))


class Loop:
    """One run of a task over examples; call `resume`, then `fit`.

    Args:
        recipe: its optimiser and run settings, and what to do with examples that cannot be used.
        stepper: the model in training.
        train, val: the examples; `val` may be empty, then the newest weights are the best.
        log_every: steps between lines of the log.
    """

    def __init__(self, recipe: Recipe, stepper: Stepper, train: Examples, val: Examples, log_every: int = 10) -> None:
        run = recipe.run
        self.recipe, self.run, self.optim = recipe, run, recipe.optim
        self.skip_problems = recipe.data.on_error == "skip"
        self.stepper, self.train, self.val, self.log_every = stepper, train, val, log_every
        self.is_main = stepper.accelerator.is_main_process
        self.train_plan, self.val_plan = (
            Plan(examples.sizes(), run.batch_files, run.batch_bytes, run.seed) for examples in (train, val)
        )
        self.total_steps = run.epochs * len(self.train_plan.epoch(0))
        self.total_steps = min(self.total_steps, run.max_steps or self.total_steps)
        self.state = State()
        self.stop = ""
        self.has_begun = False
        self.throughput = Throughput()
        self.problems: dict[str, Problem] = {}

    def resume(self, identity: dict[str, object]) -> None:
        """Goes on from the newest checkpoint in the run folder, or clears the folder's checkpoints, as the recipe says.

        Raises:
            ValueError: the checkpoint is damaged, or of a run with another `identity`.
        """
        stepper, out = self.stepper, Path(self.run.out)
        self.checkpoints = Checkpointer(out / CHECKPOINTS, stepper.plain, stepper.optimizer, stepper.average, identity)
        if self.run.resume and self.checkpoints.last.exists():
            self.state = self.checkpoints.load_last()
        elif self.is_main:
            self.checkpoints.clear()
            if not self.run.resume and (out / RECIPE).exists():  # a run's folder, so this is that run's model
                _remove_model(out / "model")
        if self.is_main:
            remove_drafts(out / name for name in (RECIPE, "log.jsonl", "curves.png"))
            remove_drafts((self.checkpoints.last, self.checkpoints.best))
        stepper.accelerator.wait_for_everyone()

    def fit(self) -> None:
        """Trains to the end, and leaves `state` there.

        Raises:
            ValueError: a file that cannot be used, no file that can, or a loss or weight that is not finite.
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
                self._begin()
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
            has_read = state.batch > 0  # no checkpoint is written before a file of the epoch could be read
            while state.batch < num_batches and not self.stop:
                has_read |= self._step(parts, state.epoch + (state.batch + 1) / num_batches) > 0
                state.batch += 1
                if has_read and state.step % run.checkpoint_every == 0 and state.batch < num_batches:
                    self._log_training(state.epoch + state.batch / num_batches)
                    self.checkpoints.save_last(state, self.is_main)
            if not has_read:
                self._refuse("training", self.train)
            progress = state.epoch + state.batch / num_batches
            self._log_training(progress)
            if state.batch == num_batches:
                state.epoch, state.batch = state.epoch + 1, 0
            if self.stop or state.epoch == run.epochs or state.epoch % run.evaluate_every == 0:
                self._validate(progress)
            self.checkpoints.save_last(state, self.is_main)

    def _step(self, queue: Iterator[Part], epoch: float) -> int:
        """One optimiser step, and the files that it read; `epoch` is where training stands after it."""
        started, step = time.monotonic(), self.state.step
        parts = [next(queue) for _ in range(self.run.accumulation)]
        self.rate = rate = learning_rate(step, self.total_steps, self.optim)
        try:
            result = self.stepper.step(parts, step, rate, self.run.seed, flag=self._is_late())
        except NotFinite as error:
            raise ValueError(
                f"{error} at {self._where(step, error.indices)}. Nothing of this step was kept. {_ADVICE}"
            ) from error
        except Refused as error:
            raise ValueError(_about(error, self.train)) from error
        self._begin()
        self.throughput.add(result, time.monotonic() - started)
        self.state.step += 1
        if self.state.step % self.log_every == 0:
            self._log_training(epoch)
        self.display.step(self.state.step)
        self._decide(result.flag)
        return result.files

    def _begin(self) -> None:
        """Writes the recipe, now that training works: a start that fails at once leaves an earlier run's alone."""
        if self.is_main and not self.has_begun:
            write_atomically(Path(self.run.out) / RECIPE, recipe_json(self.recipe).encode())
        self.has_begun = True

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
        try:
            metrics = self.stepper.measure(self._parts(self.val, self.val_plan, [NO_EPOCH]))
        except Refused as error:
            raise ValueError(_about(error, self.val)) from error
        if len(self.val) and not metrics:
            self._refuse("validation", self.val)
        self._check_finite(metrics)
        before = {name: state.best[name] for name in metrics if name in state.best} if state.best else {}
        # Without validation files, newer is better.
        is_best = not (metrics and before) or score(metrics) > score(before)
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

    def _parts(self, examples: Examples, plan: Plan, epochs: Sequence[int], skip: int = 0) -> Iterator[Part]:
        accelerator, run = self.stepper.accelerator, self.run
        deal = Deal(plan, epochs, accelerator.process_index, accelerator.num_processes, run.accumulation, skip)
        for part in load_parts(
            examples,
            self.stepper.task,
            deal,
            seed=run.seed,
            num_workers=run.num_workers,
            pin_memory=accelerator.device.type == "cuda",
        ):
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

    def _check_finite(self, metrics: dict[str, float]) -> None:
        """Refuses a broken model before it is kept as the best so far."""
        what = [f"validation {name}" for name, value in metrics.items() if not math.isfinite(value)]
        if not self.stepper.is_finite():
            what = ["a weight"]
        if what:
            where = self._where(max(0, self.state.step - 1))
            raise ValueError(f"{what[0]} is not finite after {where}. These weights were not kept. {_ADVICE}")

    def _refuse(self, kind: str, examples: Examples) -> NoReturn:
        """Says why none of the examples could be used. All processes call this."""
        self._share_problems()
        names = {examples.name(index) for index in range(len(examples))}
        problems = [str(problem) for name, problem in self.problems.items() if name in names]
        which = f"none of the {len(examples)} {kind} files"
        raise ValueError(f"{which} could be used: {'; '.join(problems[:_MAX_PROBLEMS])}")

    def _where(self, step: int, indices: Sequence[int] = ()) -> str:
        files = f", files: {_list_names(self.train, indices)}" if indices else ""
        return f"step {step} (learning rate {learning_rate(step, self.total_steps, self.optim):.3g}{files})"


def has_checkpoint(run: RunConfig) -> bool:
    """Whether a run goes on from where an earlier start left it, instead of beginning."""
    return run.resume and (Path(run.out) / CHECKPOINTS / "last.safetensors").exists()


def _remove_model(folder: Path) -> None:
    """Removes a model, and its folder if nothing else is in it."""
    for name in (CONFIG, WEIGHTS, LABELS, READING, CARD, SCHEMA, PIECES):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _about(error: Refused, examples: Examples) -> str:
    """What the model refused, with the files in question; the longest come first, being the likeliest."""
    return f"{error} (files: {_list_names(examples, error.indices[::-1])})"


def _list_names(examples: Examples, indices: Sequence[int]) -> str:
    names = [examples.name(index) for index in indices]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _leaves_parameters_unused(recipe: Recipe) -> bool:
    """Whether a step may leave parameters without a gradient: those of inputs that are there, of outputs not asked."""
    model = recipe.model
    return isinstance(model, PerceiverConfig) and (len(model.inputs) > 1 or len(model.outputs) > 1)


def _write_results(job: Job, state: State, hardware: str) -> None:
    """The model folder with the best weights, and the curves."""
    recipe, out = job.recipe, Path(job.recipe.run.out)
    weights, metadata = read_checkpoint(out / CHECKPOINTS / "best.safetensors")
    model = class_of(recipe.model)(recipe.model)
    model.load_state_dict(weights)
    best = metadata["state"]["best"]
    card = model_card(recipe, job.purpose, best, seconds=state.seconds, model=model, hardware=hardware)
    model.save_pretrained(out / "model", labels=job.labels, card=card, reading=recipe.reading)
    for name, content in job.files.items():
        write_atomically(out / "model" / name, content.encode() if isinstance(content, str) else content)
    draw_curves(read_log(out / "log.jsonl"), out / "curves.png")
