"""The benchmark of bulk runs, on a handful of files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'anybyte[bulk]'")

import pyarrow as pa

from anybyte.deploy.bulk.rows import SCHEMA
from benchmarks import bulk, measure
from tests.tiny_model import save_tiny_model


def test_the_speed_of_both_sides_is_told(tmp_path: Path) -> None:
    files = []
    for number in range(6):
        path = tmp_path / "files" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (30 + number))
        files.append(str(path))
    model = save_tiny_model(tmp_path / "model")
    options = argparse.Namespace(model=str(model), sample=3, max_bytes=100, repeats=2, clock="cpu")
    (tmp_path / "work").mkdir()
    told = bulk.speed(files, tmp_path / "work", options)
    assert told["files"] == 3
    assert set(told["files_a_second"]) == {"plain loop", "bulk"}
    assert told["gain"][1] <= told["gain"][0] <= told["gain"][2]


def test_tables_are_compared() -> None:
    rows = [{"path": "a", "label": "x", "score": 0.5}, {"path": "b", "error": "is empty"}]
    one = pa.Table.from_pylist(rows, schema=SCHEMA)
    two = pa.Table.from_pylist([{**rows[0], "score": 0.75}, rows[1]], schema=SCHEMA)
    assert bulk.agreement(one, two) == {"same_answers": True, "scores_apart": 0.25}
    other = pa.Table.from_pylist([{**rows[0], "label": "y"}, rows[1]], schema=SCHEMA)
    assert bulk.agreement(one, other) == {"same_answers": False, "scores_apart": 0.0}


def test_files_are_found_by_other_means(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    assert sorted(bulk.regular_files(str(tmp_path))) == [str(tmp_path / "a/x"), str(tmp_path / "gone")]


@pytest.mark.slow
def test_a_killed_run_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow
    for number in range(2100):
        path = tmp_path / "files" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % number)
    published: list[dict[str, Any]] = []

    def publish(name: str, options: argparse.Namespace, results: dict[str, Any], *tables: Sequence[Any]) -> None:
        published.append(results)
        assert len(tables) == 1

    monkeypatch.setattr(measure, "publish", publish)
    model = save_tiny_model(tmp_path / "model")
    bulk.main([str(tmp_path / "files"), "--model", str(model), "--engines", "local", "--sample", "0", "--threads", "1"])
    (results,) = published
    assert results["local"]["exactly_once"]
    assert (results["local"]["missing"], results["local"]["twice"], results["local"]["rows"]) == (0, 0, 2100)
    assert 1024 <= results["local"]["rows_when_killed"] < 2100
