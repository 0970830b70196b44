"""One row a file, exactly once, whatever happens to the files and to the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anybyte import create_model, load
from anybyte.deploy.bulk import engines, run
from anybyte.deploy.bulk.engines import blocks_of, engine_of, in_this_process
from anybyte.deploy.bulk.parts import Folder
from anybyte.deploy.bulk.rows import SCHEMA, Job
from anybyte.deploy.bulk.run import run_bulk
from anybyte.deploy.bulk.sources import Entry, Source, list_entries, open_sources

ERRORS = {
    "empty": "is empty: there is nothing to classify",
    "gone": "No such file or directory",
    "long": "1,001 bytes are more than the limit of 1,000 (--max-bytes)",
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files a block, so that a small tree has several."""
    monkeypatch.setattr(run, "blocks_of", lambda entries: blocks_of(entries, files=3))


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def interrupt(after: int, tree: Path, out: Path, job: Job, restart: bool = False) -> None:
    """A run that ends by Ctrl-C after some blocks."""

    def engine(job: Job, sources: Sequence[Source], blocks: Iterable[list[Entry]]) -> engines.Results:
        for done, result in enumerate(in_this_process(job, sources, blocks)):
            if done == after:
                raise KeyboardInterrupt
            yield result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "engine_of", lambda name, workers: engine)
        with pytest.raises(KeyboardInterrupt):
            run_bulk([str(tree)], str(out), job, restart=restart)


def test_a_row_a_file(tree: Path, job: Job, model: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out.parquet", []
    done = run_bulk([str(tree)], str(out), job, progress=seen.append)
    table = pq.read_table(out)
    assert table.schema.remove_metadata() == SCHEMA
    assert (done.rows, done.errors, done.earlier) == (16, 3, 0)
    assert seen == [3, 6, 9, 12, 15, 16]
    rows = {Path(row["path"]).name: row for row in table.to_pylist()}
    assert len(rows) == 16
    assert {name: row["error"] for name, row in rows.items() if row["error"] is not None} == ERRORS
    predictor = load(model)
    for name, row in rows.items():
        if name in ERRORS:
            assert (row["label"], row["score"], row["top"]) == (None, None, None)
            continue
        (expected,) = predictor.classify([row["path"]], top=2)
        assert row["label"] == expected.label
        assert row["score"] == pytest.approx(expected.score, abs=1e-5)
        assert [(one["label"], round(one["score"], 4)) for one in row["top"]] == [
            (label, round(score, 4)) for label, score in expected.top
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "tree"]


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_an_interrupted_run_goes_on_where_it_stopped(after: int, tree: Path, job: Job, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    run_bulk([str(tree)], str(whole), job)
    interrupt(after, tree, out, job)
    assert not out.exists()
    done = run_bulk([str(tree)], str(out), job)
    assert (done.rows, done.earlier) == (16, 3 * after)
    assert rows_of(out) == rows_of(whole)


_KILLED = """
import os, signal, sys
from anybyte.deploy.bulk import parts
from anybyte.cli import main
append = parts.Parts.append
def append_and_die(self, table, place):
    append(self, table, place)
    if len(self._names) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
parts.Parts.append = append_and_die
main()
"""
"""The command line in a process that is killed once two parts are written."""


def test_a_killed_process_leaves_a_beginning(tree: Path, model: Path, tmp_path: Path) -> None:
    for number in range(1500):
        (tree / "2" / f"more{number:04d}").write_bytes(b"%d" % number)
    out = tmp_path / "out.parquet"
    command = [sys.executable, "-c", _KILLED, "bulk", str(tree), "--model", str(model), "--out", str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    done = run_bulk([str(tree)], str(out), Job(str(model)))
    assert (done.rows, done.earlier) == (1516, 2 * engines.BLOCK_FILES)
    expected = [os.path.join(folder, name) for folder, _, names in os.walk(tree) for name in names]
    assert Counter(row["path"] for row in rows_of(out)) == Counter(expected)


def test_what_is_done_is_not_done_again(tree: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.parquet"
    run_bulk([str(tree)], str(out), job)
    before = out.stat().st_mtime_ns
    monkeypatch.setattr(run, "engine_of", lambda name, workers: None)  # nothing is to be computed
    done = run_bulk([str(tree)], str(out), job)
    assert (done.rows, done.errors, done.earlier) == (16, 0, 16)
    assert out.stat().st_mtime_ns == before


@pytest.mark.parametrize("after", [0, 2])
def test_an_interrupted_restart_goes_on_as_such(after: int, tree: Path, job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run_bulk([str(tree)], str(out), job)
    for number in range(4):
        (tree / "0" / f"new{number}").write_bytes(b"new")
    interrupt(after, tree, out, job, restart=True)
    done = run_bulk([str(tree)], str(out), job)
    assert (done.rows, done.earlier) == (20, 3 * after)
    assert sum("/new" in row["path"] for row in rows_of(out)) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "tree"]


def test_a_restart_in_a_store_replaces_the_table(tree: Path, job: Job) -> None:
    filesystem = fsspec.filesystem("memory")
    try:
        for _ in range(2):
            done = run_bulk([str(tree)], "memory://bucket/out.parquet", job, restart=True)
            assert (done.rows, done.earlier) == (16, 0)
        assert filesystem.ls("/bucket", detail=False) == ["/bucket/out.parquet"]
    finally:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]


def test_parts_that_no_run_claims_are_not_taken(tree: Path, job: Job, tmp_path: Path) -> None:
    """Whoever removes parts removes run.json first, and may be killed before the rest."""
    out = tmp_path / "out.parquet"
    interrupt(4, tree, out, job)
    (tmp_path / "out.parquet.parts" / "run.json").unlink()
    interrupt(1, tree, out, job)
    done = run_bulk([str(tree)], str(out), job)
    assert (done.rows, done.earlier) == (16, 3)


def test_other_settings_are_another_run(tree: Path, job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    interrupt(2, tree, out, job)
    with pytest.raises(ValueError, match=r"out.parquet.parts is of a run with top=2, this one has 1"):
        run_bulk([str(tree)], str(out), replace(job, top=1))
    done = run_bulk([str(tree)], str(out), replace(job, top=1), restart=True)
    assert (done.rows, done.earlier) == (16, 0)
    with pytest.raises(ValueError, match=r"out.parquet is of a run with top=1, this one has 2"):
        run_bulk([str(tree)], str(out), job)
    other = tmp_path / "other"
    shape = {"num_classes": 2, "dim": 16, "num_heads": 2, "depth": 1, "merge_after": ()}
    create_model("byteformer_nano", **shape).save_pretrained(other, labels=["a", "b"])
    with pytest.raises(ValueError, match="is of a run with model="):
        run_bulk([str(tree)], str(out), replace(job, model=str(other), top=1))


def test_a_file_in_the_place_of_the_table_is_kept(tree: Path, job: Job, tmp_path: Path) -> None:
    for content in (b"not parquet at all, but dear to somebody", None):
        out = tmp_path / "out.parquet"
        if content is None:
            pq.write_table(pa.table({"x": [1]}), out)
        else:
            out.write_bytes(content)
        before = out.read_bytes()
        with pytest.raises(ValueError, match="exists, and is not a table of `anybyte bulk`"):
            run_bulk([str(tree)], str(out), job)
        with pytest.raises(ValueError, match="exists, and is not a table of `anybyte bulk`"):
            run_bulk([str(tree)], str(out), job, restart=True)
        assert out.read_bytes() == before


def test_the_table_is_not_among_the_files(tree: Path, job: Job) -> None:
    run_bulk([str(tree)], str(tree / "out.parquet"), job)
    assert len(rows_of(tree / "out.parquet")) == 16


def test_two_runs_do_not_write_one_table(tree: Path, job: Job, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"

    def another(rows: int) -> None:
        with pytest.raises(ValueError, match="is being written by another run"):
            run_bulk([str(tree)], str(out), job)

    for restart in (False, True):  # the second time, there is a table and then there are parts
        assert run_bulk([str(tree)], str(out), job, restart=restart, progress=another).rows == 16
    interrupt(2, tree, out, job, restart=True)
    done = run_bulk([str(tree)], str(out), job, restart=True, progress=another)
    assert (done.rows, done.earlier) == (16, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "tree"]


def test_a_run_that_is_refused_leaves_the_lock_alone(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "out.parquet"))
    with folder.locked():
        for _ in range(2):  # the second try would find the folder gone if the first had removed it
            with pytest.raises(ValueError, match="is being written by another run"), folder.locked():
                pass
        folder.remove_parts()
        with pytest.raises(ValueError, match="is being written by another run"), folder.locked():
            pass
    with folder.locked():
        assert Path(folder.parts).is_dir()
    assert list(tmp_path.iterdir()) == []


def test_files_and_table_in_a_store(tree: Path, job: Job, tmp_path: Path) -> None:
    (tree / "gone").unlink()
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(tree), "/bucket/files", recursive=True)
    try:
        done = run_bulk(["memory://bucket/files"], "memory://bucket/out.parquet", job)
        assert (done.rows, done.errors) == (15, 2)
        with filesystem.open("/bucket/out.parquet", "rb") as stream:
            table = pq.read_table(stream)
        run_bulk([str(tree)], str(tmp_path / "local.parquet"), job)
        local = {row["path"].removeprefix(str(tree)): row for row in rows_of(tmp_path / "local.parquet")}
        for row in table.to_pylist():
            name = row["path"].removeprefix("memory:///bucket/files")
            assert {**row, "path": ""} == {**local[name], "path": ""}
        assert filesystem.ls("/bucket", detail=False) == ["/bucket/files", "/bucket/out.parquet"]
    finally:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]


def test_a_damaged_archive_member_is_a_row(tree: Path, job: Job, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good", b"x" * 50)
        archive.writestr("bad", b"recognisable content" * 5)
    data = path.read_bytes().replace(b"recognisable content", b"recognisable c0ntent")
    path.write_bytes(data)
    run_bulk([str(path)], str(tmp_path / "out.parquet"), job)
    rows = {Path(row["path"]).name: row["error"] for row in rows_of(tmp_path / "out.parquet")}
    assert rows["good"] is None
    assert rows["bad"].startswith("BadZipFile: Bad CRC-32")


def test_a_file_that_goes_after_it_was_listed_is_a_row(tree: Path, job: Job) -> None:
    sources = open_sources([str(tree)])
    entries = list(list_entries(sources, None))
    Path(entries[0].path).unlink()
    ((_, table),) = list(in_this_process(job, sources, [entries]))
    assert table["error"].to_pylist()[0] == "No such file or directory"
    assert table["path"].to_pylist() == [entry.path for entry in entries]


def test_several_processes_give_the_same_rows(tree: Path, job: Job, tmp_path: Path) -> None:
    run_bulk([str(tree)], str(tmp_path / "one.parquet"), job)
    run_bulk([str(tree)], str(tmp_path / "two.parquet"), job, workers=2)
    for one, two in zip(rows_of(tmp_path / "one.parquet"), rows_of(tmp_path / "two.parquet"), strict=True):
        assert (one["path"], one["label"], one["error"]) == (two["path"], two["label"], two["error"])
        assert one["score"] == pytest.approx(two["score"], abs=1e-5)


@pytest.mark.slow
def test_ray_gives_the_same_rows_and_finishes_what_another_engine_began(tree: Path, job: Job, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'anybyte[ray]'")
    run_bulk([str(tree)], str(tmp_path / "one.parquet"), job)
    interrupt(2, tree, tmp_path / "two.parquet", job)
    command = [sys.executable, "-m", "anybyte", "bulk", str(tree), "--model", job.model, "--engine", "ray"]
    command += ["--out", str(tmp_path / "two.parquet"), "--top", "2", "--max-bytes", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 rows were there from earlier runs" in done.stdout
    for one, two in zip(rows_of(tmp_path / "one.parquet"), rows_of(tmp_path / "two.parquet"), strict=True):
        assert (one["path"], one["label"], one["error"]) == (two["path"], two["label"], two["error"])
        assert one["score"] == pytest.approx(two["score"], abs=1e-5)


def test_blocks_are_full_by_number_or_by_bytes() -> None:
    entries = [Entry(str(number), 0, (number,), size) for number, size in enumerate([1, 1, 1, 1, 50, 60, 1, 1])]
    sizes = [[entry.size for entry in block] for block in blocks_of(iter(entries), files=3, size=100)]
    assert sizes == [[1, 1, 1], [1, 50, 60], [1, 1]]


def test_memory_does_not_grow_with_the_listing() -> None:
    """Blocks are drawn from the listing when they are needed, not ahead."""
    drawn = 0

    def listing() -> Iterable[Entry]:
        nonlocal drawn
        for number in range(10_000):
            drawn += 1
            yield Entry(str(number), 0, (number,), 1)

    next(blocks_of(listing(), files=10))
    assert drawn == 10


def test_mistakes_are_named(tree: Path, job: Job, tmp_path: Path) -> None:
    out = str(tmp_path / "out.parquet")
    with pytest.raises(ValueError, match="workers is 0, expected at least 1"):
        engine_of("local", 0)
    with pytest.raises(ValueError, match="engine is 'spark', expected 'local' or 'ray'"):
        engine_of("spark", 1)
    with pytest.raises(ValueError, match="top is 0"):
        run_bulk([str(tree)], out, replace(job, top=0))
    with pytest.raises(ValueError, match="max_bytes is 0"):
        run_bulk([str(tree)], out, replace(job, max_bytes=0))
    with pytest.raises(ValueError, match="no model 'nothing'"):
        run_bulk([str(tree)], out, replace(job, model="nothing"))
    with pytest.raises(ValueError, match="is not a key file"):
        run_bulk([str(tree)], out, replace(job, key=str(tree / "1.txt")))
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]  # a run that never began leaves nothing
