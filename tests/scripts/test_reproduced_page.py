"""The script that sets the small twins beside the paper."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anybyte.files.media import Image, decode
from anybyte.recipes import get_recipe
from anybyte.recipes.small.twins import TWINS


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "reproduced_page.py"
    spec = importlib.util.spec_from_file_location("reproduced_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_result(folder: Path, recipe: str, seed: int, top1: float, **fields: Any) -> None:
    settings = get_recipe(recipe)
    result = {
        "recipe": recipe,
        "seed": seed,
        "top1": top1,
        "files": 10_000,
        "bytes_a_file": 78.4,
        "minutes": 1.5,
        "steps": settings.run.max_steps or 100,
        "hardware": "1 thread of a machine",
        "parameters": 250_186,
        "kernel_size": 4,
        "privacy": {"camera_keep": settings.reading.privacy.camera_keep, "noise": None},
        "sources": [],
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{recipe.replace('/', '.')}.{seed}.json").write_text(json.dumps(result | fields))


def table_row(page: str, name: str) -> list[str]:
    [line] = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_our_numbers_stand_beside_the_papers(script: ModuleType, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for seed, top1 in enumerate((0.76, 0.77, 0.78)):
        write_result(results, "small/camera/keep_10", seed, top1)
    write_result(results, "small/camera/keep_05", 0, 0.6949)
    parts = {"clothes": 0.75, "digits": 0.5}
    write_result(
        results, "small/joint/both", 0, 0.6, sources=[{"name": name, "top1": top1} for name, top1 in parts.items()]
    )
    (tmp_path / "notes.md").write_text("## What carries over\n\nMuch.\n")
    out = tmp_path / "docs" / "page.md"
    assert script.main([str(results), "--out", str(out), "--notes", str(tmp_path / "notes.md")]) == 0
    page = out.read_text()
    row = table_row(page, "small/camera/keep_10")
    assert row == ["`small/camera/keep_10`", "**77.0 ± 1.0**", "71.35", "78", "4", "128", "1.5", "0, 1, 2"]
    assert table_row(page, "small/camera/keep_05")[1:3] == ["**69.5**", "68.10*"]
    assert table_row(page, "small/camera/keep_03")[1:4] == ["not run", "-", "-"]
    assert "## What carries over\n\nMuch." in page
    assert "| one model for both (20 classes) | 75.0 | 50.0 |" in page
    assert all(f"`{twin.name}`" in page for twin in TWINS)
    assert "5 runs, 8 minutes" in page
    for name in script.PLOTS:
        assert f"pictures/{name}.png" in page
        picture = decode((out.parent / "pictures" / f"{name}.png").read_bytes())
        assert isinstance(picture, Image)
        assert picture.pixels.std() > 10


def test_points_are_by_value_with_all_seeds(script: ModuleType, tmp_path: Path) -> None:
    for seed, (recipe, top1) in enumerate([("keep_75", 0.8), ("keep_03", 0.4), ("keep_03", 0.5)]):
        write_result(tmp_path / "r", f"small/camera/{recipe}", seed, top1)
    results = script.read_results(tmp_path / "r")
    points = script.points(results, "camera", lambda result: result["privacy"]["camera_keep"])
    assert [(point.x, point.values) for point in points] == [(0.03, (40.0, 50.0)), (0.75, (80.0,))]


def test_runs_that_were_cut_short_are_refused(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path, "small/camera/keep_03", 0, 0.5, steps=2)
    assert script.main([str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert "is of 2 steps, and the recipe is of 900: run it again" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize("content", ['{"recipe": "small/camera/keep_03"}', "[1]", "not JSON"])
def test_other_files_are_refused_by_name(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "x.json").write_text(content)
    assert script.main([str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert "x.json is not a result of `anybyte reproduce`" in capsys.readouterr().err


def test_an_empty_folder_is_named(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert f"{tmp_path} holds no results" in capsys.readouterr().err
