"""`anybyte tokenizer`, and `fill` with a model of pieces, as a newcomer calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybyte.cli import main

pytest.importorskip("sentencepiece")


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.models.test_pieces import some_text

    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_bytes(some_text())
    return tmp_path


def test_pieces_of_a_text(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "train", "texts/", "--vocabulary", "320", "-o", "own.model"]) == 0
    assert capsys.readouterr().out.startswith("own.model: 320 pieces of ")
    assert main(["tokenizer", "show", "own.model", "quick fox ☃"]) == 0
    shown = capsys.readouterr().out.strip()
    (texts / "run/model").mkdir(parents=True)
    (texts / "own.model").rename(texts / "run/model/spm.model")
    assert main(["tokenizer", "show", "run", "quick fox ☃"]) == 0
    assert capsys.readouterr().out.strip() == shown
    assert shown.replace(" ", "").replace("▁", " ") == "quick fox \\xe2\\x98\\x83"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "texts/", "--vocabulary", "9000"], "no 9000 pieces can be learnt from this text"),
        (["train", "texts/", "--vocabulary", "99999999999"], "--vocabulary is 99999999999, expected 300"),
        (["train", "texts/", "--held-out", "nan"], "--held-out is nan, expected a share"),
        (
            ["train", "valid.txt", "-o", "o.model"],
            "valid.txt: no text to learn from: files whose names say valid or test",
        ),
        (["show", "run", "text"], "run/model has no spm.model: its model does not read pieces"),
        (["train", "missing/"], "missing: No such file or directory"),
        (["train", "texts/", "-o", "there/spm.model"], "there: No such directory"),
        (["train", "texts/a.txt+"], "texts/a.txt+: expected a text on both sides of each +"),
        (["show", "spm.model", "text"], "spm.model: no such SentencePiece model; make one: anybyte tokenizer train"),
        (["show", "texts/a.txt", "text"], "texts/a.txt is not a SentencePiece model"),
    ],
)
def test_mistakes_are_one_line(
    texts: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (texts / "valid.txt").write_text("held out " * 99)
    (texts / "run/model").mkdir(parents=True)
    assert main(["tokenizer", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "--help"]) == 0
    assert "anybyte tokenizer train novels/ -o spm.model" in capsys.readouterr().out
    assert main(["tokenizer"]) == 2


def test_fill_refuses_no_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", "a ____", "--pieces", "0"]) == 2
    assert capsys.readouterr().err == "anybyte: --pieces is 0, expected at least 1\n"
