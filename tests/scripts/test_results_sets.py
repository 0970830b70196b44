"""The page of sets: from made numbers, and from the folders of runs."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from anybyte.files.made.entities import SCENES, UNTOLD, EntityScenes

ROOT = Path(__file__).parents[2]
RUN: dict[str, Any] = {
    "recipe": "small/points",
    "data": "made:shapes",
    "parameters": 123_456,
    "seed": 7,
    "steps": 1_000,
    "examples": 64_000,
    "minutes": 5.5,
    "hardware": "1 thread of Abacus",
    "validation": 0.93,
    "test": 0.92,
    "test_examples": 4_000,
    "achievable": 0.96,
    "baselines": {"one class for all": 0.1},
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_sets", ROOT / "scripts" / "results_sets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["results_sets"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_of_what_is_kept(script: ModuleType, tmp_path: Path) -> None:
    kept, out = tmp_path / "sets.json", tmp_path / "sets.md"
    kept.write_text(json.dumps({"small/points": RUN}))
    script.main(["--kept", str(kept), "--out", str(out)])
    page = out.read_text()
    assert (
        "| point clouds | `made:shapes` | 123,456 | 64,000 examples | 5.5 | 93.0% | **92.0%** of 4,000 clouds" in page
    )
    assert "| 96.0% | 95.8% |" in page
    assert "Seed 7, 1,000 steps, 5.5 minutes on 1 thread of Abacus." in page
    assert "entities" not in page.partition("\n")[2].partition("sets.json")[0].replace("made:entities", "")
    kept.write_text(json.dumps({"small/points": RUN | {"test": 0.5}}))
    script.main(["--kept", str(kept), "--out", str(out)])
    assert "52.1% (below 95%)" in out.read_text()


def test_a_run_is_taken_in(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(script.COUNTS, "test", 30)
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "evaluation").mkdir()
    recipe = {"name": "small/entities", "data": {"path": "made:entities"}, "run": {"seed": 3, "batch_files": 64}}
    (run / "recipe.json").write_text(json.dumps(recipe))
    rows = [
        {
            "event": "validation",
            "step": step,
            "epoch": step / 10,
            "target_accuracy": accuracy,
            "minutes": step / 10,
            "best": True,
        }
        for step, accuracy in ((10, 0.5), (20, 0.75))
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "evaluation" / "report.json").write_text(json.dumps({"metrics": {"target_accuracy": 0.7}}))
    (run / "model" / "README.md").write_text("| hardware | 1 thread of Abacus |\n")
    save_file({"a": np.zeros((3, 4), np.float32)}, run / "model" / "model.safetensors")
    script.main([str(run), "--kept", str(tmp_path / "sets.json"), "--out", str(tmp_path / "sets.md")])
    kept = json.loads((tmp_path / "sets.json").read_text())["small/entities"]
    assert {key: kept[key] for key in ("parameters", "examples", "minutes", "validation", "test", "achievable")} == {
        "parameters": 12,
        "examples": 200_000,
        "minutes": 2.0,
        "validation": 0.75,
        "test": 0.7,
        "achievable": 0.98,
    }
    assert kept["baselines"]["the rule itself"] > 0.9 > kept["baselines"]["the nearest enemy of any kind"]
    (run / "recipe.json").write_text(json.dumps(recipe | {"name": "small/other"}))
    with pytest.raises(ValueError, match="is a run of small/other, not of small/entities or small/points"):
        script.read_run(run)


def test_the_rule_is_told_from_what_a_model_reads(script: ModuleType) -> None:
    scenes = EntityScenes(noise=0.0)
    assert SCENES["entities"].num_channels == scenes.num_channels
    for index in range(20):
        entities, targets = scenes.scene("test", index)
        found = script.rules(entities, scenes, np.random.default_rng(0))["the rule itself"]
        assert found.tolist() == targets[targets != UNTOLD].tolist()


def test_without_numbers_there_is_no_page(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        script.main(["--kept", str(tmp_path / "none.json"), "--out", str(tmp_path / "sets.md")])
