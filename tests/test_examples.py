"""The examples: their schemas are whole, and their data are what their descriptions say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from anybyte.models.perceiver import Perceiver
from anybyte.models.schema import Schema
from anybyte.tasks import Sample
from anybyte.tasks.declared import Declared

FOLDER = Path(__file__).parents[1] / "examples" / "moved_pictures"


@pytest.fixture
def moved_pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("moved_pictures", FOLDER / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_examples_schema() -> None:
    page = (FOLDER.parents[1] / "docs/schemas.md").read_text()
    lines = (FOLDER / "schema.yaml").read_text().splitlines()
    assert "\n".join(line for line in lines if not line.startswith("#")) in page


def test_the_second_picture_is_the_first_moved(moved_pictures: ModuleType) -> None:
    examples = moved_pictures.make_examples(64, seed=0)
    again = moved_pictures.make_examples(64, seed=0)
    assert examples.identity() == again.identity()
    moves = moved_pictures.MOVES[examples.targets["motion"] // 2]
    for first, second, move in zip(examples.inputs["first"], examples.inputs["second"], moves, strict=True):
        gaps = []
        for step in (2, 3, 4):
            (down, right), size = step * move, 16
            kept = first[max(0, -down) : size - max(0, down), max(0, -right) : size - max(0, right)]
            there = second[max(0, down) : size + min(0, down), max(0, right) : size + min(0, right)]
            gaps.append(np.abs(kept - there).max())
        assert min(gaps) < 1e-4


def test_the_schema_fits_the_examples(moved_pictures: ModuleType) -> None:
    schema = Schema.from_file(FOLDER / "schema.yaml")
    examples = moved_pictures.make_examples(3, seed=0)
    task = Declared(schema.config(), schema.task())
    samples = [Sample(*examples.read(index, None), np.random.default_rng(index)) for index in range(3)]
    torch.manual_seed(0)
    loss, count = task.loss(Perceiver(schema.config()), *task.collate(samples))
    assert count == 3
    assert loss.isfinite()
