"""Runs that start from another model's weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from anybyte.config import LatentGridConfig, OptimConfig
from anybyte.models.perceiver import Perceiver
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.zoo import create_model, load_pretrained
from anybyte.tasks.glue import _shortened
from anybyte.train.loop import train
from anybyte.train.start import start_from

from .standins import make_splits, tiny_recipe

BODY = dataclasses.replace(PERCEIVERS["perceiver_io_language_nano"], num_layers=1, num_latents=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    create_model(BODY).save_pretrained(tmp_path / "language")
    return tmp_path / "language"


def test_all_tensors_of_an_equal_model(folder: Path) -> None:
    torch.manual_seed(2)
    model = Perceiver(BODY)
    note = start_from(model, str(folder))
    other, _ = load_pretrained(folder)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())
    count = len(model.state_dict())
    assert note == f"run.init_from: {count} of {count} tensors come from {folder}"


def test_a_grown_vocabulary_keeps_what_is_there(folder: Path) -> None:
    model = create_model(BODY, inputs=(dataclasses.replace(BODY.inputs[0], vocabulary=270),))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    note = start_from(model, str(folder))
    other, _ = load_pretrained(folder)
    for name in ("inputs.parts.tokens.embedding.weight", "decoder.outputs.tokens.bias"):
        now = model.state_dict()[name]
        assert torch.equal(now[:262], other.state_dict()[name])
        assert torch.equal(now[262:], before[name][262:])
        assert f"{name} begins with the 262 rows there, 8 are fresh" in note


def test_the_first_places_of_longer_texts(tmp_path: Path) -> None:
    long = dataclasses.replace(BODY, latent_grids=(LatentGridConfig(input="tokens", output="tokens", shape=(8,)),))
    create_model(long).save_pretrained(tmp_path / "long")
    config = _shortened(long, 64)
    assert (config.num_latents, config.inputs[0].max_length, config.outputs[0].max_length) == (2, 64, 64)
    model = create_model(config)
    note = start_from(model, str(tmp_path / "long"))
    other, _ = load_pretrained(tmp_path / "long")
    assert "latents begins with the first 2 of 8 rows" in note
    for name in ("latents", "inputs.parts.tokens.positions.rows", "decoder.outputs.tokens.table.rows"):
        now, then = model.state_dict()[name], other.state_dict()[name]
        assert torch.equal(now, then[: len(now)])
    with pytest.raises(ValueError, match=r"latents is \[8, 128\] there and \[4, 128\] here"):
        start_from(create_model(_shortened(long, 128), latent_grids=()), str(tmp_path / "long"))
    with pytest.raises(ValueError, match="a whole number of the 32 bytes"):
        _shortened(long, 80)


def test_the_note_names_what_is_fresh_and_what_is_not_used(folder: Path) -> None:
    output = dataclasses.replace(BODY.outputs[0], name="other")
    note = start_from(create_model(BODY, outputs=(output,)), str(folder))
    assert "fresh: decoder.outputs.other.bias, decoder.outputs.other.table.rows" in note
    assert "not used: decoder.outputs.tokens.bias, decoder.outputs.tokens.table.rows" in note


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_latents": 9}, r"latents is \[8, 128\] there and \[9, 128\] here"),
        ({"inputs": (dataclasses.replace(BODY.inputs[0], max_length=300),)}, r"positions.rows is \[256, 64\] there"),
    ],
)
def test_other_sizes_are_refused_by_name(folder: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start_from(create_model(BODY, **changes), str(folder))


def test_nothing_that_fits_and_nothing_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tensor there has the name and shape"):
        start_from(create_model("byteformer_nano", num_classes=3), str(folder))
    with pytest.raises(ValueError, match="no model 'nowhere': there is no such folder"):
        start_from(create_model(BODY), "nowhere")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"it has no config\.json"):
        start_from(create_model(BODY), str(tmp_path / "run" / "checkpoints"))


def test_a_run_starts_from_another_and_goes_on_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny_recipe(tmp_path / "first", epochs=1), make_splits())
    still = OptimConfig(learning_rate=1e-12, min_learning_rate=0.0)
    recipe = tiny_recipe(tmp_path / "second", epochs=1, init_from=str(tmp_path / "first"))
    recipe = dataclasses.replace(recipe, optim=still)
    train(recipe, make_splits())
    assert "tensors come from" in capsys.readouterr().err
    first, second = (load_pretrained(tmp_path / name / "model")[0].state_dict() for name in ("first", "second"))
    assert all(torch.allclose(second[name], first[name], atol=1e-6) for name in first)
    (tmp_path / "first").rename(tmp_path / "gone")
    train(dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, epochs=2)), make_splits())
    assert "tensors come from" not in capsys.readouterr().err
