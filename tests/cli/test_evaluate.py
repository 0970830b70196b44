from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from anybyte.cli import main
from anybyte.cli.evaluate import _kind_of_config
from anybyte.config import DataConfig, Recipe
from anybyte.files.sources import open_splits
from anybyte.models.zoo import model_config
from tests.tiny_model import LABELS, save_tiny_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `anybyte evaluate` beside `data/`, 12 files of each of three classes: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, "model")
    rng = random.Random(0)
    for label in LABELS[:3]:
        Path("data", label).mkdir(parents=True)
        for number in range(12):
            Path("data", label, f"{number}.bin").write_bytes(rng.randbytes(rng.randint(10, 400)))

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["evaluate", *args])
        return code, *capsys.readouterr()

    return run


def report(folder: str) -> dict[str, object]:
    return json.loads(Path(folder, "report.json").read_text())


def test_everything_of_a_folder(run: Run) -> None:
    code, out, err = run("model", "--data", "data", "--split", "all", "--out", "out")
    assert (code, err) == (0, "")
    assert "top-1 accuracy" in out
    assert "all 36 files" in out
    assert "classes without files" in out
    assert "wrote out/report.json, .md and .png" in out
    assert report("out")["files"] == 36
    assert report("out")["absent"] == list(LABELS[3:])
    assert sorted(path.name for path in Path("out").iterdir()) == ["report.json", "report.md", "report.png"]


def test_a_run_is_tested_on_what_it_held_out(run: Run) -> None:
    data = DataConfig(path="data", test_fraction=0.25, split_seed=7)
    Path("run").mkdir()
    shutil.move("model", "run/model")
    Path("run/recipe.json").write_text(json.dumps(dataclasses.asdict(Recipe(data=data))))
    held_out = {entry.name for entry in open_splits(data).test.entries}
    for name in ("run", "run/model"):
        code, out, _ = run(name)
        assert code == 0
        assert f"test, {len(held_out)} of 36 files" in out
        mistakes = report("run/evaluation")["mistakes"]
        assert mistakes
        assert {mistake["path"] for mistake in mistakes} <= held_out
    assert run("run", "--split", "val")[0] == 0
    assert report("run/evaluation")["files"] == len(open_splits(data).val.entries)


def test_a_format_is_applied(run: Run) -> None:
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"data/cat/{number}.png")
    for path in Path("data").rglob("*.bin"):
        path.unlink()
    shutil.rmtree("data/dog")
    shutil.rmtree("data/owl")
    assert run("model", "--data", "data", "--split", "all", "--format", "fhwc")[0] == 0
    assert report("evaluation")["bytes"] == 3 * 8 * 8 * 3


def test_bad_input_is_named(run: Run) -> None:
    assert "name labelled files with --data" in run("model")[2]
    assert "nothing" in run("nothing", "--data", "data")[2]
    assert "elsewhere" in run("model", "--data", "elsewhere")[2]
    Path("data/zebra").mkdir()
    Path("data/zebra/1.bin").write_bytes(b"z")
    code, out, err = run("model", "--data", "data", "--split", "all")
    assert (code, out) == (2, "")
    assert "the model does not know: zebra" in err
    assert not Path("evaluation").exists()
    assert run("model", "--data", "data", "--format", "doc")[0] == 2


def test_a_report_that_cannot_be_written_is_refused_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybyte.cli.evaluate.usable_device", lambda name: pytest.fail("it has begun to work"))
    code, out, err = run("model", "--data", "data", "--split", "all", "--out", "data/cat/1.bin")
    assert (code, out) == (2, "")
    assert err.endswith("data/cat/1.bin: Not a directory\n")


def test_an_empty_file_is_named_or_left_out(run: Run) -> None:
    Path("data/cat/empty.bin").touch()
    code, _, err = run("model", "--data", "data", "--split", "all")
    assert code == 2
    assert "empty.bin" in err
    code, out, _ = run("model", "--data", "data", "--split", "all", "--on-error", "skip")
    assert code == 0
    assert "files left out" in out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 3}'])
def test_a_damaged_recipe_is_named(run: Run, text: str) -> None:
    Path("model/recipe.json").write_text(text)
    code, _, err = run("model", "--data", "data")
    assert code == 2
    assert "model/recipe.json is not the recipe of a training run" in err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("byteformer_nano", "classify"),
        ("perceiver_io_bytes_nano", "classify"),
        ("perceiver_io_pixels_nano", "classify"),
        ("perceiver_points_nano", "classify"),
        ("perceiver_io_language_nano", "masked"),
        ("perceiver_io_glue", "glue"),
        ("perceiver_io_flow_nano", "flow"),
        ("perceiver_io_multimodal_nano", "clips"),
        ("perceiver_io_starcraft", "declared"),
    ],
)
def test_a_model_without_a_run_is_known_by_what_it_reads_and_answers(name: str, kind: str) -> None:
    assert _kind_of_config(model_config(name)) == kind


def test_a_run_of_an_unknown_task_is_named(run: Run) -> None:
    Path("model/recipe.json").write_text('{"task": {"kind": "chess"}, "data": {"path": "data"}}')
    assert "is of task 'chess'; known: 'classify'" in run("model")[2]
    Path("model/recipe.json").write_text(json.dumps({"data": {"path": "data"}}))
    assert "--split dev is for GLUE" in run("model", "--split", "dev")[2]
