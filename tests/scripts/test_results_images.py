"""The script that writes the page of pictures: made-up runs, and the page again from the numbers alone."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from anybyte.recipes import get_recipe
from anybyte.train.settings import recipe_json

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_images", ROOT / "scripts" / "results_images.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["results_images"] = module
    spec.loader.exec_module(module)
    return module


def make_run(folder: Path, row: str, test: float, part: str = "test, 10,000 of 60,000 files", **optim: Any) -> Path:
    """What a run and its evaluation leave behind, as far as the script reads it."""
    (folder / "model").mkdir(parents=True)
    (folder / "test").mkdir()
    settings = json.loads(recipe_json(get_recipe(f"small/images/{row}")))
    settings["optim"] |= optim
    (folder / "recipe.json").write_text(json.dumps(settings))
    log = [
        {"event": "validation", "step": 300, "epoch": 0.5, "accuracy": 0.30, "best": True, "minutes": 4.0},
        {"event": "validation", "step": 600, "epoch": 0.9, "accuracy": 0.25, "best": False, "minutes": 8.5},
        {"event": "end", "step": 600, "reason": "max_steps"},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    save_file({"a": np.zeros((100, 200)), "b": np.zeros(50)}, folder / "model" / "model.safetensors")
    (folder / "model" / "README.md").write_text(
        "| | |\n|---|---|\n| hardware | 1 thread of Abacus (2 cores) |\n| made with | anybyte 0.1, torch 2.9 |\n"
    )
    (folder / "cost.json").write_text(json.dumps({"processor_seconds": 480.0}))
    report = {"top1": test, "files": 10_000, "about": {"part": part}}
    (folder / "test" / "report.json").write_text(json.dumps(report))
    return folder


@pytest.fixture
def runs(script: ModuleType, tmp_path: Path) -> Path:
    for number, row in enumerate(script.ROWS):
        make_run(tmp_path / "runs" / row, row, 0.5 + number / 100)
    return tmp_path / "runs"


def test_the_page_says_what_the_runs_say(script: ModuleType, runs: Path, tmp_path: Path) -> None:
    trial = make_run(tmp_path / "trial", "conv", 0.1, learning_rate=0.004, optimizer="lamb")
    numbers, page = tmp_path / "docs" / "images.json", tmp_path / "docs" / "images.md"
    numbers.parent.mkdir()
    options = ["--json", str(numbers), "--out", str(page)]
    assert script.main(["page", "--runs", str(runs), "--trials", str(trial), *options]) == 0
    text = page.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `small/images/conv`"))
    assert "| 0.02 M | 600 | 0.9 | 8.0 | 30.0% | **52.0%** ± 0.5% |" in row
    assert text.index("small/images/byteformer") < text.index("small/images/fourier"), "the best comes first"
    assert "the ByteFormer makes 54.0% and the Perceiver IO 53.0%: 1.0 points apart" in text
    assert "1 thread of Abacus (2 cores), torch 2.9" in text
    assert "| `small/images/conv` | 600 | 0.004 | `optim.optimizer` lamb" in text
    assert str(tmp_path) not in text

    page.unlink()
    assert script.main(["page", *options]) == 0
    assert page.read_text() == text, "the numbers alone make the same page"


def test_a_run_that_was_measured_on_other_files_is_refused(script: ModuleType, runs: Path) -> None:
    make_run(runs / "other", "conv", 0.6, part="val, 2,500 of 60,000 files")
    with pytest.raises(ValueError, match="measured on 'val, 2,500 of 60,000 files', not on the test part"):
        script.numbers(runs / "other")


def test_an_unfinished_run_is_refused(script: ModuleType, runs: Path) -> None:
    (runs / "conv" / "log.jsonl").write_text("")
    with pytest.raises(ValueError, match="conv: the run is not finished"):
        script.gather(runs, [])


def test_a_trial_of_the_recipe_itself_differs_in_nothing(script: ModuleType, tmp_path: Path) -> None:
    found = script.trial(make_run(tmp_path / "trial", "fourier", 0.1))
    assert found["differs"] == {}


def test_what_is_done_is_not_done_again(
    script: ModuleType, runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: called.append(command))
    script.main(["run", "--data", "a.zip", "--runs", str(runs)])
    assert not called
    (runs / "conv" / "test" / "report.json").unlink()
    script.main(["run", "--data", "a.zip", "--runs", str(runs)])
    assert [command[3] for command in called] == ["evaluate"]
    called.clear()
    (tmp_path / "fresh" / "learned").mkdir(parents=True)
    script.main(["run", "--data", "a.zip", "--runs", str(tmp_path / "fresh"), "--rows", "learned"])
    assert [command[3:5] for command in called] == [
        ["train", "small/images/learned"],
        ["evaluate", str(tmp_path / "fresh/learned")],
    ]
