"""What goes wrong in training is said by name, and leaves nothing half-written."""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from anybyte.batch import ByteBatch
from anybyte.config import Recipe
from anybyte.files.sources import Splits
from anybyte.tasks.classify import Classify
from anybyte.train.checkpoint import read_checkpoint, write_atomically
from anybyte.train.loop import Loop
from anybyte.train.progress import RunLog, draw_curves, read_log
from anybyte.train.step import Stepper, StepResult

from .standins import CLASSES, MemorySource, curve, make_files, make_splits, run, tiny_recipe


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run folder with an epoch's checkpoint."""
    run(tiny_recipe(tmp_path, epochs=1))
    return tmp_path


@pytest.mark.parametrize("culprit", ["loss", "gradient"])
def test_a_loss_that_is_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str) -> None:
    task_loss, calls = Classify.loss, 0

    def loss(self: Classify, model: nn.Module, batch: ByteBatch, labels: Tensor) -> tuple[Tensor, int]:
        nonlocal calls
        calls += 1
        value, count = task_loss(self, model, batch, labels)
        if calls == 7:
            value = value * torch.inf if culprit == "loss" else (value - value.detach()).sqrt()
        return value, count

    monkeypatch.setattr(Classify, "loss", loss)
    with pytest.raises(ValueError, match=rf"the {culprit} is not finite at step 6 \(learning rate 0.00") as caught:
        run(tiny_recipe(tmp_path))
    assert re.search(r"files: (low|middle|high)/", str(caught.value))
    assert read_checkpoint(tmp_path / "checkpoints/last.safetensors")[1]["state"]["step"] == 5
    assert not (tmp_path / "model").exists()
    assert len(curve(read_log(tmp_path / "log.jsonl"))) == 6


def test_a_model_that_yields_no_numbers_is_not_kept(tmp_path: Path) -> None:
    huge = {"learning_rate": 1e30, "min_learning_rate": 1e30}  # a run's last step has the lowest rate
    with pytest.raises(ValueError, match=r"validation loss is not finite after step 0 \(learning rate 1e\+30\)"):
        run(tiny_recipe(tmp_path, optim=huge, max_steps=1))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Stepper.step

    def break_a_weight(self: Stepper, *args: Any, **keywords: Any) -> StepResult:
        result = step(self, *args, **keywords)
        assert self.average is not None
        self.average.averages["classifier.bias"][0] = torch.nan
        return result

    monkeypatch.setattr(Stepper, "step", break_a_weight)
    with pytest.raises(ValueError, match="a weight is not finite after step 8"):
        run(tiny_recipe(tmp_path, epochs=1), make_splits(val=0))
    assert not (tmp_path / "checkpoints/best.safetensors").exists()


def test_a_file_that_the_model_refuses_is_named(tmp_path: Path) -> None:
    short = {"positions": "learned", "max_num_tokens": 100}
    with pytest.raises(ValueError, match=r"position table ends at max_num_tokens=100.* \(files: low/long\)"):
        run(tiny_recipe(tmp_path / "train", model=short, epochs=1))
    splits = make_splits()
    splits = dataclasses.replace(splits, train=splits.val, val=splits.train)
    with pytest.raises(ValueError, match=r"max_num_tokens=100.* \(files: low/long"):
        run(tiny_recipe(tmp_path / "val", model=short, epochs=1), splits)


def test_a_full_disk_leaves_the_old_checkpoint(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    last = begun / "checkpoints" / "last.safetensors"
    before = last.read_bytes()
    fit = Loop.fit

    def fit_on_a_full_disk(self: Loop) -> None:
        last.with_name("last.safetensors.tmp").symlink_to("/dev/full")
        fit(self)

    monkeypatch.setattr(Loop, "fit", fit_on_a_full_disk)
    with pytest.raises(OSError, match="what was there before is intact") as caught:
        run(tiny_recipe(begun, epochs=2))
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(last)
    assert last.read_bytes() == before
    assert not list(begun.rglob("*.tmp"))
    # With room again, the run goes on.
    assert len(curve(run(tiny_recipe(begun, epochs=2)).history)) == 18


def test_a_failing_flush_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_curves_are_whole_or_not_there(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves, replace = begun / "curves.png", os.replace
    before, drafts = curves.read_bytes(), []

    def look(draft: Path, path: Path) -> None:
        drafts.append(curves.read_bytes() == before and draft.read_bytes().startswith(b"\x89PNG"))
        replace(draft, path)

    monkeypatch.setattr(os, "replace", look)
    draw_curves(read_log(begun / "log.jsonl")[:3], curves)
    assert drafts == [True]
    assert curves.read_bytes() != before


def test_a_log_on_a_full_disk_is_named(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", after_step=0)
    log.path.unlink()
    log.path.mkdir()
    with pytest.raises(OSError, match=r"log\.jsonl"):
        log.write({"event": "train", "step": 1})


CHANGES: dict[str, dict[str, Any]] = {
    "model.depth": {"model": {"depth": 3}},
    "data.max_bytes": {"data": {"max_bytes": 10_000}},
    "optim.learning_rate": {"optim": {"learning_rate": 1.0}},
    "run.seed": {"seed": 5},
}


@pytest.mark.parametrize("field", CHANGES)
def test_another_recipes_folder_is_refused(begun: Path, field: str) -> None:
    before = (begun / "checkpoints/last.safetensors").read_bytes()
    with pytest.raises(ValueError, match=rf"belongs to another run: {field} was .* there and is .* now"):
        run(tiny_recipe(begun, epochs=2, **CHANGES[field]))
    assert (begun / "checkpoints/last.safetensors").read_bytes() == before


def test_other_files_are_refused(begun: Path) -> None:
    with pytest.raises(ValueError, match="files have changed"):
        run(tiny_recipe(begun, epochs=2), make_splits(train=59))


def test_what_does_not_change_the_run_may_differ(begun: Path) -> None:
    moved = begun.with_name("moved")
    begun.rename(moved)
    recipe = tiny_recipe(moved, epochs=2, accumulation=2, max_minutes=5.0, checkpoint_every=3, patience=7)
    result = run(dataclasses.replace(recipe, name="renamed"))
    assert [row["step"] for row in result.history if row["event"] == "train"] == list(range(1, 19))


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"\x80\x04pickle", lambda data: b""]
)
def test_a_damaged_checkpoint_is_named(begun: Path, damage: Any) -> None:
    last = begun / "checkpoints/last.safetensors"
    last.write_bytes(damage(last.read_bytes()))
    with pytest.raises(ValueError, match=r"last\.safetensors: not a checkpoint, or a damaged one"):
        run(tiny_recipe(begun, epochs=2))


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="low/1-0: Input/output error"):
        run(tiny_recipe(tmp_path), make_splits(broken=["low/1-0"]))


def test_bad_files_can_be_left_out(tmp_path: Path) -> None:
    broken = [*(name for name, _, _ in make_files(20, seed=1)), "low/2-0"]
    result = run(tiny_recipe(tmp_path, data={"on_error": "skip"}, epochs=2), make_splits(broken=broken))
    problems = [row["name"] for row in result.history if row["event"] == "problem"]
    assert sorted(problems) == sorted(broken), "each is logged once"


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (1, r"none of the 60 training files could be used: \w+/(1-\d+|long): Input/output error; "),
        (2, r"none of the 21 validation files could be used: \w+/2-\d+: Input/output error; "),
    ],
)
def test_a_run_without_any_good_file_fails(tmp_path: Path, seed: int, message: str) -> None:
    broken = [*(name for name, _, _ in make_files(59, seed)), "low/long"]
    for _ in range(2):  # starting again does not get past it
        with pytest.raises(ValueError, match=message):
            run(tiny_recipe(tmp_path, data={"on_error": "skip"}, epochs=1), make_splits(broken=broken))
    assert not (tmp_path / "model").exists()


def test_a_start_that_fails_leaves_the_recipe(begun: Path) -> None:
    before = (begun / "recipe.json").read_bytes()
    with pytest.raises(ValueError, match="Input/output error"):
        run(tiny_recipe(begun, epochs=2), make_splits(broken=[name for name, _, _ in make_files(59, seed=1)]))
    assert (begun / "recipe.json").read_bytes() == before


def test_what_a_crash_left_is_cleared_away(begun: Path) -> None:
    drafts = [begun / "recipe.json.tmp", begun / "curves.png.tmp", begun / "checkpoints/best.safetensors.tmp"]
    for draft in drafts:
        draft.write_text("half of it")
    others = begun / "notes.tmp"
    others.write_text("not ours")
    run(tiny_recipe(begun, epochs=1))
    assert list(begun.rglob("*.tmp")) == [others]


def test_a_new_start_does_not_leave_the_old_model(begun: Path) -> None:
    (begun / "model/notes.txt").write_text("mine")
    broken = [name for name, _, _ in make_files(59, seed=1)]
    with pytest.raises(ValueError, match="Input/output error"):
        run(tiny_recipe(begun, resume=False), make_splits(broken=broken))
    assert [path.name for path in (begun / "model").iterdir()] == ["notes.txt"]


def splits_of(*train: tuple[str, int, bytes], classes: tuple[str, ...] = CLASSES) -> Splits:
    return dataclasses.replace(make_splits(), train=MemorySource(train), classes=classes)


FILES = make_files(3, seed=0)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (splits_of(*FILES, ("empty.wav", 0, b"")), "empty.wav: the file is empty"),
        (splits_of(*FILES, ("plain.wav", -1, b"x")), "plain.wav: training needs to know the class"),
        (splits_of(*FILES[:2]), "class 'high' has no files in the training split"),
        (splits_of(FILES[0], classes=("low",)), "telling classes apart takes two"),
        (splits_of(), "class 'low' has no files"),
    ],
)
def test_files_that_cannot_be_learned_from(tmp_path: Path, splits: Splits, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tiny_recipe(tmp_path / "run"), splits)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (tiny_recipe("x", epochs=0), "run.epochs must be at least 1, got 0"),
        (tiny_recipe("x", batch_bytes=0), "run.batch_bytes must be at least 1"),
        (tiny_recipe("x", num_workers=-1), "run.num_workers must be at least 0"),
        (tiny_recipe("x", max_minutes=0.0), "run.max_minutes must be positive, or None for no limit, got 0.0"),
        (tiny_recipe("x", optim={"learning_rate": 0.0}), "optim.learning_rate must be positive and finite, got 0.0"),
        (tiny_recipe("x", optim={"learning_rate": math.inf}), "optim.learning_rate must be .* finite, got inf"),
        (tiny_recipe("x", optim={"learning_rate": math.nan}), "optim.learning_rate must be .* finite, got nan"),
        (tiny_recipe("x", optim={"weight_decay": -0.1}), "optim.weight_decay must be at least 0 and finite, got -0.1"),
        (tiny_recipe("x", optim={"stem_scale": -1.0}), "optim.stem_scale must be at least 0 and finite, got -1.0"),
        (tiny_recipe("x", optim={"betas": (0.9, 1.0)}), r"optim.betas must be .* below 1, got \(0.9, 1.0\)"),
        (tiny_recipe("x", optim={"clip_norm": 0.0}), "optim.clip_norm must be positive"),
        (tiny_recipe("x", optim={"ema_decay": 1.5}), "optim.ema_decay must be at least 0 and below 1, got 1.5"),
        (tiny_recipe("x", optim={"label_smoothing": 1.0}), "optim.label_smoothing must be .* below 1, got 1.0"),
        (tiny_recipe("x", reading={"format": "tiffany"}), "tiffany"),
    ],
)
def test_settings_that_make_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        run(recipe)
    assert not list(tmp_path.iterdir())


def test_tensorboard_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"anybyte\[tensorboard\]"):
        run(tiny_recipe(tmp_path, tensorboard=True))
