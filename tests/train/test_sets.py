"""Entities and point clouds from data to answers: train, evaluate, classify."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from anybyte.cli import main
from anybyte.files.made import entities as made_entities
from anybyte.files.made.shapes import draw_shape
from anybyte.recipes import get_recipe
from anybyte.train.loop import train

from .standins import curve


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    for part, count in {"train": 48, "val": 8, "test": 12}.items():
        monkeypatch.setitem(made_entities.COUNTS, part, count)


@pytest.mark.usefixtures("few_scenes")
def test_entities_train_and_are_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = get_recipe("small/entities")
    model = dataclasses.replace(recipe.model, num_layers=1, num_latents=4)
    run = dataclasses.replace(
        recipe.run, out=str(tmp_path), epochs=3, batch_files=16, threads=1, precision="fp32", num_workers=0
    )
    result = train(dataclasses.replace(recipe, model=model, run=run), log_every=1)
    losses = curve(result.history)
    assert len(losses) == 9
    assert losses[-1] < losses[0]
    assert 0 <= result.best["target_accuracy"] <= 1
    assert main(["evaluate", str(tmp_path), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "test, 12 examples" in shown
    assert "target_accuracy" in shown
    report = json.loads((tmp_path / "evaluation" / "report.json").read_text())
    assert f"{report['metrics']['target_accuracy']:.4f}" in shown
    assert main(["evaluate", str(tmp_path), "--data", "made:entity"]) == 2
    assert "there are no such generated arrays" in capsys.readouterr().err


def test_clouds_train_and_are_classified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder as of ModelNet40, with parts inside the classes."""
    for label in ("plane", "sphere"):
        for part, count in (("train", 6), ("test", 2)):
            folder = tmp_path / "data" / label / part
            folder.mkdir(parents=True)
            for number in range(count):
                buffer = io.BytesIO()
                np.save(buffer, draw_shape(label, 128, np.random.default_rng([len(part), number])))
                (folder / f"{number}.npy").write_bytes(buffer.getvalue())
    out = tmp_path / "run"
    options = ["--data.val_fraction", "0.3", "--run.epochs", "8", "--run.batch_files", "4", "--run.threads", "1"]
    smaller = ["--reading.num_points", "64", "--optim.warmup_steps", "2", "--run.precision", "fp32"]
    command = ["train", "small/points", "--data", str(tmp_path / "data"), "--out", str(out)]
    assert main([*command, *options, *smaller]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--device", "cpu"]) == 0
    assert "accuracy" in capsys.readouterr().out
    files = [str(tmp_path / "data" / label / "test" / "0.npy") for label in ("plane", "sphere")]
    assert main(["classify", *files, "--model", str(out), "--device", "cpu"]) == 0
    answers = capsys.readouterr().out
    assert "plane" in answers
    assert "sphere" in answers
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["classify", str(picture), "--model", str(out), "--device", "cpu"]) != 0
    assert "picture.png: neither a mesh (OFF, PLY, STL, OBJ) nor points" in capsys.readouterr().err
