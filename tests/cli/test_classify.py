from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anybyte import load
from anybyte.cli import main
from anybyte.cli.classify import parse_size
from tests.tiny_model import LABELS, save_tiny_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `anybyte classify` in a folder of three files: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name, data in (("a.bin", b"abc" * 50), ("b.bin", bytes(range(256))), ("c.bin", b"\0")):
        Path(name).write_bytes(data)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["classify", "--model", str(model), *args])
        return code, *capsys.readouterr()

    return run


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    buffer = io.BytesIO(data)
    buffer.name = "<stdin>"  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_in_the_order_given(run: Run, model: Path) -> None:
    code, out, err = run("b.bin", "a.bin", "c.bin")
    answers = load(model).classify(["b.bin", "a.bin", "c.bin"])
    assert out.splitlines() == [f"{answer.path}: {answer.label} ({answer.score:.3f})" for answer in answers]
    assert (code, err) == (0, "")


def test_options_may_stand_anywhere(run: Run) -> None:
    assert run("a.bin", "--top", "2", "b.bin")[:2] == run("--top", "2", "a.bin", "b.bin")[:2]


def test_top_lists_labels_with_their_probabilities(run: Run) -> None:
    _, out, _ = run("a.bin", "--top", "3")
    assert out.count(",") == 2
    assert out.startswith("a.bin: ")
    assert run("a.bin", "--top", "99")[1].count(",") == len(LABELS) - 1


def test_below_the_threshold_is_unknown_and_code_1(run: Run) -> None:
    code, out, _ = run("a.bin", "b.bin", "--threshold", "1")
    assert code == 1
    assert all(": unknown (" in line for line in out.splitlines())
    assert run("a.bin", "--threshold", "0")[0] == 0
    assert run("a.bin", "--threshold", "1", "--top", "2")[1].startswith("a.bin: unknown [")


def test_a_class_may_be_named_unknown(run: Run, tmp_path: Path) -> None:
    labels = ("unknown", *(f"unknown {number}" for number in range(1, len(LABELS))))
    model = str(save_tiny_model(tmp_path / "model", labels))
    for name in map(str, range(256)):
        Path(name).write_bytes(bytes([int(name)]) * 50)
    names = [answer.path for answer in load(model).classify(list(map(str, range(256)))) if answer.label == "unknown"]
    assert names
    code, out, _ = run("--model", model, *map(str, names))
    assert code == 0
    assert out.startswith(f"{names[0]}: unknown (")
    assert run("--model", model, "--threshold", "1", *map(str, names))[0] == 1


def test_json_is_one_array(run: Run, model: Path) -> None:
    code, out, _ = run("a.bin", "b.bin", "--json", "--top", "2")
    answers = load(model).classify(["a.bin", "b.bin"], top=2)
    assert code == 0
    assert json.loads(out) == [
        {
            "path": answer.path,
            "label": answer.label,
            "score": answer.score,
            "top": [{"label": label, "score": score} for label, score in answer.top],
        }
        for answer in answers
    ]


def test_jsonl_is_an_object_a_line(run: Run) -> None:
    _, out, _ = run("a.bin", "b.bin", "--jsonl")
    assert rows(out) == json.loads(run("a.bin", "b.bin", "--json")[1])


def test_csv_has_a_column_a_fact(run: Run) -> None:
    code, out, _ = run("a.bin", "missing", "--csv", "--top", "2")
    good, bad = csv.DictReader(io.StringIO(out))
    [answer] = rows(run("a.bin", "--jsonl", "--top", "2")[1])
    assert (good["path"], good["label"], float(good["score"])) == ("a.bin", answer["label"], answer["score"])
    assert (good["label_2"], float(good["score_2"])) == (answer["top"][1]["label"], answer["top"][1]["score"])
    assert (bad["path"], bad["label"], bad["error"]) == ("missing", "", "missing: No such file or directory")
    assert code == 2


def test_a_table_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("anybyte.cli.answers._BLOCK", 2)
    _, out, _ = run("a.bin", "b.bin", "c.bin", "missing", "--top", "2")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["file", "label", "score", "top"]
    assert [line[0] for line in lines[1:]] == ["a.bin", "b.bin", "c.bin"]
    assert len({line.index(" 0.") for line in out.splitlines()[1:]}) == 1


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"abc" * 50)
    code, out, _ = run("-", "a.bin")
    first, second = out.splitlines()
    assert code == 0
    assert first.removeprefix("-: ") == second.removeprefix("a.bin: ")
    give_stdin(monkeypatch, b"")
    assert run("-")[2] == "anybyte: standard input is empty: there is nothing to classify\n"
    give_stdin(monkeypatch, bytes(11))
    assert "standard input holds more, the limit is 10 bytes" in run("-", "--max-bytes", "10")[2]


def test_folders_are_gone_through_in_order(run: Run, tmp_path: Path) -> None:
    for name in ("d/z.bin", "d/a.bin", "d/sub/m.bin", "d/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"data")
    os.mkfifo("d/pipe")
    code, out, err = run("-r", "d", "a.bin")
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "d/.hidden", "d/a.bin", "d/z.bin", "d/sub/m.bin", "a.bin",
    ]  # fmt: skip
    assert (code, err) == (0, "")


def test_a_folder_without_files(run: Run) -> None:
    Path("none").mkdir()
    code, out, err = run("-r", "none", "--json")
    assert (code, out, err) == (2, "", "anybyte: no files in none: there is nothing to classify\n")


def test_bad_files_are_named_and_the_others_answered(run: Run) -> None:
    Path("empty").touch()
    Path("folder").mkdir()
    Path("gone").symlink_to("nowhere")
    os.mkfifo("fifo")
    with open("sparse", "wb") as file:
        file.truncate(2 * 2**30)
    bad = {
        "empty": "empty is empty: there is nothing to classify",
        "folder": "folder is a directory (`anybyte classify -r` goes through the files in it)",
        "gone": "gone: No such file or directory",
        "fifo": "fifo is not a regular file: only standard input is read from pipes and devices",
        "/dev/zero": "/dev/zero is not a regular file: only standard input is read from pipes and devices",
        "sparse": "sparse holds 2,147,483,648 bytes, the limit is 1,073,741,824 bytes: "
        "raise max_bytes (--max-bytes) to read it",
        "missing": "missing: No such file or directory",
    }
    code, out, err = run("a.bin", *bad, "b.bin")
    assert code == 2
    assert [line.partition(":")[0] for line in out.splitlines()] == ["a.bin", "b.bin"]
    assert err.splitlines() == [f"anybyte: {message}" for message in bad.values()]
    answers = json.loads(run("a.bin", *bad, "b.bin", "--json")[1])
    assert [answer["path"] for answer in answers] == ["a.bin", *bad, "b.bin"]
    assert {answer["path"]: answer["error"] for answer in answers[1:-1]} == bad


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(run: Run) -> None:
    os.chmod("a.bin", 0)
    assert run("a.bin")[::2] == (2, "anybyte: a.bin: Permission denied\n")


def test_an_error_weighs_more_than_an_unknown(run: Run) -> None:
    assert run("a.bin", "missing", "--threshold", "1")[0] == 2


def test_names_of_any_characters(run: Run) -> None:
    names = ["new\nline", "\x1b[31mred", "käse.bin", os.fsdecode(b"\xff.bin")]
    for name in names:
        Path(name).write_bytes(b"data")
    code, out, _ = run("--", *names)
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        r"new\nline", r"\x1b[31mred", "käse.bin", r"\udcff.bin",
    ]  # fmt: skip
    assert [answer["path"] for answer in json.loads(run("--json", "--", *names)[1])] == names
    assert run("--csv", "--", *names)[0] == 0
    assert "\x1b" not in run("\x1bgone")[2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.bin", "--top", "0"], "top is 0"),
        (["a.bin", "--threshold", "2"], "threshold is 2.0"),
        (["a.bin", "--max-bytes", "lots"], "'lots' is not a size"),
        (["a.bin", "--json", "--csv"], "not allowed with"),
        (["a.bin", "--colour"], "--colour"),
        ([], "FILE"),
    ],
)
def test_bad_options_are_named(run: Run, args: list[str], message: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err


def test_no_such_model(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "a.bin", "--model", "nothing"]) == 2
    assert "no model 'nothing'" in capsys.readouterr().err


def test_a_bar_on_long_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    quiet = run("a.bin", "b.bin")
    monkeypatch.setattr("anybyte.cli.progress.PATIENCE", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = run("a.bin", "b.bin")
    assert quiet[:2] == shown[:2]
    assert quiet[2] == ""
    assert "/2" in shown[2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("options", [[], ["--jsonl"]])
def test_standard_output_that_is_full_is_named(run: Run, model: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "anybyte", "classify", "a.bin", "--model", str(model), *options]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (2, "anybyte: standard output: No space left on device\n")


def test_sizes() -> None:
    assert [parse_size(text) for text in ("10", "2k", "3M", "1g")] == [10, 2048, 3 * 2**20, 2**30]
