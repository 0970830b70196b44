"""The paper's masked language models, and their small twins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anybyte.config import MaskedConfig, PerceiverConfig
from anybyte.models.perceiver import Perceiver
from anybyte.recipes import get_recipe
from anybyte.train.loop import train
from tests.models.perceivers import shrink


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("perceiver/language/bytes", 201_108_230), ("perceiver/language/sentencepiece", 223_160_070)],
)
def test_the_paper_s_sizes_and_settings(name: str, parameters: int) -> None:
    recipe = get_recipe(name)
    assert isinstance(recipe.model, PerceiverConfig)
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Perceiver(recipe.model).parameters()) == parameters
    assert isinstance(recipe.task, MaskedConfig)
    assert (recipe.task.probability, recipe.task.packed) == (0.15, 10)
    optim, run = recipe.optim, recipe.run
    assert (optim.optimizer, optim.learning_rate, optim.warmup_steps, optim.weight_decay) == (
        ("lamb", 1.25e-3, 1000, 0.01)
    )
    assert (run.max_steps, run.batch_files) == (500_000, 2048)
    assert recipe.task.crops == 1000 * run.batch_files
    assert run.batch_bytes >= run.batch_files * (recipe.task.length or 2048)
    assert recipe.data.path == "0.7*hf:allenai/c4:en+0.3*hf:wikimedia/wikipedia:20231101.en"


@pytest.mark.parametrize("name", ["perceiver/language/bytes", "perceiver/language/sentencepiece"])
def test_two_steps_of_a_small_copy(name: str, tmp_path: Path) -> None:
    recipe = get_recipe(name)
    assert isinstance(recipe.model, PerceiverConfig)
    task = replace(recipe.task, crops=8)  # type: ignore[type-var]
    if "sentencepiece" in name:
        pytest.importorskip("sentencepiece")
        from tests.models.test_pieces import MODEL

        (tmp_path / "spm.model").write_bytes(MODEL)
        task = replace(task, pieces=str(tmp_path / "spm.model"))
    words = np.random.default_rng(0).choice(["one", "two", "three", "four"], 4000)
    (tmp_path / "text.txt").write_text(" ".join(words))
    recipe = replace(
        recipe,
        task=task,
        model=shrink(recipe.model),
        data=replace(recipe.data, path=str(tmp_path / "text.txt")),
        run=replace(
            recipe.run, out=str(tmp_path / "run"), max_steps=2, batch_files=4, accumulation=2, num_workers=0, threads=1
        ),
    )
    result = train(recipe)
    assert result.best["step"] == 2
    assert result.best["bits_per_byte"] > 0


@pytest.mark.parametrize(("name", "most"), [("small/language_bytes", 1.1e6), ("small/language_pieces", 1.5e6)])
def test_small_twins_are_built_and_start_with_places(name: str, most: float) -> None:
    recipe = get_recipe(name)
    assert isinstance(recipe.model, PerceiverConfig)
    assert recipe.model.latent_grids
    assert sum(parameter.numel() for parameter in Perceiver(recipe.model).parameters()) < most
