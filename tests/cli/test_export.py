"""`anybyte export`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'anybyte[export]'")

from anybyte import create_model
from anybyte.cli import main
from anybyte.deploy import padded, page
from anybyte.deploy.onnx import OnnxModel
from tests.tiny_model import save_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(save_tiny_model(tmp_path / "model"))


def test_it_writes_and_checks_an_onnx_file(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert main(["export", model, "--onnx", "-o", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{out}: {out.stat().st_size:,} bytes, float32, stem as table"
    assert second.startswith("tried on 19 files of 1 to ")
    assert second.endswith("100% have the same best class")
    assert OnnxModel(out)([b"some bytes"]).shape == (1, 6)
    assert main(["export", model, "--int8", "-o", str(out), "--stem", "table"]) == 0
    assert "int8, stem as table" in capsys.readouterr().out
    assert OnnxModel(out).metadata["precision"] == "int8"


def test_without_an_output_it_is_model_onnx_here(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", model]) == 0
    assert {"model.onnx", "model.json"} <= {path.name for path in tmp_path.iterdir()}


def test_a_program_is_written_and_checked(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tracing takes long, and tests/deploy/test_padded.py does it: here it is told where to write."""

    def export(name: str, out: Path, stem: str) -> Path:
        assert (name, stem) == (model, "table")
        out.write_bytes(b"program")
        return out

    monkeypatch.setattr(padded, "export_program", export)
    monkeypatch.setattr(padded, "check_program", lambda name, out, seed: ((1, 50), 1e-7))
    assert main(["export", model, "--program", "-o", str(tmp_path / "out.pt2")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out.pt2: 7 bytes, a program of torch.export",
        "tried on 2 files of 1 to 50 random bytes: logits differ from the model's by 1.0e-07 at most",
    ]
    assert not (tmp_path / "out.onnx").exists()


def test_a_page_holds_the_model(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """tests/deploy/web builds and opens real ones, which takes the runtime from npm."""

    def build(folder: Path, onnx: Path, runtime: str, name: str, card: str | None) -> list[Path]:
        assert OnnxModel(onnx)([b"x"]).shape == (1, 6)
        assert (folder, runtime, name, card) == (tmp_path / "page", "ort", "model", None)
        folder.mkdir()
        return [onnx.rename(folder / "model.onnx")]

    monkeypatch.setattr(page, "build_page", build)
    assert main(["export", model, "--page", str(tmp_path / "page"), "--runtime", "ort"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("tried on 19 files")
    assert second.startswith(f"{tmp_path}/page: 1 files, ")
    assert second.endswith(f"`python -m http.server --directory {tmp_path}/page` shows the page")


def test_mistakes_are_one_line_and_code_2(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"num_classes": 2, "dim": 16, "num_heads": 2, "depth": 1, "merge_after": ()}
    create_model("byteformer_nano", numerics="corenet", **shape).save_pretrained(tmp_path / "old")
    create_model("perceiver_io_bytes_nano", num_classes=2).save_pretrained(tmp_path / "perceiver")
    for options, words in (
        ([model, "-o", str(tmp_path / "nowhere" / "out.onnx")], "nowhere: No such directory"),
        ([model, "-o", str(tmp_path / "out.zip")], "the name of an ONNX file ends in .onnx"),
        ([model, "--int8", "--program"], "--int8 is for ONNX files"),
        ([model, "--runtime", "ort"], "--runtime is for a page"),
        ([str(tmp_path / "old"), "-o", str(tmp_path / "out.onnx")], "has numerics='corenet'"),
        ([str(tmp_path / "perceiver"), "-o", str(tmp_path / "out.onnx")], "only ByteFormers that classify files"),
        (["nothing"], "no model 'nothing'"),
    ):
        assert main(["export", *options]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
