"""Training under the settings of `Recipe.reading`: it runs, and what it leaves behind reads files in the same way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from anybyte import ByteBatch, load
from anybyte.cli import main
from anybyte.config import AugmentConfig, PrivacyConfig, ReadingConfig, Recipe
from anybyte.evaluate.runner import evaluate
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.sources import open_source
from anybyte.models.byteformer import ByteFormer
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


def write_media(root: Path) -> None:
    """Pictures and sounds of many sizes, in two classes and three parts."""
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for label, brightest in (("dark", 90), ("light", 255)):
            (root / part / label).mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, brightest, (10 + number, 14, 3), dtype=np.uint8)
                (root / part / label / f"{number}.png").write_bytes(encode_image(pixels, "png"))
            samples = rng.uniform(-1, 1, 700).astype(np.float32) * brightest / 255
            (root / part / label / "sound.flac").write_bytes(encode_audio(samples, 8_000, "flac"))


@pytest.mark.parametrize(
    "reading",
    [
        ReadingConfig(),
        ReadingConfig(format="tiff,wav:u8", image_size=8, rate=4_000, seconds=0.1),
        ReadingConfig(format="jpeg:q60,mp3", privacy=PrivacyConfig(order="window", noise=3, permutation=True, seed=5)),
        ReadingConfig(format="fhwc,wav:f32", image_size=9, privacy=PrivacyConfig(camera_keep=0.3, order="random")),
    ],
    ids=["as stored", "sizes", "noise", "camera"],
)
def test_validation_evaluation_and_use_read_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: ReadingConfig
) -> None:
    """What arrives at the model, end to end: from the data set and from the model's folder."""
    write_media(tmp_path / "data")
    arrived: list[bytes] = []
    forward = ByteFormer.forward

    def note(model: ByteFormer, batch: ByteBatch) -> object:
        if not model.training:
            arrived.extend(part.numpy().tobytes() for part in batch.values.split(batch.lengths.tolist()))
        return forward(model, batch)

    monkeypatch.setattr(ByteFormer, "forward", note)
    augment = AugmentConfig(flip=True, erase=0.5, gain_db=6)
    recipe = tiny_recipe(tmp_path / "run", data={"path": str(tmp_path / "data"), "augment": augment}, epochs=1)
    result = train(with_reading(recipe, reading))
    validated = sorted(arrived)
    assert len(set(validated)) == 8

    arrived.clear()
    predictor = load(result.folder, device="cpu")
    predictor.classify(sorted((tmp_path / "data/val").rglob("*.*")))
    assert sorted(arrived) == validated

    arrived.clear()
    files = open_source(tmp_path / "data/val")
    evaluate(predictor.model, files, predictor.labels, predictor.reading)
    assert sorted(arrived) == validated
