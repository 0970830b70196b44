"""Declared problems in the training loop: arrays are trained on as files are."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from anybyte.config import DeclaredConfig, LossConfig
from anybyte.models.schema import Schema
from anybyte.models.zoo import load_pretrained
from anybyte.tasks import ExampleSplits
from anybyte.tasks.arrays import Arrays
from anybyte.train.loop import TrainResult, train
from anybyte.train.progress import read_log
from anybyte.train.settings import read_recipe

from .standins import (
    DECLARED,
    curve,
    final_tensors,
    make_array_splits,
    make_arrays,
    make_splits,
    spawn_run,
    tiny_declared,
    tiny_recipe,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    """A run from start to end, in one go."""
    out = tmp_path_factory.mktemp("declared")
    return out, train(tiny_declared(out), make_array_splits(), log_every=1)


def test_learns_and_leaves_a_model_that_says_what_it_is(undisturbed: tuple[Path, TrainResult]) -> None:
    out, result = undisturbed
    validations = [row for row in result.history if row["event"] == "validation"]
    assert {"loss", "side_accuracy", "again_mae", "again_psnr", "again_r2"} <= validations[0].keys()
    assert result.best["side_accuracy"] > 0.8, "of two classes"
    assert validations[-1]["again_mae"] < validations[0]["again_mae"]
    model, labels = load_pretrained(out / "model")
    assert labels is None
    assert Schema.from_file(out / "model" / "schema.yaml").config() == model.config == DECLARED.config()
    card = (out / "model" / "README.md").read_text()
    assert "A Perceiver that reads picture and series and answers side (cross_entropy) and again (l1)." in card
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_recipe_comes_back(undisturbed: tuple[Path, TrainResult]) -> None:
    out, _ = undisturbed
    assert read_recipe(out / "recipe.json") == tiny_declared(out)


def test_equal_seeds_give_equal_losses(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    again = train(tiny_declared(tmp_path / "again"), make_array_splits(), log_every=1)
    assert curve(again.history) == curve(undisturbed[1].history)
    assert curve(again.history, "grad_norm") == curve(undisturbed[1].history, "grad_norm")


def test_killed_and_resumed_gives_the_same_weights(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    whole, result = undisturbed
    done = spawn_run(tmp_path, {"declared": True, "kill_after": 8})  # mid-epoch, and not at a checkpoint
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(curve(read_log(tmp_path / "log.jsonl"))) == 8
    resumed = train(tiny_declared(tmp_path), make_array_splits(), log_every=1)
    expected, got = final_tensors(whole), final_tensors(tmp_path)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert curve(resumed.history) == curve(result.history)


def test_two_processes_give_the_same_curve(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    done = spawn_run(tmp_path, {"declared": True, "accumulation": 2}, processes=2)
    assert done.returncode == 0, done.stderr
    two = read_log(tmp_path / "log.jsonl")
    for name in ("loss", "grad_norm"):
        assert curve(two, name) == pytest.approx(curve(undisturbed[1].history, name), abs=1e-4)


def test_workers_do_not_matter(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    result = train(tiny_declared(tmp_path, num_workers=1, epochs=1), make_array_splits(), log_every=1)
    assert curve(result.history)[0] == curve(undisturbed[1].history)[0], "the schedule is another one from there on"


def test_other_arrays_are_refused(undisturbed: tuple[Path, TrainResult]) -> None:
    out, _ = undisturbed
    splits = make_array_splits()
    other = ExampleSplits(train=make_arrays(48, seed=9), val=splits.val)
    with pytest.raises(ValueError, match="files have changed"):
        train(tiny_declared(out), other)
    with pytest.raises(ValueError, match=r"task\.losses was .* there and is .* now"):
        train(tiny_declared(out, weight=3.0), splits)


def test_an_output_that_nothing_is_known_of_in_validation(tmp_path: Path) -> None:
    splits = make_array_splits()
    assert isinstance(splits.val, Arrays)
    splits.val.targets["side"] = np.full(len(splits.val), -1)
    result = train(tiny_declared(tmp_path, epochs=1), splits)
    assert "side_accuracy" not in result.best
    assert "again_mae" in result.best


def test_data_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="recipe 'declared' learns from arrays: it needs ExampleSplits, not files"):
        train(tiny_declared(tmp_path), make_splits())
    with pytest.raises(ValueError, match="recipe 'tiny' classifies files: it needs Splits, got ExampleSplits"):
        train(tiny_recipe(tmp_path), make_array_splits())
    with pytest.raises(ValueError, match="recipe 'declared' has no examples to train on"):
        train(tiny_declared(tmp_path), ExampleSplits(train=make_arrays(0, seed=0), val=make_arrays(2, seed=0)))


def test_an_array_that_the_model_refuses_is_named(tmp_path: Path) -> None:
    splits = make_array_splits()
    assert isinstance(splits.train, Arrays)
    splits.train.inputs["series"] = np.zeros((48, 7, 1), dtype=np.float32)
    with pytest.raises(ValueError, match=r"'series' .*\(files: train\[\d+\], train\[\d+\]"):
        train(tiny_declared(tmp_path), splits)


def test_trains_from_a_folder_of_arrays(tmp_path: Path) -> None:
    splits = make_array_splits()
    for part, arrays in (("train", splits.train), ("val", splits.val)):
        assert isinstance(arrays, Arrays)
        np.savez(tmp_path / f"{part}.npz", **arrays.inputs, **arrays.targets)  # type: ignore[arg-type]
    given = train(tiny_declared(tmp_path / "given", epochs=1), splits)
    found = train(tiny_declared(tmp_path / "found", epochs=1, data=str(tmp_path)))
    assert curve(found.history) == curve(given.history)


def test_a_byteformer_has_no_arrays(tmp_path: Path) -> None:
    losses = DeclaredConfig(losses=(LossConfig(output="a", loss="mse"),))
    recipe = dataclasses.replace(tiny_recipe(tmp_path), task=losses)
    with pytest.raises(ValueError, match="its model must be a Perceiver, not a ByteFormer"):
        train(recipe, make_array_splits())
