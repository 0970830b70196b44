"""Masked language models in the training loop, from files of text to a model folder that fills blanks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import (
    AttentionConfig,
    ByteFormerConfig,
    MaskedConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    TokenInputConfig,
    TokenOutputConfig,
)
from anybyte.models.pieces import PIECES
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import TextPredictor, load_as
from anybyte.train.jobs import make_job
from anybyte.train.loop import TrainResult, train
from anybyte.train.settings import read_recipe

WORDS = ("north", "south", "eastern", "western", "harbour", "river")


def write_text(path: Path, lines: int = 200) -> None:
    """Lines in which each word says which one follows: a model that looks to the left can know it."""
    rng = np.random.default_rng(0)
    text = ""
    for _ in range(lines):
        start = int(rng.integers(len(WORDS)))
        text += " ".join(WORDS[(start + place) % len(WORDS)] for place in range(6)) + "\n"
    path.write_text(text)


def tiny_recipe(folder: Path, **task: object) -> Recipe:
    attention = AttentionConfig(num_heads=2, qk_channels=32, v_channels=32)
    return Recipe(
        name="tiny_language",
        task=MaskedConfig(max_val=16, **task),  # type: ignore[arg-type]
        model=PerceiverConfig(
            inputs=(TokenInputConfig(num_channels=32, max_length=48),),
            outputs=(TokenOutputConfig(query_channels=32, max_length=48),),
            num_latents=12,
            latent_dim=32,
            num_blocks=1,
            num_layers=1,
            encode=attention,
            process=attention,
            decode=attention,
        ),
        optim=OptimConfig(learning_rate=1e-2, warmup_steps=5, label_smoothing=0.0, ema_decay=0.5, weight_decay=0.01),
        run=RunConfig(out=str(folder / "run"), epochs=1, max_steps=30, batch_files=16, threads=1),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    (folder / "texts").mkdir()
    write_text(folder / "texts/a.txt")
    (folder / "texts/b.txt").write_bytes(b"\xff\xfe not UTF-8 \x00" * 20)
    return folder


def with_data(recipe: Recipe, folder: Path) -> Recipe:
    return replace(recipe, data=replace(recipe.data, path=str(folder / "texts")))


@pytest.fixture(scope="module")
def trained(folder: Path) -> TrainResult:
    return train(with_data(tiny_recipe(folder, crops=480), folder), log_every=1)


def test_the_loss_falls_and_the_recipe_comes_back(folder: Path, trained: TrainResult) -> None:
    losses = [row["loss"] for row in trained.history if row["event"] == "train"]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])
    assert {"loss", "accuracy", "byte_accuracy", "bits_per_byte"} <= trained.best.keys()
    recipe = read_recipe(folder / "run/recipe.json")
    assert recipe == with_data(tiny_recipe(folder, crops=480), folder)
    card = (trained.folder / "README.md").read_text()
    assert "A Perceiver that reads up to 48 bytes of a text and says what stands at those that are masked." in card


def test_equal_seeds_give_equal_losses(folder: Path, trained: TrainResult) -> None:
    recipe = with_data(tiny_recipe(folder, crops=480), folder)
    again = train(replace(recipe, run=replace(recipe.run, out=str(folder / "again"), max_steps=5)), log_every=1)
    losses = [[row["loss"] for row in result.history if row["event"] == "train"][:3] for result in (trained, again)]
    # The length of the schedule differs, and with it the steps' sizes, but for those of the warm-up's start.
    assert losses[0][0] == losses[1][0]


def test_a_model_of_pieces_keeps_its_tokenizer_and_fills(folder: Path) -> None:
    pytest.importorskip("sentencepiece")
    spm = folder / "spm.model"
    from tests.models.test_pieces import MODEL

    spm.write_bytes(MODEL)
    recipe = with_data(tiny_recipe(folder, pieces=str(spm), crops=64), folder)
    job = make_job(recipe)
    assert job.notes == ("model.inputs: vocabulary follows the tokenizer: 326, not 262",)
    recipe = replace(recipe, run=replace(recipe.run, out=str(folder / "pieces"), max_steps=3))
    result = train(recipe)
    assert (result.folder / PIECES).read_bytes() == spm.read_bytes()
    predictor = load_as(TextPredictor, result.folder, device="cpu")
    filled = predictor.fill("north ____ eastern ___", top=3)
    assert len(filled.blanks) == 2
    assert filled.data.startswith(b"north ")
    first = filled.blanks[0].candidates
    assert len(first) == 3
    assert first[0].probability >= first[1].probability
    assert not any(candidate.data.startswith(b" ") for candidate in first)
    assert filled.data == b"north " + first[0].data + b" eastern " + filled.blanks[1].candidates[0].data
    longer = predictor.fill("north ____.", num_pieces=3).blanks[0].candidates[0]
    assert b" " not in longer.data
    with pytest.raises(ValueError, match="pieces, and the model reads 48 at most"):
        predictor.fill("x" * 60 + " __")
    with pytest.raises(ValueError, match="num_pieces is 0, expected at least 1"):
        predictor.fill("a __", num_pieces=0)
    (result.folder / PIECES).unlink()
    with pytest.raises(ValueError, match="holds a Perceiver that does not classify files"):
        load_as(TextPredictor, result.folder, device="cpu")
    model, _ = load_pretrained(result.folder)
    assert model.config.inputs[0].vocabulary == 326


def test_mistakes_are_named(folder: Path) -> None:
    recipe = with_data(tiny_recipe(folder), folder)
    with pytest.raises(OSError, match="no such SentencePiece model"):
        make_job(replace(recipe, task=MaskedConfig(pieces=str(folder / "missing.model"))))
    with pytest.raises(ValueError, match="its model must be a Perceiver with an input and an output of tokens"):
        make_job(replace(recipe, model=ByteFormerConfig()))
    with pytest.raises(ValueError, match="no text is named"):
        make_job(replace(recipe, data=replace(recipe.data, path="")))
    with pytest.raises(ValueError, match=r"task\.length must lie in 1 to 48"):
        make_job(replace(recipe, task=MaskedConfig(length=100)))
    (folder / "void").mkdir()
    (folder / "void/empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt: the file is empty"):
        make_job(replace(recipe, data=replace(recipe.data, path=str(folder / "void"))))


def test_an_example_needs_no_company(folder: Path) -> None:
    job = make_job(with_data(tiny_recipe(folder), folder))
    assert len(job.train) > 100
    assert len(job.val) == 10
    data, is_train = job.train.read(0, np.random.default_rng(3))
    assert (len(data), is_train) == (48, True)
    assert job.train.identity() == make_job(with_data(tiny_recipe(folder), folder)).train.identity()
