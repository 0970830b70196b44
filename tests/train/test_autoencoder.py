"""The training loop on clips of made videos: an autoencoder, with labels and without."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte.config import (
    ByteFormerConfig,
    ClassOutputConfig,
    ClipConfig,
    DataConfig,
    DeclaredConfig,
    LabelInputConfig,
    LossConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
)
from anybyte.evaluate.autoencoder import evaluate
from anybyte.evaluate.request import Request
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import ClipPredictor, load_as
from anybyte.tasks import Sample
from anybyte.tasks.declared import Declared
from anybyte.train.jobs import make_job
from anybyte.train.loop import train
from anybyte.train.settings import read_recipe

from ..files.test_video import evenly, make_video
from ..models.starts.test_places import config

READING = ClipConfig(frames=2, frame_rate=25.0, image_size=8, sound=SoundConfig(rate=600, seconds=0.08))


def square(labels: bool = False) -> PerceiverConfig:
    """A model of 2 frames of 8x8 and 48 samples."""
    model = config(cells=(1, 2, 3))
    audio, video = model.inputs
    sound, picture = model.outputs
    inputs = (audio, dataclasses.replace(video, shape=(2, 8, 8)))  # type: ignore[call-arg]
    outputs = (sound, dataclasses.replace(picture, shape=(2, 8, 8)))  # type: ignore[call-arg]
    grids = (model.latent_grids[0], dataclasses.replace(model.latent_grids[1], shape=(1, 2, 2)))
    if labels:
        inputs = (*inputs, LabelInputConfig(num_classes=9, mask_probability=0.5))  # type: ignore[assignment]
        outputs = (*outputs, ClassOutputConfig(name="label", num_classes=9, query_channels=16))  # type: ignore[assignment]
    return dataclasses.replace(model, inputs=inputs, outputs=outputs, latent_grids=grids)


def recipe(folder: Path, data: Path, labels: bool = False, **run: Any) -> Recipe:
    losses = [
        LossConfig(output="image", loss="l1", weight=0.03, target="image", rows=2),
        LossConfig(output="audio", loss="l1", weight=1.0, target="audio", rows=3),
    ]
    if labels:
        losses.append(LossConfig(output="label", loss="cross_entropy", weight=0.5))
    return Recipe(
        name="clips",
        task=DeclaredConfig(losses=tuple(losses)),
        model=square(labels),
        reading=READING,
        data=DataConfig(path=str(data), split_by="time", val_fraction=0.2, test_fraction=0.2, split_gap=0.0, clips=6),
        optim=OptimConfig(learning_rate=3e-3, warmup_steps=2, ema_decay=None),
        run=RunConfig(out=str(folder), **({"epochs": 3, "batch_files": 4} | run)),
    )


def save(path: Path, seed: int) -> None:
    """Two seconds of a colour that drifts, with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = np.random.default_rng(seed).integers(40, 200, 3)
    pixels = [np.full((8, 8, 3), base, np.uint8) + np.uint8(number % 40) for number in range(50)]
    tone = np.sin(np.arange(16_000) / (20 + seed)).astype(np.float32)[:, None] / 4
    make_video(path, evenly(50), tone, pixels=pixels)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, seed in (("run/a.mkv", 0), ("walk/b.mkv", 1)):
        save(folder / "classes" / name, seed)
        save(folder / "flat" / Path(name).name, seed)
    return folder


@pytest.fixture(scope="module")
def labelled(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with labels."""
    out = tmp_path_factory.mktemp("labelled")
    train(recipe(out, videos / "classes", labels=True))
    return out


def test_learns_clips_and_leaves_a_model_that_reads_them(labelled: Path) -> None:
    model, labels = load_pretrained(labelled / "model")
    assert labels == ("run", "walk")
    assert [part.num_classes for part in model.config.inputs if part.kind == "label"] == [2], "those of the data"
    assert read_reading(labelled / "model") == READING
    assert read_recipe(labelled / "recipe.json").model == model.config
    predictor = load_as(ClipPredictor, labelled / "model", device="cpu")
    assert (predictor.rate, predictor.frame_rate) == (600, 25.0)


def test_a_trained_model_autoencodes_a_file(labelled: Path, videos: Path) -> None:
    predictor, steps = load_as(ClipPredictor, labelled / "model", device="cpu"), []
    again = predictor.autoencode(videos / "flat/a.mkv", start=1.0, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1], "outputs in patches have fewer pieces"
    assert again.video.shape == (2, 8, 8, 3)
    assert again.audio.shape == (48,)
    assert again.clip.rate == 600
    assert again.audio_psnr > 0
    assert len(again.top) == 2


def test_validation_counts_guesses_of_a_hidden_label(videos: Path, tmp_path: Path) -> None:
    result = train(recipe(tmp_path, videos / "classes", labels=True, epochs=1))
    assert {"image_psnr", "audio_psnr", "label_accuracy"} <= result.best.keys()
    job = make_job(recipe(tmp_path, videos / "classes", labels=True))
    samples = [Sample(*job.val.read(index, None), np.random.default_rng(0)) for index in range(2)]
    inputs, _ = job.task.collate(samples)
    assert set(inputs["arrays"]) == {"image", "audio"}


def test_equal_seeds_give_equal_weights(videos: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(recipe(tmp_path / name, videos / "flat", epochs=1))
    one, two = (load_pretrained(tmp_path / name / "model")[0].state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_without_classes_the_label_is_left_out(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(recipe(tmp_path, videos / "flat", labels=True, epochs=1))
    assert "has no class folders: the label counts as masked, and is not trained" in capsys.readouterr().err
    assert "label_accuracy" not in result.best
    assert load_pretrained(tmp_path / "model")[1] is None


def test_rows_of_patches_are_compared_with_their_own_pixels(videos: Path, tmp_path: Path) -> None:
    """All rows, in some order, give the loss that the whole gives."""
    plain = recipe(tmp_path, videos / "flat")
    assert isinstance(plain.task, DeclaredConfig)
    job = make_job(plain)
    samples = [Sample(*job.val.read(index, None), np.random.default_rng(0)) for index in range(3)]
    losses = {
        rows: Declared(
            square(),
            DeclaredConfig(
                losses=tuple(
                    dataclasses.replace(loss, rows=rows and {"image": 4, "audio": 4}[loss.output])
                    for loss in plain.task.losses
                )
            ),
        )
        for rows in (None, True)
    }
    torch.manual_seed(0)
    from anybyte.models.perceiver import Perceiver

    model = Perceiver(square()).eval()
    whole, all_rows = (float(task.loss(model, *task.collate(samples))[0].detach()) for task in losses.values())
    assert all_rows == pytest.approx(whole, rel=1e-5)


def test_what_does_not_fit_is_named(videos: Path, tmp_path: Path) -> None:
    plain = recipe(tmp_path, videos / "flat")
    for changes, message in (
        ({"model": ByteFormerConfig()}, "its model must be a Perceiver, not a ByteFormer"),
        (
            {"reading": dataclasses.replace(READING, image_size=9)},
            r"'image' of the model is \(2, 8, 8\), but the reading",
        ),
        (
            {"reading": dataclasses.replace(READING, sound=SoundConfig(rate=700, seconds=0.08))},
            "'audio' of the model has 48 samples",
        ),
        (
            {"model": dataclasses.replace(square(), inputs=square().inputs[1:], latent_grids=())},
            "reads one video and one",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make_job(dataclasses.replace(plain, **changes))


def test_a_silent_video_stops_the_run_or_is_left_out(videos: Path, tmp_path: Path) -> None:
    save(tmp_path / "data/a.mkv", 0)
    make_video(tmp_path / "data/silent.mkv", evenly(50))
    plain = recipe(tmp_path / "run", tmp_path / "data", epochs=1)
    with pytest.raises(ValueError, match=r"silent\.mkv is a video without sound"):
        train(plain)
    train(dataclasses.replace(plain, data=dataclasses.replace(plain.data, on_error="skip")))
    assert (tmp_path / "run/model/model.safetensors").exists()


def test_evaluation_sets_the_model_beside_baselines(labelled: Path, videos: Path) -> None:
    request = Request(name="run", folder=labelled / "model", recipe=read_recipe(labelled / "recipe.json"))
    findings = evaluate(request)
    assert findings.about["part"] == "test, 16 clips of 2 files"
    assert findings.about["numbers"].startswith("160 for video and 160 for sound")
    row = findings.numbers["files"]["run/a.mkv"]
    assert set(row["video"]) == {"model", "mean colour", "bicubic", "bicubic, half the frames"}
    assert row["audio"]["band limit"] > row["audio"]["silence"]
    assert "mean over files" in findings.text
    assert "right class, label hidden:" in findings.text
    single = evaluate(dataclasses.replace(request, data=str(videos / "flat/a.mkv")))
    assert single.about["part"] == "all, 8 clips of 1 files"
    with pytest.raises(ValueError, match="--split dev: clips have the parts train, val, test and all"):
        evaluate(dataclasses.replace(request, split="dev"))
