from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import anybyte
from anybyte.cli import main
from anybyte.explain import METHODS, explain
from anybyte.files.media import encode_image
from tests.tiny_model import save_tiny_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `anybyte explain` in a folder of three files: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for name, data in (("a.tiff", encode_image(pixels, "tiff")), ("b.bin", bytes(range(256))), ("empty", b"")):
        Path(name).write_bytes(data)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["explain", "--model", str(model), *args])
        return code, *capsys.readouterr()

    return run


def test_a_hex_dump_by_default(run: Run, model: Path) -> None:
    code, out, err = run("a.tiff", "--lines", "4")
    expected = explain(anybyte.load(model), Path("a.tiff").read_bytes())
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert flat.startswith(f"a.tiff: {expected.label} (")
    assert "explained by integrated_gradients over 332 bytes" in flat
    assert out.count("  ... ") >= 1
    assert sum(line[:8].isalnum() and line[8:10] == "  " for line in out.splitlines()) == 4


@pytest.mark.parametrize("method", METHODS)
def test_json_of_several_files(run: Run, model: Path, method: str) -> None:
    code, out, _ = run("b.bin", "a.tiff", "--method", method, "--label", "owl", "-o", "out.json")
    found = json.loads(Path("out.json").read_text())
    assert code == 0
    assert [one["name"] for one in found] == ["b.bin", "a.tiff"]
    for one in found:
        expected = explain(anybyte.load(model), Path(one["name"]).read_bytes(), method=method, label="owl")
        assert (one["label"], one["method"]) == ("owl", method)
        np.testing.assert_allclose(one["scores"], expected.scores, rtol=1e-4, atol=1e-7)
    assert [line.split(" (")[0] for line in out.splitlines()] == ["b.bin: owl", "a.tiff: owl"]


def test_a_page_and_a_picture(run: Run) -> None:
    assert run("a.tiff", "b.bin", "-o", "out.html", "--method", "attention")[0] == 0
    page = Path("out.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<section") == 2
    assert run("a.tiff", "-o", "out.png", "--method", "occlusion", "--size", "8")[0] == 0
    with Image.open("out.png") as drawing:
        assert drawing.size == (448, 448)


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"abc")))
    code, out, _ = run("-", "--method", "gradient")
    assert code == 0
    assert out.startswith("standard input: ")
    assert "616263" in out.replace(" ", "")


def test_one_bad_file_does_not_stop_the_others(run: Run) -> None:
    code, out, err = run("empty", "missing", ".", "b.bin", "--method", "gradient", "-o", "out.json")
    assert code == 2
    assert err.splitlines() == [
        "anybyte: empty is empty: there is nothing to explain",
        "anybyte: missing: No such file or directory",
        "anybyte: .: Is a directory",
    ]
    assert [one["name"] for one in json.loads(Path("out.json").read_text())] == ["b.bin"]
    assert out.startswith("b.bin: ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["b.bin", "-o", "out.gif"], "-o out.gif: its name should end in .html, .png, .json"),
        (["a.tiff", "b.bin", "-o", "out.png"], "a picture shows one file, and there are 2"),
        (["a.tiff", "-o", "nowhere/out.png"], "nowhere: No such directory"),
        (["b.bin", "--lines", "0"], "--lines is 0, expected at least 1"),
        (["b.bin", "--size", "4"], "--size is for --method occlusion, not for integrated_gradients"),
        (["b.bin", "--method", "gradient", "--tolerance", "0.1"], "--tolerance is for --method integrated_gradients"),
        (["b.bin", "--tolerance", "-1"], "b.bin: tolerance is -1.0, expected a share above 0"),
        (["b.bin", "--label", "bat"], "b.bin: the model has no label 'bat'; it has cat"),
        (["b.bin", "--key", "key"], "key: No such file or directory"),
    ],
)
def test_mistakes_in_one_line(run: Run, args: list[str], message: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith(f"anybyte: {message}") or message in err
    assert err.count("\n") == 1


def test_a_file_that_is_read_is_not_written_over(run: Run) -> None:
    Path("a.json").write_bytes(b"{}")
    code, _, err = run("a.json", "-o", "a.json")
    assert code == 2
    assert "this one would be lost" in err
    assert Path("a.json").read_bytes() == b"{}"


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--help"]) == 0
    out = capsys.readouterr().out
    assert "anybyte explain photo.tif --model runs/photos" in out
    assert "-o why.html" in out
