"""A Perceiver of pixels, from picture files to answers: trained, resumed, evaluated and used by the ordinary verbs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte import load
from anybyte.cli import main
from anybyte.config import (
    AttentionConfig,
    AugmentConfig,
    ClassOutputConfig,
    FourierPositionsConfig,
    ImageInputConfig,
    OptimConfig,
    PerceiverConfig,
    PixelsConfig,
    ReadingConfig,
    Recipe,
    RunConfig,
)
from anybyte.evaluate.runner import evaluate
from anybyte.files.media import encode_image
from anybyte.files.sources import Splits
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import Failure
from anybyte.reading import make_reading
from anybyte.tasks import Sample
from anybyte.tasks.classify import Classify, MixedLabel
from anybyte.train.data import Files, Keyed, planned_sizes
from anybyte.train.loop import Loop, train

from .standins import CLASSES, MemorySource, Untouchable, final_tensors

FORMATS = ("png", "tiff", "jpeg", "bmp")
PIXELS = PixelsConfig(image_size=8, fit="resize")


def pictures(count: int, seed: int) -> list[tuple[str, int, bytes]]:
    """Pictures of many sizes and formats, grey and in colour, whose brightness is their class (with some overlap)."""
    rng = np.random.default_rng(seed)
    files = []
    for number in range(count):
        label, shape = number % 3, rng.integers(8, 20, 2)
        pixels = rng.integers(70 * label, 70 * label + 110, (*shape, 3)[: 2 + number % 2], dtype=np.uint8)
        files.append((f"{CLASSES[label]}/{seed}-{number}", label, encode_image(pixels, FORMATS[number % 4])))
    return files


def splits() -> Splits:
    return Splits(CLASSES, MemorySource(pictures(48, 1)), MemorySource(pictures(21, 2)), test=Untouchable())


def recipe(out: Path, reading: PixelsConfig | ReadingConfig = PIXELS, augment: AugmentConfig | None = None) -> Recipe:
    model = PerceiverConfig(
        inputs=(ImageInputConfig(shape=(8, 8), positions=FourierPositionsConfig(num_bands=2, max_resolution=(8, 8))),),
        outputs=(ClassOutputConfig(query_channels=16),),
        num_latents=4,
        latent_dim=16,
        num_blocks=1,
        num_layers=1,
        process=AttentionConfig(num_heads=2),
    )
    made = Recipe(
        name="tiny",
        model=model,
        reading=reading,
        optim=OptimConfig(learning_rate=5e-3, warmup_steps=5),
        run=RunConfig(out=str(out), epochs=4, batch_files=8, threads=1, checkpoint_every=5),
    )
    return dataclasses.replace(made, data=dataclasses.replace(made.data, augment=augment or AugmentConfig()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe(tmp_path_factory.mktemp("run")), splits()).folder


def test_what_was_trained_is_what_is_evaluated_and_used(tmp_path: Path) -> None:
    result = train(recipe(tmp_path), splits())
    assert result.best["accuracy"] > 0.5
    assert read_reading(result.folder) == PIXELS
    card = (result.folder / "README.md").read_text()
    assert "reads the pixels of pictures, 8 x 8 and says which of 3 classes" in card
    predictor = load(result.folder, device="cpu")
    measured = evaluate(predictor.model, splits().val, predictor.labels, predictor.reading)
    assert measured.top1 == pytest.approx(result.best["accuracy"])
    assert measured.bytes == 21 * 8 * 8 * 3 * 4
    files = [data for _, _, data in pictures(21, 2)]
    answers = predictor.classify(files)
    right = [answer.label == CLASSES[number % 3] for number, answer in enumerate(answers)]
    assert np.mean(right) == pytest.approx(measured.top1)


def test_a_pictures_answer_is_its_own_in_any_batch(folder: Path) -> None:
    predictor = load(folder, device="cpu")
    files = [data for _, _, data in pictures(12, 5)]
    together = predictor.classify(files, top=3)
    predictor.batch_bytes = 1
    for answer, alone in zip(together, predictor.classify(files, top=3), strict=True):
        assert answer.label == alone.label
        assert answer.score == pytest.approx(alone.score, abs=1e-6)


def test_what_is_no_picture_fails_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    good = pictures(1, 3)[0][2]
    first, second, third = load(folder, device="cpu").stream([good, tmp_path / "note.png", good])
    assert isinstance(second, Failure)
    assert "note.png: not a picture in a known format" in str(second.error)
    assert first == dataclasses.replace(third)


def test_a_model_of_pixels_needs_to_say_how_it_reads(folder: Path, tmp_path: Path) -> None:
    model, labels = load_pretrained(folder)
    model.save_pretrained(tmp_path / "silent", labels=labels)
    with pytest.raises(ValueError, match=r"which does not classify files: no reading\.json says how"):
        load(tmp_path / "silent")
    model.save_pretrained(tmp_path / "wrong", labels=labels, reading=PixelsConfig(image_size=9))
    with pytest.raises(ValueError, match=r"wrong: input 'image' of the model \(image\) is made for 8 x 8 x 3"):
        load(tmp_path / "wrong")


def test_the_command_line_classifies_and_evaluates(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, _, data in pictures(9, 4):
        path = tmp_path / "data" / name.replace("4-", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    paths = sorted(str(path) for path in (tmp_path / "data").glob("*/*"))
    assert main(["classify", *paths, "--model", str(folder), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["path"] for answer in answers] == paths
    assert main(["evaluate", str(folder), "--data", "data", "--split", "all", "--out", "report"]) == 0
    assert "the pixels of pictures, 8 x 8" in capsys.readouterr().out
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert report["files"] == 9
    assert main(["evaluate", str(folder), "--data", "data", "--split", "all", "--format", "tiff"]) == 2
    assert "reads pixels, not bytes: there is no format to choose" in capsys.readouterr().err


def test_keys_are_for_models_of_bytes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, secret = tmp_path / "my.key", tmp_path / "secret"
    assert main(["privacy", "keygen", str(key)]) == 0
    capsys.readouterr()
    for verb in (["rekey", str(folder), str(secret), "--key", str(key)], ["fingerprint", str(folder)]):
        assert main(["privacy", *verb]) == 2
        assert "reads pixels: keys and noise are for models of bytes" in capsys.readouterr().err
    assert not secret.exists()


def test_random_changes_resume_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    augment = AugmentConfig(crop_size=8, flip=True, mixup=0.5, cutmix=0.5, mixup_alpha=0.2)
    whole = train(recipe(tmp_path / "whole", augment=augment), splits())
    step = Loop._step

    def stop_at_nine(loop: Loop, *args: Any) -> int:
        if loop.state.step == 9:  # mid-epoch, and not at a checkpoint
            raise KeyboardInterrupt
        return step(loop, *args)

    monkeypatch.setattr(Loop, "_step", stop_at_nine)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(tmp_path / "halves", augment=augment), splits())
    monkeypatch.undo()
    halves = train(recipe(tmp_path / "halves", augment=augment), splits())
    first, second = (final_tensors(tmp_path / name) for name in ("whole", "halves"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert halves.best["loss"] == whole.best["loss"]


def test_a_recipe_whose_parts_do_not_fit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for reading, message in (
        (PixelsConfig(image_size=9), "is made for 8 x 8 x 3, but the reading .pixels. gives 9 x 9 x 3"),
        (ReadingConfig(), "input 'image' of the model reads image, but reading.kind is 'bytes'"),
    ):
        with pytest.raises(ValueError, match=message):
            train(recipe(tmp_path, reading), splits())


def test_a_training_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    files = [*pictures(12, 1), ("low/broken.png", 0, b"not a picture")]
    broken = Splits(CLASSES, MemorySource(files), MemorySource(pictures(6, 2)), test=Untouchable())
    with pytest.raises(ValueError, match=r"low/broken\.png: not a picture"):
        train(recipe(tmp_path), broken)


def test_batches_are_planned_by_the_size_of_the_arrays() -> None:
    source = MemorySource([*pictures(3, 0), ("low/broken", 0, b"x")])
    assert planned_sizes(source, make_reading(PIXELS)).tolist() == [8 * 8 * 3 * 4] * 4


def test_half_is_mixed_and_half_is_pasted() -> None:
    augment = AugmentConfig(mixup=0.5, mixup_alpha=0.2, cutmix=0.5)
    files = Files(MemorySource(pictures(24, 0)), make_reading(PIXELS, augment))
    keyed = Keyed(files, seed=0)
    samples = [keyed[epoch, index][1] for epoch in range(8) for index in range(24)]
    labels = [sample.label for sample in samples if isinstance(sample, Sample)]
    assert all(isinstance(label, MixedLabel) for label in labels)
    areas = [label.weight * 64 for label in labels]
    pasted = [abs(area - round(area)) < 1e-6 for area in areas]
    assert 0.35 < np.mean(pasted) < 0.75, "weights of pasted pictures are whole shares of 64 pixels"


def test_a_batch_of_pixels_is_one_tensor() -> None:
    reading = make_reading(PIXELS)
    samples = [Sample(reading(data, name), label, np.random.default_rng(0)) for name, label, data in pictures(3, 0)]
    batch, labels = Classify(CLASSES).collate(samples)
    assert batch.shape == (3, 8, 8, 3)
    assert labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(batch[1].numpy(), samples[1].data)
