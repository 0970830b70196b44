"""Training under the settings of `Recipe.reading`: it runs, and what it leaves behind reads files in the same way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from anybyte import load
from anybyte.cli import main
from anybyte.config import PrivacyConfig, ReadingConfig, Recipe
from anybyte.evaluate.runner import evaluate
from anybyte.privacy.keys import create_key
from anybyte.train.loop import train
from tests.train.standins import make_splits, tiny_recipe


def with_reading(recipe: Recipe, config: ReadingConfig) -> Recipe:
    return dataclasses.replace(recipe, reading=config)


@pytest.mark.parametrize(
    "privacy",
    [
        PrivacyConfig(noise=5, permutation=True),
        PrivacyConfig(order="random", camera_keep=0.5),
        PrivacyConfig(order="window", noise=2, seed=4),
    ],
)
def test_what_was_trained_is_what_is_evaluated(tmp_path: Path, privacy: PrivacyConfig) -> None:
    splits = make_splits()
    result = train(with_reading(tiny_recipe(tmp_path), ReadingConfig(privacy=privacy)), splits)
    predictor = load(result.folder, device="cpu")
    assert predictor.reading.config.privacy == privacy
    measured = evaluate(predictor.model, splits.val, predictor.labels, predictor.reading)
    assert measured.top1 == pytest.approx(result.best["accuracy"])
    assert evaluate(predictor.model, splits.val, predictor.labels).confusion != measured.confusion


def test_training_with_a_key(tmp_path: Path) -> None:
    key, splits = create_key(tmp_path / "my.key"), make_splits()
    privacy = PrivacyConfig(permutation=True, key=str(tmp_path / "my.key"))
    recipe = with_reading(tiny_recipe(tmp_path / "run"), ReadingConfig(privacy=privacy))
    result = train(recipe, splits)
    for path in result.folder.iterdir():
        content = path.read_bytes()
        assert b"my.key" not in content
        assert key.table not in content
        assert key.table.hex().encode() not in content
    assert json.loads((result.folder / "reading.json").read_text())["privacy"]["fingerprint"] == key.fingerprint
    predictor = load(result.folder, key=key, device="cpu")
    measured = evaluate(predictor.model, splits.val, predictor.labels, predictor.reading)
    assert measured.top1 == pytest.approx(result.best["accuracy"])

    (tmp_path / "my.key").rename(tmp_path / "moved.key")
    moved = dataclasses.replace(privacy, key=str(tmp_path / "moved.key"))
    train(with_reading(recipe, ReadingConfig(privacy=moved)), splits)  # the same key elsewhere: the same run
    create_key(tmp_path / "my.key")
    with pytest.raises(ValueError, match=r"reading\.privacy\.fingerprint was"):
        train(recipe, splits)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label, byte in (("dark", 20), ("light", 200)):
        Path("data", label).mkdir(parents=True)
        for number in range(20):
            Path("data", label, f"{number}.bin").write_bytes(bytes([byte + number]) * (60 + number))
    small = ["--model.dim", "16", "--model.num_heads", "2", "--model.depth", "1", "--model.merge_after"]
    options = ["--reading.privacy.noise", "20", "--reading.privacy.permutation", "--run.max_steps", "3"]
    assert main(["train", "folder", "--data", "data", "--out", "run", *options, *small]) == 0
    assert main(["evaluate", "run"]) == 0
    assert main(["classify", "data/dark/1.bin", "--model", "run"]) == 0
    assert load("run").reading.config.privacy == PrivacyConfig(noise=20, permutation=True)
    capsys.readouterr()
    assert main(["train", "folder", "--data", "data", "--out", "other", "--reading.privacy.noise", "300"]) == 2
    assert "reading.privacy.noise is 300" in capsys.readouterr().err
    assert not Path("other/model").exists()
