"""`anybyte reproduce`: what it runs, what it leaves alone, and what it does when something goes wrong."""

from __future__ import annotations

import dataclasses
import fcntl
import json
from pathlib import Path

import numpy as np
import pytest

from anybyte.cli import main
from anybyte.cli.reproduce import BUSY, is_done, result_path, run_one
from anybyte.files.media import encode_audio, encode_image
from anybyte.recipes.byteformer.tables import TABLES
from anybyte.recipes.small import joint
from anybyte.recipes.small.plan import HEADLINES, Experiment, plan
from anybyte.recipes.small.twins import CLOTHES, DIGITS
from tests.files.builders import write_zip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two of the archives, made: dark and light pictures, quiet and loud sounds."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures, sounds = {}, {}
    for part, count in (("train", 12), ("test", 4)):
        for number in range(count):
            for level, name in enumerate(("low", "high")):
                pixels = rng.integers(120 * level, 120 * level + 130, (28, 28), dtype=np.uint8)
                pictures[f"{part}/{name}/{number}.png"] = encode_image(pixels, "png:0")
                samples = rng.uniform(-0.1, 0.1, 800).astype(np.float32) * (1 + 8 * level)
                sounds[f"{part}/{name}/{number}.wav"] = encode_audio(samples, 8_000, "wav:s16")
    write_zip(folder / CLOTHES, pictures)
    write_zip(folder / joint.CLOTHES, pictures)
    write_zip(folder / DIGITS, sounds)
    return folder


def experiment(row: str, seed: int = 0) -> Experiment:
    [found] = [each for each in plan((seed,)) if each.row == row]
    return found


def short(row: str) -> Experiment:
    return dataclasses.replace(experiment(row), max_steps=2)


def test_every_row_of_the_paper_is_planned_headlines_first() -> None:
    experiments = plan()
    assert [each.row for each in experiments[: len(HEADLINES)]] == list(HEADLINES)
    papers = {each.paper for each in experiments}
    assert {name for table in TABLES for name in table.recipes} <= papers
    assert len({each.key for each in experiments}) == len(experiments)
    seeds = {
        row: {each.seed for each in experiments if each.row == row} for row in ("camera/keep_10", "camera/keep_50")
    }
    assert seeds == {"camera/keep_10": {0, 1, 2}, "camera/keep_50": {0}}


def test_the_list_says_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = result_path(tmp_path, experiment("camera/keep_03"))
    path.parent.mkdir()
    path.write_text("{}")
    assert main(["reproduce", "small", "--only", "camera/keep_0*", "--out", str(tmp_path), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["done   small/camera/keep_03 --run.seed 0", "to do  small/camera/keep_05 --run.seed 0"]


def test_an_experiment_leaves_a_result_and_is_not_run_twice(data: Path, tmp_path: Path) -> None:
    out, each = tmp_path / "out", short("camera/keep_03")
    assert run_one(each, data, out) == 0
    result = json.loads(result_path(out, each).read_text())
    assert result["recipe"] == "small/camera/keep_03"
    assert result["paper"] == "byteformer/imagenet_camera_keep_03"
    assert result["files"] == 8
    assert result["bytes_a_file"] == 24
    assert result["steps"] == 2
    assert 0 <= result["top1"] <= 1
    assert result["parameters"] > 100_000
    assert not list((out / "runs").glob("*/checkpoints"))
    before = result_path(out, each).stat().st_mtime_ns
    assert run_one(each, data, out) == 0
    assert result_path(out, each).stat().st_mtime_ns == before


def test_the_joint_model_is_measured_on_each_of_its_data_sets(data: Path, tmp_path: Path) -> None:
    for row, names in (("both", ["clothes", "digits"]), ("digits", ["digits"])):
        each = short(f"joint/{row}")
        assert run_one(each, data, tmp_path) == 0
        sources = json.loads(result_path(tmp_path, each).read_text())["sources"]
        assert [(part["name"], part["files"]) for part in sources] == [(name, 8) for name in names]
    labels = json.loads((tmp_path / "runs" / "joint.both.seed0" / "model" / "labels.json").read_text())
    assert labels == ["clothes/high", "clothes/low", "digits/high", "digits/low"]


def test_a_result_of_other_settings_is_not_done(data: Path, tmp_path: Path) -> None:
    each = short("camera/keep_03")
    assert run_one(each, data, tmp_path) == 0
    assert is_done(tmp_path, each)
    assert not is_done(tmp_path, experiment("camera/keep_03"))
    longer = Experiment(each.row, each.seed, each.paper, each.sources, max_steps=3)
    assert run_one(longer, data, tmp_path) == 0
    assert json.loads(result_path(tmp_path, longer).read_text())["steps"] == 3


def test_two_processes_do_not_run_the_same_experiment(data: Path, tmp_path: Path) -> None:
    each = short("camera/keep_03")
    folder = tmp_path / "runs" / each.key
    folder.mkdir(parents=True)
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run_one(each, data, tmp_path) == BUSY
    assert not result_path(tmp_path, each).exists()


def test_a_run_that_fails_does_not_stop_the_others(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (data / DIGITS).read_bytes()
    (data / DIGITS).write_bytes(whole[:100])
    out = tmp_path / "out"
    command = ["reproduce", "small", "--only", "wav/uint8_k32", "--only", "camera/keep_03"]
    command += ["--seeds", "0", "--data", str(data), "--out", str(out), "--max-steps", "2", "--jobs", "2"]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "camera.keep_03.seed0: " in printed.out
    assert "failed: wav.uint8_k32.seed0" in printed.err
    assert "not a whole zip archive" in (out / "runs/wav.uint8_k32.seed0/output.txt").read_text()
    (data / DIGITS).write_bytes(whole)
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "1 of 2 experiments are done already" in printed.out
    assert "camera" not in printed.out
    assert (out / "results/wav.uint8_k32.seed0.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "camara/*"], "matches no row: there are encodings/tiff"),
        (["--seeds", "0,x"], "whole numbers with commas between"),
        (["--seeds", "-1"], "whole numbers with commas between"),
        (["--jobs", "two"], "argument --jobs: 'two' is not a whole number, at least 1"),
        (["--max-steps", "0"], "argument --max-steps: '0' is not a whole number, at least 1"),
        (["--data", "nowhere"], "nowhere has no cifar10_tiff.zip, fashion_mnist_2700_png.zip"),
    ],
)
def test_mistakes_are_named(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "small", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1", "{}", '{"model": {}, "data": {}, "reading": {}, "optim": {}}'])
def test_a_recipe_that_cannot_be_read_is_of_another_run(tmp_path: Path, text: str) -> None:
    each = experiment("camera/keep_03")
    for path in (result_path(tmp_path, each), tmp_path / "runs" / each.key / "recipe.json"):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert not is_done(tmp_path, each)
