"""The page of exported models."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'anybyte[export]'")

import results_export

from anybyte.files.sources import open_source
from tests.tiny_model import LABELS, save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files of random bytes: 12 of each class, no two of one length."""
    path, random = tmp_path / "data.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12 * len(LABELS)):
            part = ("train", "test", "test")[number // len(LABELS) % 3]
            name = f"{part}/{LABELS[number % len(LABELS)]}/{number}"
            archive.writestr(name, random.integers(0, 256, 20 + 7 * number, dtype=np.uint8).tobytes())
    return path


def test_the_page_is_what_its_numbers_make(tmp_path: Path) -> None:
    out = tmp_path / "export.md"
    assert results_export.main(["page", "--json", str(ROOT / "docs/results/export.json"), "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == (ROOT / "docs/results/export.md").read_text(encoding="utf-8")


def test_files_of_many_lengths(data: Path) -> None:
    lengths = [len(file) for file in results_export.files_of_many_lengths(open_source(data))]
    assert len(set(lengths)) == len(lengths) == 72
    assert lengths == sorted(lengths)


def test_a_run_is_measured(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow
    run = tmp_path / "run"
    shutil.copytree(save_tiny_model(tmp_path / "tiny"), run / "model")
    recipe = {"path": str(data), "val_fraction": 0.1, "test_fraction": 0.1, "split_seed": 0}
    (run / "recipe.json").write_text(json.dumps({"data": recipe}))
    numbers, page = tmp_path / "export.json", tmp_path / "export.md"
    options = [
        "--model",
        f"tiny={run}",
        "--lengths",
        str(data),
        "--files",
        "30",
        "--timed",
        "2",
        "--json",
        str(numbers),
    ]
    assert results_export.main(["run", *options]) == 0
    found = json.loads(numbers.read_text())
    assert (found["lengths"]["files"], len(set(found["lengths"]["bytes"]))) == (72, 72)
    model = found["models"]["tiny"]
    assert (model["test_files"], model["measured_on"]) == (48, 30)
    forms = model["forms"]
    assert max(forms["float32, table"][key] for key in ("alone", "batches")) <= 1e-4
    assert forms["int8, convolution"]["bytes"] < forms["float32, convolution"]["bytes"]
    assert all(form["milliseconds"] > 0 for form in forms.values())
    assert forms["float32, table"]["accuracy"] == forms["torch"]["accuracy"]
    assert results_export.main(["page", "--json", str(numbers), "--out", str(page)]) == 0
    assert "| **float32, table** |" in page.read_text()
    assert "30 test files of 48, drawn with seed 0" in page.read_text()
