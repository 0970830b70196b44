"""Recipes come back from their file, whatever they train; mistakes in the file are named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from anybyte.config import Recipe
from anybyte.recipes import get_recipe
from anybyte.train.jobs import make_job
from anybyte.train.settings import check_settings, read_recipe, recipe_json

from .standins import make_splits, tiny_declared, tiny_recipe


@pytest.mark.parametrize("name", ["small/fsdd_wav", "small/cifar10_tiff", "small/fashion_mnist_perceiver", "declared"])
def test_a_recipe_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    recipe = tiny_declared("out", num_workers=2) if name == "declared" else get_recipe(name)
    (tmp_path / "recipe.json").write_text(recipe_json(recipe))
    assert read_recipe(tmp_path / "recipe.json") == recipe


def test_fields_left_out_are_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"name": "short"}')
    assert read_recipe(tmp_path / "recipe.json") == Recipe(name="short")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flat": 1.0}, "optim.flat must be at least 0 and below 1, got 1.0"),
        ({"epsilon": 0.0}, "optim.epsilon must be positive and finite, got 0.0"),
        ({"drops": (0.9, 0.7)}, r"optim.drops must be shares of the run between 0 and 1, .*, got \(0.9, 0.7\)"),
        ({"drops": (0.5, 1.0)}, "optim.drops"),
    ],
)
def test_settings_of_the_schedule_are_checked(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_settings(Recipe(optim=dataclasses.replace(Recipe().optim, **fields)))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("model", {"architecture": "Transformer"}, "recipe.json names a Transformer; known architectures: ByteFormer"),
        ("model", {"dimm": 3}, "recipe.json: model has unknown fields dimm"),
        ("model", 3, "is not a recipe"),
        ("task", {"kind": "guess"}, "task is of kind 'guess'; known: 'classify', 'declared'"),
        ("run", {"epoch": 3}, "run has unknown fields epoch"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, part: str, value: object, message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(json.loads(recipe_json(Recipe())) | {part: value}))
    with pytest.raises(ValueError, match=message):
        read_recipe(path)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json is not valid JSON"):
        read_recipe(path)


def test_a_perceiver_that_reads_no_files_cannot_classify_them() -> None:
    recipe = tiny_recipe("out")
    array_reader = tiny_declared("out").model
    with pytest.raises(ValueError, match="this one reads image and array and answers class and grid"):
        make_job(dataclasses.replace(recipe, model=array_reader), make_splits())
