"""The script that writes the page of sounds: made-up runs, and the page again from the numbers alone."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from anybyte.files.media import encode_audio
from anybyte.recipes import get_recipe
from anybyte.train.settings import recipe_json

ROOT = Path(__file__).parents[2]
SHARES = {"mel": (0.7, 0.6, 0.8, 0.5), "raw": (0.4, 0.5, 0.5, 0.4)}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_audio", ROOT / "scripts" / "results_audio.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["results_audio"] = module
    spec.loader.exec_module(module)
    return module


def make_run(folder: Path, row: str, test: float, part: str = "test, 50 of 200 files") -> None:
    """What a run and its evaluation leave behind, as far as the script reads it."""
    (folder / "model").mkdir(parents=True)
    (folder / "test").mkdir()
    (folder / "recipe.json").write_text(recipe_json(get_recipe(f"small/esc10_{row}")))
    log = [
        {"event": "validation", "step": 700, "epoch": 70.0, "best": True, "minutes": 9.0},
        {"event": "end", "step": 700, "reason": "epochs"},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    (folder / "cost.json").write_text(json.dumps({"processor_seconds": 120.0}))
    save_file({"a": np.zeros((300, 1000))}, folder / "model" / "model.safetensors")
    classes = [{"label": "dog", "recall": 1.0}, {"label": "rain", "recall": 2 * test - 1}]
    report = {"top1": test, "files": 50, "about": {"part": part}, "classes": classes}
    (folder / "test" / "report.json").write_text(json.dumps(report))


@pytest.fixture
def runs(tmp_path: Path, script: ModuleType) -> Path:
    for row, shares in SHARES.items():
        for fold, share in zip(script.FOLDS, shares, strict=True):
            make_run(script.run_folder(tmp_path, row, fold), row, share)
    return tmp_path


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory, script: ModuleType) -> Path:
    """Noise and tones, which any model of their bands tells apart."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for fold in script.FOLDS:
        with zipfile.ZipFile(script.archive(folder, fold), "w") as archive:
            for number in range(6):
                noise = rng.normal(0, 0.1, 16_000).astype(np.float32)
                tone = (0.3 * np.sin(np.arange(16_000) * (0.3 + 0.01 * number))).astype(np.float32)
                for name, samples in (("noise", noise), ("tone", tone)):
                    part = "test" if number < 2 else "train"
                    archive.writestr(f"{part}/{name}/{number}.wav", encode_audio(samples, 16_000, "wav:s16"))
    return folder


def test_the_page_is_written_from_the_runs_and_again_from_the_numbers(
    script: ModuleType, runs: Path, data: Path, tmp_path: Path
) -> None:
    trials = tmp_path / "trials.json"
    trial = {"reads": "mel", "settings": "patches of 0.02 s", "seconds": 40, "loss": 1.42, "accuracy": 0.5}
    trials.write_text(json.dumps([trial]))
    numbers, page, again = tmp_path / "audio.json", tmp_path / "audio.md", tmp_path / "again.md"
    made = ["--runs", str(runs), "--data", str(data), "--trials", str(trials)]
    assert script.main(["page", *made, "--json", str(numbers), "--out", str(page)]) == 0
    assert script.main(["page", "--json", str(numbers), "--out", str(again)]) == 0
    text = page.read_text()
    assert again.read_text() == text
    # Mean and spread over folds, and the mean without the third.
    assert "| 70% | 60% | 80% | 50% | **65.0%** ± 12.9% | 60.0% |" in text
    assert "| 40% | 50% | 50% | 40% | **45.0%** ± 5.8% | 43.3% |" in text
    assert "| 100% | 100% | 100% | 100% | **100.0%** ± 0.0% | 100.0% |" in text  # the reference, on what is easy
    assert "| 0.30 M | 2.0 |" in text
    assert "Mel before raw samples: 65.0% and 45.0%" in text
    assert "below logistic regression (100.0%)" in text
    assert "| rain | 30% | -10% |" in text
    assert "| mel | patches of 0.02 s | 40 | 1.42 | 50% |" in text


def test_a_run_that_is_not_finished_or_measured_elsewhere_is_named(
    script: ModuleType, runs: Path, data: Path, tmp_path: Path
) -> None:
    folder = script.run_folder(runs, "mel", 2)
    log = folder / "log.jsonl"
    whole = log.read_text()
    log.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="esc10_mel_fold2: the run is not finished"):
        script.gather(runs, data, None)
    log.write_text(whole)
    report = folder / "test" / "report.json"
    report.write_text(report.read_text().replace("test, 50", "train, 150"))
    with pytest.raises(ValueError, match="measured on 'train, 150 of 200 files', not on the test part"):
        script.gather(runs, data, None)
