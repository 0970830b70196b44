"""The script that writes the page of GLUE: made-up runs, and the page again from the numbers alone."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anybyte.recipes import get_recipe
from anybyte.train.settings import recipe_json

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_glue", ROOT / "scripts" / "results_glue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["results_glue"] = module
    spec.loader.exec_module(module)
    return module


def sst2(accuracy: float) -> dict[str, Any]:
    return {"part": "dev", "examples": 872, "accuracy": accuracy, "baseline": {"accuracy": 0.509}}


def mrpc(accuracy: float) -> dict[str, Any]:
    baseline = {"f1": 0.799, "accuracy": 0.665}
    return {"part": "test", "examples": 1725, "f1": 0.81, "accuracy": accuracy, "baseline": baseline}


def make_run(folder: Path, recipe: str, start: Path | None, tasks: dict[str, Any]) -> None:
    """What a run and its evaluation leave behind, as far as the script reads it."""
    (folder / "evaluation").mkdir(parents=True)
    settings = json.loads(recipe_json(get_recipe(recipe)))
    settings["run"]["init_from"] = start and str(start)
    (folder / "recipe.json").write_text(json.dumps(settings))
    log = [
        {"event": "train", "step": 10, "loss": 1.0},
        {"event": "validation", "step": 20, "average": 0.61, "minutes": 1.25},
        {"event": "validation", "step": 40, "average": 0.59, "minutes": 2.5},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    (folder / "cost.json").write_text('{"train_minutes": 2.0, "evaluate_minutes": 0.5}')
    (folder / "evaluation" / "report.json").write_text(json.dumps({"average": 0.6, "tasks": tasks}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    language = tmp_path / "language"
    (language / "model").mkdir(parents=True)
    (language / "model" / "README.md").write_text("| parameters | 1,027,343 |\n")
    (language / "recipe.json").write_text('{"name": "small/language_bytes"}')
    row = {"event": "validation", "step": 9, "bits_per_byte": 2.345, "minutes": 30.2}
    (language / "log.jsonl").write_text(json.dumps(row) + "\n")
    folder = tmp_path / "glue"
    make_run(folder / "single_sst2", "small/glue/single/sst2", language, {"sst2": sst2(0.7)})
    make_run(folder / "single_mrpc", "small/glue/single/mrpc", language, {"mrpc": mrpc(0.66)})
    make_run(folder / "queries", "small/glue/queries", language, {"sst2": sst2(0.75), "mrpc": mrpc(0.7)})
    make_run(folder / "random", "small/glue/queries", None, {"sst2": sst2(0.5), "mrpc": mrpc(0.665)})
    return folder


def test_the_page(script: ModuleType, runs: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "glue.md", tmp_path / "glue.json"
    assert script.main(["page", "--runs", str(runs), "--json", str(numbers), "--out", str(out)]) == 0
    page = out.read_text()
    assert "1,027,343 parameters" in page
    assert "(`small/language_bytes`, 30 minutes, 2.35 bits per masked byte" in page
    columns = "one model a task | a query a task | a query a task, from random weights"
    assert f"| task | part | metric | most frequent | {columns} |" in page
    assert "| SST-2 | dev, 872 | accuracy | 50.9 | **70.0** | **75.0** | 50.0 |" in page
    assert "| MRPC | test, 1,725 | accuracy | 66.5 | 66.0 | **70.0** | 66.5 |" in page
    # (75 + (81 + 70) / 2) / 2
    assert "| average | | | 62.1 | 71.8 | 75.2 | 61.9 |" in page
    assert (
        "- MRPC (accuracy): a query a task; not above: one model a task, a query a task, from random weights." in page
    )
    assert "| queries | `small/glue/queries` | 0 | 1 | 40 | 2.5 | 2.5 | 61.0 |" in page
    missing = "single_cola, single_stsb, single_qnli, single_rte, shared, tokens"
    assert f"Still to be run: {missing}." in page
    assert str(tmp_path) not in page + numbers.read_text()
    out.unlink()
    assert script.main(["page", "--json", str(numbers), "--out", str(out)]) == 0
    assert out.read_text() == page, "from the numbers alone"


def test_runs_from_different_models_do_not_belong_together(script: ModuleType, runs: Path, tmp_path: Path) -> None:
    make_run(runs / "shared", "small/glue/shared", tmp_path / "other", {"sst2": sst2(0.7)})
    with pytest.raises(ValueError, match="start from different models"):
        script.gather(runs)
    with pytest.raises(ValueError, match="holds no run"):
        script.gather(tmp_path / "empty")


def test_the_commands(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(script, "anybyte", lambda *args: called.append(args))
    options = ["--data", "glue", "--language", "lm", "--runs", str(tmp_path), "--rows", "single_rte", "random"]
    assert script.main(["run", *options]) == 0
    rte, random = tmp_path / "single_rte", tmp_path / "random"
    assert called == [
        ("train", "small/glue/single/rte", "--data", "glue", "--out", str(rte), "--run.threads", "1",
         "--run.init_from", "lm"),
        ("evaluate", str(rte)),
        ("train", "small/glue/queries", "--data", "glue", "--out", str(random), "--run.threads", "1"),
        ("evaluate", str(random)),
    ]  # fmt: skip
    assert json.loads((rte / "cost.json").read_text()).keys() == {"train_minutes", "evaluate_minutes"}
