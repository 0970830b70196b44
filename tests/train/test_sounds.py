"""Models of sounds, and of videos with sound: trained on files, and used on files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybyte import load
from anybyte.cli import main
from anybyte.config import (
    AttentionConfig,
    AudioInputConfig,
    ClassOutputConfig,
    ClipConfig,
    DataConfig,
    FourierPositionsConfig,
    MelInputConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
    VideoInputConfig,
)
from anybyte.files.media import encode_audio, encode_image
from anybyte.predictor.files import Predictor
from anybyte.train.loop import train
from tests.reading.videos import RATE, moving_square, tone, video_bytes

CLASSES = {"high": (1500.0, False), "low": (300.0, True)}
"""Class -> the pitch of its sound, and whether its square goes down."""
MEL = SoundConfig(rate=RATE, seconds=0.5, form="mel", num_mels=16, window=256, hop=160)
MEL_INPUT = MelInputConfig(
    shape=(25, 16), patch=(5, 4), positions=FourierPositionsConfig(num_bands=2, max_resolution=(5, 4))
)
WAVE_INPUT = AudioInputConfig(
    num_samples=4000, patch=80, positions=FourierPositionsConfig(num_bands=2, max_resolution=(50,))
)
VIDEO_INPUT = VideoInputConfig(
    shape=(4, 24, 24),
    patch=(4, 6, 6),
    positions=FourierPositionsConfig(num_bands=2, max_resolution=(1, 4, 4)),
    drop_probability=0.5,
)


def recipe(data: Path, *inputs: MelInputConfig | AudioInputConfig | VideoInputConfig, **output: bool) -> Recipe:
    return Recipe(
        model=PerceiverConfig(
            inputs=inputs,
            outputs=(ClassOutputConfig(num_classes=2, query_channels=16, **output),),
            num_latents=4,
            latent_dim=16,
            num_blocks=1,
            num_layers=1,
            process=AttentionConfig(num_heads=2),
            decode=AttentionConfig(query_residual=False),
        ),
        data=DataConfig(path=str(data), val_fraction=0.2, test_fraction=0.2),
        reading=MEL,
        optim=OptimConfig(learning_rate=1e-2, warmup_steps=5, ema_decay=None, label_smoothing=0.0, weight_decay=0.0),
        run=RunConfig(out=str(data.parent / "run"), epochs=30, batch_files=6, batch_bytes=2**24, evaluate_every=10),
    )


def sounds(folder: Path, count: int = 5) -> Path:
    """A folder of WAV files, a class in each folder."""
    for name, (hertz, _) in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            samples = tone(hertz * (1 + 0.02 * number), 0.4 + 0.1 * number, phase=number)[:, 0]
            (folder / name / f"{number}.wav").write_bytes(encode_audio(samples, RATE, "wav:s16"))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model of videos with sound, which has learned to do without either; beside it `data/`."""
    folder = tmp_path_factory.mktemp("clips")
    for name, (hertz, down) in CLASSES.items():
        (folder / "data" / name).mkdir(parents=True)
        for number in range(5):
            pictures = moving_square(6, down, start=number)
            data = video_bytes(folder, pictures, tone(hertz * (1 + 0.02 * number), 0.75, phase=number))
            (folder / "data" / name / f"{number}.mkv").write_bytes(data)
    settings = recipe(folder / "data", replace(MEL_INPUT, drop_probability=0.3), VIDEO_INPUT)
    reading = ClipConfig(frames=4, frame_rate=8.0, image_size=24, sound=MEL, missing="absent", views=2)
    train(replace(settings, reading=reading, run=replace(settings.run, epochs=50, evaluate_every=50)))
    return folder


@pytest.mark.parametrize("form", ["mel", "samples"])
def test_sounds_are_told_apart(tmp_path: Path, form: str) -> None:
    settings = recipe(sounds(tmp_path / "data"), MEL_INPUT if form == "mel" else WAVE_INPUT)
    reading = MEL if form == "mel" else SoundConfig(rate=RATE, seconds=0.5, level="equal")
    result = train(replace(settings, reading=reading))
    assert result.best["accuracy"] == 1
    predictor = load(result.folder, device="cpu")
    assert isinstance(predictor, Predictor)
    assert predictor.reading.config == reading
    # Another format, rate and number of channels, and none of the files that it knows.
    for name, (hertz, _) in CLASSES.items():
        angle = 2 * np.pi * hertz * 1.01 * np.arange(22_050) / 44_100
        stereo = np.stack([0.3 * np.sin(angle)] * 2, 1).astype(np.float32)
        (answer,) = predictor.classify([encode_audio(stereo, 44_100, "flac")])
        assert answer.label == name


def test_a_run_without_validation_keeps_the_newest_weights(tmp_path: Path) -> None:
    settings = recipe(sounds(tmp_path / "data", 3), MEL_INPUT)
    settings = replace(settings, data=replace(settings.data, val_fraction=0.0), run=replace(settings.run, epochs=2))
    result = train(settings)
    assert set(result.best) == {"step", "epoch"}
    assert "There were no validation files" in (result.folder / "README.md").read_text()
    assert main(["evaluate", str(tmp_path / "run"), "--split", "test", "--out", str(tmp_path / "report")]) == 0


def test_several_classes_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sounds of two pitches, of either, of both or of none: each is a question of its own."""
    rows = ["path,label,split"]
    for number in range(24):
        names = [name for place, name in enumerate(CLASSES) if (number >> place) % 2 or number % 4 == 0]
        both = sum(tone(CLASSES[name][0] * (1 + 0.005 * number), 0.5, 0.3, number) for name in names)
        (tmp_path / f"{number}.wav").write_bytes(encode_audio(np.asarray(both)[:, 0], RATE, "wav:s16"))
        rows.append(f"{number}.wav,{';'.join(names)},{'test' if number > 19 else 'val' if number > 15 else 'train'}")
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    settings = recipe(tmp_path / "data.csv", MEL_INPUT, several=True)
    result = train(settings)
    assert result.best["map"] == 1
    assert main(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "report")]) == 0
    assert "mean average precision  1.0000" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["map"] == 1
    assert [name for name, *_ in report["classes"]] == ["high", "low"]
    predictor = load(result.folder, device="cpu")
    assert isinstance(predictor, Predictor)
    (answer,) = predictor.classify([tmp_path / "20.wav"], top=2)  # a sound of both
    assert min(score for _, score in answer.top) > 0.5
    with pytest.raises(ValueError, match=r"label_smoothing is 0.1; with several classes at once it must be 0"):
        train(replace(settings, optim=replace(settings.optim, label_smoothing=0.1)))


def test_clips_are_told_apart_by_what_there_is(clips: Path, tmp_path: Path) -> None:
    predictor = load(clips / "run", device="cpu")
    assert isinstance(predictor, Predictor)
    for name, (hertz, down) in CLASSES.items():
        pictures, sound = moving_square(7, down, start=1), tone(hertz * 1.01, 0.9)
        whole, silent = (video_bytes(tmp_path, pictures, heard) for heard in (sound, None))
        answers = predictor.classify([whole, silent, encode_audio(sound[:, 0], RATE, "wav:s16")])
        assert [answer.label for answer in answers] == [name] * 3
        alone = [predictor.classify([item])[0] for item in (whole, silent)]
        assert [answer.score for answer in answers[:2]] == pytest.approx([answer.score for answer in alone], abs=1e-5)


def test_clips_are_evaluated(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(clips / "run"), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "4 frames of videos, 24 x 24, and the 16 mel bands of sounds" in out
    assert json.loads((tmp_path / "report.json").read_text())["top1"] == 1


def test_a_clip_without_sound_is_refused_in_training(clips: Path, tmp_path: Path) -> None:
    settings = recipe(tmp_path / "data", replace(MEL_INPUT, drop_probability=0.3), VIDEO_INPUT)
    reading = ClipConfig(frames=4, frame_rate=8.0, image_size=24, sound=MEL, missing="absent")
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            data = (clips / "data" / name / f"{number}.mkv").read_bytes()
            (tmp_path / "data" / name / f"{number}.mkv").write_bytes(data)
    for path in (tmp_path / "data" / "low").iterdir():
        path.write_bytes(video_bytes(tmp_path, moving_square(6, down=True), None))
    with pytest.raises(ValueError, match=r"low/\d.mkv (is a video without sound|has no audio)"):
        train(replace(settings, reading=reading))


def test_what_cannot_be_heard_is_named(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode_image(np.zeros((4, 4), np.uint8), "png"))
    assert main(["classify", str(picture), "--model", str(clips / "run")]) == 2
    assert "picture.png is a picture, but the model reads videos with sound" in capsys.readouterr().err


def test_a_model_that_reads_something_else_is_named(tmp_path: Path) -> None:
    settings = recipe(sounds(tmp_path / "data", 3), WAVE_INPUT)
    with pytest.raises(ValueError, match=r"input 'audio' of the model reads audio, .* 'sound'"):
        train(settings)
    short = replace(settings, reading=SoundConfig(rate=RATE, seconds=0.25))
    with pytest.raises(ValueError, match=r"input 'audio' .* is made for 4000, but the reading \(sound\) gives 2000"):
        train(short)
