"""GLUE in the training loop, and on the command line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from anybyte.cli import main
from anybyte.config import DataConfig, GlueConfig, OptimConfig, Recipe, RunConfig
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.zoo import create_model, load_pretrained
from anybyte.tasks.glue import glue_model
from anybyte.train.loop import train
from anybyte.train.settings import read_recipe
from tests.files.glue_made import make_task

TASKS = ("sst2", "mrpc", "stsb")
BODY = dataclasses.replace(PERCEIVERS["perceiver_io_language_nano"], num_layers=1, num_latents=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("glue")
    for task in TASKS:
        make_task(root, task, "train", 150)
        make_task(root, task, "dev" if task != "mrpc" else "test", 30)
    return root


def tiny(data: Path, out: Path, task: GlueConfig, **run: object) -> Recipe:
    return Recipe(
        name="tiny",
        task=task,
        model=glue_model(BODY, task),
        data=DataConfig(path=str(data), val_fraction=0.2),
        optim=OptimConfig(learning_rate=3e-3, warmup_steps=5, label_smoothing=0.0, ema_decay=0.9),
        run=RunConfig(out=str(out), **({"epochs": 3, "batch_files": 16, "threads": 1} | run)),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three tasks with a token each."""
    out = tmp_path_factory.mktemp("runs") / "tokens"
    train(tiny(data, out, GlueConfig(tasks=TASKS, conditioning="tokens"), epochs=6))
    return out


def test_it_learns_words_by_their_bytes(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    validations = [row for row in rows if row["event"] == "validation"]
    assert validations[-1]["sst2_accuracy"] > 0.9
    assert {"mrpc_f1", "mrpc_accuracy", "stsb_pearson", "stsb_spearman", "average"} <= validations[-1].keys()
    assert "answers SST-2, MRPC and STS-B of GLUE" in (run / "model" / "README.md").read_text()


def test_the_recipe_comes_back(run: Path, data: Path) -> None:
    recipe = read_recipe(run / "recipe.json")
    assert recipe.task == GlueConfig(tasks=TASKS, conditioning="tokens")
    assert recipe.data.path == str(data)


@pytest.mark.parametrize("conditioning", ["queries", "shared"])
def test_the_other_ways_train_as_well(data: Path, tmp_path: Path, conditioning: str) -> None:
    task = GlueConfig(tasks=TASKS, conditioning=conditioning, max_examples=40)  # type: ignore[arg-type]
    assert "average" in train(tiny(data, tmp_path, task, max_steps=2)).best


def test_evaluate_prints_the_table(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["tasks", "sst2,", "mrpc,", "stsb", "(tokens)"] in lines
    sst2 = next(line for line in lines if line[:1] == ["SST-2"])
    assert sst2[1:4] == ["dev", "30", "accuracy"]
    assert float(sst2[4]) > 90 > float(sst2[5])
    assert next(line for line in lines if line[:1] == ["MRPC"])[1:4] == ["test", "30", "F1"]
    assert next(line for line in lines if line[:1] == ["STS-B"])[-1] == "0.0"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["tasks"]["sst2"]["accuracy"] == pytest.approx(float(sst2[4]) / 100, abs=6e-4)
    assert report["conditioning"] == "tokens"
    assert report["about"]["data"] == str(data)


def test_evaluate_a_model_without_its_run_on_what_was_held_out(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run / "model", "model")
    assert main(["evaluate", "model", "--data", str(data), "--split", "val"]) == 0
    assert "val" in capsys.readouterr().out
    assert main(["evaluate", "model", "--data", str(data), "--split", "test"]) == 2
    assert "has no test part of SST-2" in capsys.readouterr().err
    assert main(["evaluate", "model"]) == 2
    assert "name some with --data" in capsys.readouterr().err
    assert main(["evaluate", "model", "--data", str(data), "--format", "png"]) == 2
    assert "--format is for a model that tells classes of files apart; model answers GLUE" in capsys.readouterr().err


def test_a_task_that_has_no_dev_is_not_validated(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny(data, tmp_path, GlueConfig(tasks=("sst2", "mrpc")), max_steps=1)
    best = train(dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, val_fraction=0.0))).best
    assert "MRPC has no dev part" in capsys.readouterr().err
    assert "sst2_accuracy" in best
    assert "mrpc_f1" not in best


def test_a_broken_line_stops_a_run_or_is_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_task(tmp_path / "glue", "sst2", "train", 40)
    path.write_text(path.read_text() + '{"sentence1": "x", "label": 7}\n')
    recipe = tiny(tmp_path / "glue", tmp_path / "out", GlueConfig(tasks=("sst2",)), max_steps=1)
    with pytest.raises(ValueError, match=r"train.jsonl, line 41, column 'label': SST-2 has the labels 0, 1, got 7"):
        train(recipe)
    train(dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, on_error="skip")))
    assert "1 lines were left out, the first: " in capsys.readouterr().err


def test_from_a_language_model_of_another_size(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    language = create_model(dataclasses.replace(BODY, num_latents=12))
    language.save_pretrained(tmp_path / "language" / "model")
    task = GlueConfig(tasks=TASKS, conditioning="tokens")
    train(tiny(data, tmp_path / "out", task, max_steps=1, init_from=str(tmp_path / "language")))
    err = capsys.readouterr().err
    assert "the model has the size of" in err
    assert "inputs.parts.tokens.embedding.weight begins with the 262 rows there, 3 are fresh" in err
    model, _ = load_pretrained(tmp_path / "out" / "model")
    assert model.config.num_latents == 12
    assert str(tmp_path) not in (tmp_path / "out" / "model" / "README.md").read_text()
