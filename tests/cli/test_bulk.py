"""`anybyte bulk`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'anybyte[bulk]'")

import pyarrow.parquet as pq

from anybyte.cli import main
from tests.tiny_model import save_tiny_model


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A command line that has all it needs."""
    for name in ("a", "b", "c"):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_bytes(name.encode() * 40)
    (tmp_path / "files" / "empty").touch()
    model = save_tiny_model(tmp_path / "model")
    out = tmp_path / "out.parquet"
    return ["bulk", str(tmp_path / "files"), "--model", str(model), "--out", str(out), "--device", "cpu"]


def test_it_writes_a_table(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--top", "2", "--threshold", "0.999999"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/out.parquet: 4 rows, 1 of 4 new ones with an error\n"
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [Path(row["path"]).name for row in rows] == ["a", "b", "c", "empty"]
    assert [row["label"] for row in rows] == ["unknown"] * 3 + [None]
    assert [len(row["top"] or ()) for row in rows] == [2, 2, 2, 0]
    assert main([*command, "--top", "2", "--threshold", "0.999999"]) == 0
    assert capsys.readouterr().out.startswith("4 rows were there from earlier runs\n")


def test_mistakes_are_one_line_and_code_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for options, words in (
        (["--workers", "0"], "workers is 0, expected at least 1"),
        (["--threshold", "2"], "threshold is 2.0, expected a probability in [0, 1]"),
        (["--top", "0"], "top is 0, expected at least 1"),
        (["nowhere"], "nowhere: No such file or directory"),
        (["nonsense://bucket"], "nonsense://bucket cannot be opened"),
    ):
        assert main([*command, *options]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bulk", "--help"]) == 0
    assert "anybyte bulk photos/ --model runs/digits --out preds.parquet" in capsys.readouterr().out
