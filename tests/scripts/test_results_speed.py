"""The page of speed: the newest result of each case, and what was to be reached beside it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = {
    "processor": "Abacus",
    "cores": 2,
    "threads": 1,
    "load_average": 0.5,
    "torch": "2.13",
    "anybyte": "abc",
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("results_speed", ROOT / "scripts/results_speed.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "results_speed", module)
    spec.loader.exec_module(module)
    return module


def keep(folder: Path, claim: str, date: str, results: dict[str, Any]) -> None:
    settings = {"clock": "cpu", "repeats": 3}
    document = {"benchmark": claim, "date": date, "environment": MACHINE, "settings": settings, "results": results}
    (folder / f"{claim}-{date}.json").write_text(json.dumps(document))


def ratio(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def forms(speed: float, memory: float) -> dict[str, Any]:
    plain = {"speedup": ratio(1), "memory_ratio": 1.0, "memory_growth_bytes": 10_000_000}
    ours = {"speedup": ratio(speed), "memory_ratio": memory, "memory_growth_bytes": 10_000_000 * memory}
    return {"title": "a case", "sides": {"plain fp32": plain, "anybyte fp32": ours}}


def test_the_newest_of_each_case_is_shown(script: ModuleType, tmp_path: Path) -> None:
    keep(tmp_path, "latency", "2026-01-01", {"tiff": forms(2.5, 0.6), "wav": forms(1.9, 0.4)})
    keep(tmp_path, "latency", "2026-01-02", {"tiff": forms(3.2, 0.4)})
    keep(tmp_path, "long_file", "2026-01-02", {"classify": {}})  # has no section
    sides = {side: {"bytes_per_second": 5000, "speed": ratio(0.95)} for side in ("equal", "mixed")}
    keep(tmp_path, "mixed_lengths", "2026-01-02", {"bytes": 3, "sides": sides})
    script.main(["--results", str(tmp_path), "--out", str(tmp_path / "speed.md")])
    page = (tmp_path / "speed.md").read_text()
    assert "| a case | anybyte fp32 | 3.20 (3.10-3.30) | 0.40 of 10 MB | 3, memory 0.5 | yes |" in page
    assert "| a case | anybyte fp32 | 1.90 (1.80-2.00) | 0.40 of 10 MB | 1.8 | yes |" in page
    assert "2.50" not in page
    assert "| mixed | 5 | 0.95 (0.85-1.05) | yes |" in page
    assert "wav: 2026-01-01, Abacus with 2 cores, 1 thread, processor time, 3 rounds, load 0.5" in page


@pytest.mark.parametrize(("speed", "memory"), [(2.9, 0.4), (3.2, 0.6)])
def test_what_is_not_reached_says_so(script: ModuleType, tmp_path: Path, speed: float, memory: float) -> None:
    keep(tmp_path, "latency", "2026-01-01", {"tiff": forms(speed, memory)})
    assert "| 3, memory 0.5 | no |" in script.page(script.newest(tmp_path))


def test_the_page_is_that_of_the_results_that_are_kept(script: ModuleType) -> None:
    assert (ROOT / "docs/results/speed.md").read_text() == script.page(script.newest(ROOT / "benchmarks/results"))


def test_without_results_there_is_no_page(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        script.main(["--results", str(tmp_path)])
