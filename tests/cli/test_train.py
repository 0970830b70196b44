"""`anybyte train`: from a command line to a model folder."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import anybyte
from anybyte.cli import main
from anybyte.cli.train import _measured_on, parse_recipe
from anybyte.models.perceiver import Perceiver
from anybyte.models.schema import Schema
from anybyte.models.zoo import load_pretrained
from anybyte.recipes import get_recipe, list_recipes, recipe_function
from anybyte.train.settings import read_recipe

TINY = [
    *("--model.dim", "16", "--model.num_heads", "2", "--model.depth", "1", "--model.merge_after", "0"),
    *("--model.window_sizes", "8", "--run.epochs", "1", "--run.batch_files", "16", "--run.threads", "1"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of two classes of binary files."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for number in range(30):
            values = rng.integers(100 * label, 100 * label + 120, rng.integers(30, 90), dtype=np.uint8)
            (folder / f"{number}.bin").write_bytes(values.tobytes())
    return tmp_path / "data"


def test_trains_and_says_what_comes_next(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "folder", "--data", str(data), f"--out={out}", *TINY]) == 0
    printed = capsys.readouterr().out
    assert "validation: accuracy" in printed
    assert str(out / "model") in printed
    assert f"anybyte evaluate {out}" in printed
    assert load_pretrained(out / "model")[1] == ("dark", "light")
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["data"]["path"] == str(data)
    assert recipe["model"]["dim"] == 16


def test_the_command_that_comes_next_treats_bad_files_as_training_did(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "dark" / "empty.bin").touch()
    out = str(tmp_path / "my run")
    assert main(["train", "folder", "--data", str(data), "--out", out, "--data.on_error", "skip", *TINY]) == 0
    [command] = re.findall(r"^next: +anybyte (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert main(shlex.split(command)) == 0
    assert main([*shlex.split(command), "--on-error", "fail"]) == 2
    assert "empty.bin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "told"), [("small/flow", " --data PAIRS "), ("small/language_bytes", " --data TEXT "), ("folder", "")]
)
def test_what_comes_next_names_data_where_the_runs_own_has_nothing_to_test_on(recipe: str, told: str) -> None:
    said = _measured_on(get_recipe(recipe))
    assert said.startswith(told)
    assert bool(said) == bool(told)


def test_an_interrupted_run_says_that_it_can_go_on(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(recipe: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anybyte.train.loop.train", interrupted)
    assert main(["train", "folder", "--data", str(data)]) == 130
    assert capsys.readouterr().err.endswith("interrupted: the same command goes on from the newest checkpoint\n")


def test_a_perceiver_trains_on_files_as_a_byteformer_does(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    options = (
        "--model.num_latents 4 --model.latent_dim 16 --model.num_layers 1 --model.process.num_heads 2 "
        "--model.inputs.0.num_channels 16 --model.inputs.0.kernel_size 8 --model.outputs.0.query_channels 16 "
        "--model.encode.num_heads 1 --run.precision fp32 --run.epochs 3 --run.batch_files 8 --run.threads 1 "
        "--optim.warmup_steps 3 --optim.learning_rate 1e-2 --optim.ema_decay 0.5"
    )
    command = ["train", "small/fashion_mnist_perceiver", "--data", str(data), "--out", str(out), *options.split()]
    assert main(command) == 0
    assert f"anybyte evaluate {out}" in capsys.readouterr().out
    model, labels = load_pretrained(out / "model")
    assert isinstance(model, Perceiver)
    assert labels == ("dark", "light")
    assert read_recipe(out / "recipe.json").model == model.config
    (answer,) = anybyte.load(out / "model").classify([data / "dark" / "0.bin"])
    assert answer.label == "dark"
    assert "says which of 2 classes it is: dark, light." in (out / "model/README.md").read_text()
    assert main([*command, "--run.epochs", "4"]) == 0, "goes on"
    assert main([*command, "--model.num_latents", "5"]) == 2
    assert "model.num_latents was 4 there and is 5 now" in capsys.readouterr().err


def test_trains_from_a_schema_and_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = tmp_path / "mine.yaml"
    schema.write_text(
        "inputs: {x: {kind: set, shape: 2}}\noutputs: {y: {classes: [a, b]}}\n"
        "size: {latents: 2, width: 8, layers: 1, heads: 1}\n"
    )
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 12)):
        y = rng.integers(0, 2, count)
        np.savez(tmp_path / f"{part}.npz", x=rng.normal(y[:, None, None], 0.2, (count, 3, 2)), y=y)
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--run.epochs", "2", "--run.threads", "1"]
    assert main(["train", str(schema), *options, "--run.batch_files", "8"]) == 0
    printed = capsys.readouterr().out
    assert "y_accuracy" in printed
    assert "anybyte evaluate" not in printed, "which reads files"
    model, labels = load_pretrained(tmp_path / "run/model")
    assert model.config == Schema.from_file(schema).config()
    assert labels == ("a", "b")
    assert main(["train", str(schema)]) == 2
    assert "needs arrays to train on" in capsys.readouterr().err
    schema.write_text(schema.read_text().replace("kind: set", "knd: set"))
    assert main(["train", str(schema), *options]) == 2
    assert "mine.yaml, line 1: inputs.x.knd: unknown; did you mean 'kind'?" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.toml"), *options]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err


def test_fields_of_every_part_can_be_set() -> None:
    options = (
        "--data d.zip --optim.learning_rate 5e-4 --data.augment.flip --model.window_sizes 8 16 --run.max_minutes 3"
    )
    recipe = parse_recipe("folder", options.split())
    assert recipe.data.path == "d.zip"
    assert recipe.optim.learning_rate == 5e-4
    assert recipe.data.augment.flip
    assert recipe.model.window_sizes == (8, 16)
    assert recipe.run.max_minutes == 3
    assert recipe.model.depth == get_recipe("folder").model.depth


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fodler", "--data", "x"], "no recipe 'fodler': did you mean folder"),
        (["zzzz"], "the recipes are"),
        (["folder"], "needs files to train on: anybyte train folder --data DIR"),
        (["--data", "x"], "expected the name of a recipe before --data"),
        (["folder", "--data", "/no/such/place"], "/no/such/place"),
        (["folder", "--data", "x", "--optim.rate", "1"], "--optim.rate"),
        (["folder", "--data", "x", "--run.epochs", "many"], "many"),
    ],
)
def test_mistakes_are_named(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *args]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["train", "folder", "--data", str(data), "--out", str(tmp_path / "file" / "run"), *TINY]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_help_shows_examples_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "anybyte train folder --data my_files/" in capsys.readouterr().out
    assert main(["train", "folder", "--help"]) == 0
    assert "--optim.learning_rate" in capsys.readouterr().out


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_documented_and_whole(name: str) -> None:
    assert recipe_function(name).__doc__
    assert parse_recipe(name, ["--data", "x"]).data.path == "x"
    assert get_recipe(name).name == name


def test_recipes_are_found_by_pattern() -> None:
    assert list_recipes("fold*") == ["folder"]
