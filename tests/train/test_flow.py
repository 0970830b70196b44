"""Training flow: the recipes, from pictures and from stored pairs, and what the model folder keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import FlowConfig, FourierPositionsConfig, MadeFlowConfig, PerceiverConfig, Recipe
from anybyte.files.flow import Flow, encode_flow
from anybyte.files.images import encode_image
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import FlowPredictor, load_as
from anybyte.recipes import get_recipe
from anybyte.train.jobs import make_job
from anybyte.train.loop import train

SIZE = (16, 20)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        large = np.repeat(np.repeat(pixels, 8, axis=0), 8, axis=1)
        (folder / f"{seed}.png").write_bytes(encode_image(large, "png"))
    return folder


def smaller(recipe: Recipe, path: Path, out: Path, **run: object) -> Recipe:
    """Two steps of it on tiny pairs."""
    config = recipe.model
    assert isinstance(config, PerceiverConfig)
    (part,) = config.inputs
    positions = FourierPositionsConfig(num_bands=4, max_resolution=SIZE)
    part = dataclasses.replace(part, positions=positions)  # type: ignore[call-arg]
    assert isinstance(recipe.task, FlowConfig)
    made = dataclasses.replace(recipe.task.made, size=SIZE, pairs=4, val_pairs=2, texture_side=48, shift=(0.2, 3.0))
    return dataclasses.replace(
        recipe,
        task=dataclasses.replace(recipe.task, made=made),
        model=dataclasses.replace(config, inputs=(part,)),
        data=dataclasses.replace(recipe.data, path=str(path), val_fraction=0.3, test_fraction=0.3),
        run=dataclasses.replace(
            recipe.run, out=str(out), batch_files=2, epochs=1, max_steps=2, precision="fp32", num_workers=0, threads=1
        ),
    )


def test_the_small_recipe_trains_from_pictures(pictures: Path, tmp_path: Path) -> None:
    recipe = smaller(get_recipe("small/flow"), pictures, tmp_path / "run")
    result = train(recipe)
    assert set(result.best) >= {"epe", "zero_epe", "fl", "over_1", "over_3", "over_5"}
    assert np.isfinite(result.best["epe"])
    predictor = load_as(FlowPredictor, result.folder, device="cpu")
    assert predictor.reading == recipe.reading
    card = " ".join((result.folder / "README.md").read_text().split())
    assert "by tiles, in 9 passes at 0.03125, 0.03125, 0.0625" in card
    assert "with a median of 11x11 pixels after each, kept where it fits over 5x5 pixels" in card
    frame = np.zeros((70, 90, 3), np.uint8)
    assert predictor.estimate(frame, frame).vectors.shape == (70, 90, 2)


def test_the_finer_recipe_goes_on_from_the_small_one(pictures: Path, tmp_path: Path) -> None:
    """On frames twice as large as a tile, from the other's weights."""
    first = train(smaller(get_recipe("small/flow"), pictures, tmp_path / "run"))
    recipe = smaller(get_recipe("small/flow/finer"), pictures, tmp_path / "finer", init_from=str(first.folder))
    assert isinstance(recipe.task, FlowConfig)
    made = dataclasses.replace(recipe.task.made, size=(2 * SIZE[0], 2 * SIZE[1]))
    result = train(dataclasses.replace(recipe, task=dataclasses.replace(recipe.task, made=made)))
    assert np.isfinite(result.best["epe"])
    assert load_as(FlowPredictor, result.folder, device="cpu").tile == SIZE
    before, after = (load_pretrained(run.folder)[0].state_dict() for run in (first, result))
    moved = [float((after[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(moved) < 0.01  # a few small steps from there, not from elsewhere


def test_a_run_repeats_itself(pictures: Path, tmp_path: Path) -> None:
    runs = [train(smaller(get_recipe("small/flow"), pictures, tmp_path / name)) for name in ("a", "b")]
    losses = [[row["loss"] for row in run.history if row["event"] == "train"] for run in runs]
    assert losses[0] == losses[1]
    assert runs[0].best == runs[1].best


@pytest.mark.parametrize("name", ["perceiver/flow/autoflow", "perceiver/flow/stored"])
def test_the_papers_recipes_are_the_papers(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.model == PERCEIVERS["perceiver_io_flow"]
    assert (recipe.optim.optimizer, recipe.optim.learning_rate, recipe.optim.schedule) == ("lamb", 4e-4, "cosine")
    assert recipe.run.epochs == 480
    assert isinstance(recipe.task, FlowConfig)
    assert recipe.task.passes == ((1.0,),)
    both_ways = 2 if recipe.task.pairs == "made" else 1
    assert recipe.run.batch_files * both_ways == 512
    assert recipe.task.made.size == (368, 496)


def test_stored_pairs_are_learnt_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        for frame in (1, 2):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            (tmp_path / f"0000{number}_img{frame}.ppm").write_bytes(encode_image(pixels, "ppm"))
        flow = Flow(rng.normal(size=(20, 24, 2)).astype(np.float32))
        (tmp_path / f"0000{number}_flow.flo").write_bytes(encode_flow(flow, "flo"))
    recipe = smaller(get_recipe("small/flow"), tmp_path, tmp_path / "run")
    recipe = dataclasses.replace(recipe, task=dataclasses.replace(recipe.task, pairs="stored"))
    job = make_job(recipe)
    names = [{part.name(index) for index in range(len(part))} for part in (job.train, job.val)]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    assert train(recipe).best["zero_epe"] == pytest.approx(1.25, abs=0.2)  # the mean length of such vectors


def test_what_does_not_fit_is_named(pictures: Path, tmp_path: Path) -> None:
    recipe = smaller(get_recipe("small/flow"), pictures, tmp_path / "run")
    other = dataclasses.replace(recipe, model=PERCEIVERS["perceiver_io_pixels"])
    with pytest.raises(ValueError, match="is for flow: its model must be a Perceiver with an input of frames"):
        make_job(other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures found"):
        make_job(smaller(recipe, tmp_path / "empty", tmp_path / "run"))
    stored = dataclasses.replace(recipe, task=FlowConfig(pairs="stored", made=MadeFlowConfig()))
    with pytest.raises(ValueError, match="no pair of frames with its flow"):
        make_job(stored)
    assert not (tmp_path / "run").exists()


def test_the_papers_model_learns_from_made_pairs(pictures: Path, tmp_path: Path) -> None:
    """The released model's parts, small: one pass, and a last layer that begins with nothing."""
    recipe = smaller(get_recipe("perceiver/flow/autoflow"), pictures, tmp_path / "run")
    config = recipe.model
    assert isinstance(config, PerceiverConfig)
    config = dataclasses.replace(
        config,
        num_latents=8,
        latent_dim=32,
        num_layers=1,
        process=dataclasses.replace(config.process, num_heads=2),
    )
    result = train(dataclasses.replace(recipe, model=config))
    losses = [row["loss"] for row in result.history if row["event"] == "train"]
    assert all(np.isfinite(losses))
    model, _ = load_pretrained(result.folder)
    assert any(bool(value.any()) for name, value in model.state_dict().items() if name.endswith("projection.weight"))
