from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from anybyte.cli import main
from anybyte.tasks.arrays import Arrays
from anybyte.train.loop import train
from tests.train.standins import make_arrays, tiny_declared


def save(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays.inputs, **arrays.targets)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and beside it its arrays: train, val and test."""
    root = tmp_path_factory.mktemp("declared")
    for seed, part in enumerate(("train", "val", "test"), start=1):
        save(root / "arrays" / f"{part}.npz", make_arrays(48 if part == "train" else 24, seed))
    train(tiny_declared(root / "run", data=str(root / "arrays")))
    return root / "run"


def test_on_its_test_part(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    assert "test, 24 examples" in out
    assert "side_accuracy" in out
    report = json.loads((run / "evaluation" / "report.json").read_text())
    assert report["part"] == "test"
    assert report["metrics"]["side_accuracy"] > 0.7
    assert {"loss", "again_mae", "again_psnr", "again_r2"} <= report["metrics"].keys()


def test_a_model_alone_knows_its_schema(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run / "model", "model")
    save(Path("arrays/val.npz"), make_arrays(10, 5))
    assert main(["evaluate", "model", "--data", "arrays"]) == 0
    assert "val, 10 examples" in capsys.readouterr().out
    assert main(["evaluate", "model"]) == 2
    assert "name some with --data" in capsys.readouterr().err
    assert main(["evaluate", "model", "--data", "arrays", "--split", "all"]) == 2
    assert "--split all is for files" in capsys.readouterr().err
    assert main(["evaluate", "model", "--data", "arrays", "--split", "train"]) == 2
    assert "no train.npz" in capsys.readouterr().err
