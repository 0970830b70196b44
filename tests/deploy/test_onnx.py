"""An ONNX file answers as the model that it was made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'anybyte[export]'")

import onnx

from anybyte import create_model, load
from anybyte.batch import ByteBatch
from anybyte.config import ReadingConfig
from anybyte.deploy import onnx_graph
from anybyte.deploy.onnx import OnnxModel, export_onnx
from anybyte.deploy.onnx_graph import byteformer_graph
from tests.deploy.test_padded import MODELS, SHAPES, files_of, padded_rows
from tests.tiny_model import LABELS, save_tiny_model

GRAPHS = {
    (name, stem): OnnxModel(byteformer_graph(model, stem).SerializeToString())  # type: ignore[arg-type]
    for name, model in MODELS.items()
    for stem in ("table", "convolution")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("onnx") / "model")


@pytest.mark.parametrize("stem", ["table", "convolution"])
@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=8)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=5), spare=st.integers(0, 90), seed=st.integers(0, 99))
def test_a_graph_answers_as_the_model_does(name: str, stem: str, lengths: list[int], spare: int, seed: int) -> None:
    files = files_of(lengths, seed)
    expected = MODELS[name](ByteBatch.from_bytes(files)).numpy()
    tokens, counts = padded_rows(files, max(lengths) + spare, seed)
    logits = GRAPHS[name, stem].session.run(None, {"tokens": tokens.numpy(), "lengths": counts.numpy()})[0]
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)


def test_a_file_answers_alone_as_in_a_batch(folder: Path, tmp_path: Path) -> None:
    export_onnx(folder, tmp_path / "model.onnx")
    run, files = OnnxModel(tmp_path / "model.onnx"), files_of([3, 900, 40, 16, 17], 0)
    alone = np.concatenate([run([data]) for data in files])
    np.testing.assert_allclose(run(files), alone, atol=1e-5)
    expected = load(folder).probabilities([np.frombuffer(data, np.uint8) for data in files]).numpy()
    np.testing.assert_allclose(torch.from_numpy(alone).softmax(1).numpy(), expected, atol=1e-4)


def test_what_was_written_says_what_it_is(folder: Path, tmp_path: Path) -> None:
    exported = export_onnx(folder, tmp_path / "model.onnx")
    assert exported.path.stat().st_size == exported.num_bytes
    assert (exported.precision, exported.stem, exported.agreement) == ("float32", "table", 1.0)
    assert 0 < exported.difference < 1e-4
    fields = json.loads((tmp_path / "model.json").read_text())
    found = OnnxModel(exported.path).metadata
    assert json.loads(found["labels"]) == fields["labels"] == list(LABELS)
    assert json.loads(found["config"]) == fields["config"]
    assert fields["config"]["dim"] == 16
    assert found["max_length"] == ""
    assert fields["max_length"] is None
    assert fields["reading"] == {}
    assert fields["several"] is False
    inputs = OnnxModel(exported.path).session.get_inputs()
    assert [(node.name, node.type, node.shape) for node in inputs] == [
        ("tokens", "tensor(int32)", ["batch", "length"]),
        ("lengths", "tensor(int32)", ["batch"]),
    ]


def test_equal_models_give_equal_files(folder: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        export_onnx(folder, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_int8_is_smaller_and_near(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("byteformer_nano", num_classes=4)
    model.save_pretrained(tmp_path / "model", labels=list("abcd"))
    full = export_onnx(tmp_path / "model", tmp_path / "full.onnx", stem="convolution")
    small = export_onnx(tmp_path / "model", tmp_path / "small.onnx", int8=True)
    assert small.num_bytes < 0.5 * full.num_bytes
    assert (small.precision, small.stem) == ("int8", "convolution")
    assert full.difference < small.difference < 0.05
    assert {"MatMulInteger", "DynamicQuantizeLinear"} <= operators(small.path)
    assert json.loads((tmp_path / "small.json").read_text())["precision"] == "int8"


@pytest.mark.parametrize("int8", [False, True])
def test_only_standard_operators(folder: Path, tmp_path: Path, int8: bool) -> None:
    exported = export_onnx(folder, tmp_path / "model.onnx", int8=int8)
    graph = onnx.load(exported.path)
    assert {entry.domain for entry in graph.opset_import} <= {"", "ai.onnx"}
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    onnx.checker.check_model(graph, full_check=True)


def test_the_reading_and_the_longest_file_go_along(tmp_path: Path) -> None:
    shape = {"dim": 16, "num_heads": 2, "depth": 1, "merge_after": (), "num_classes": 2, "kernel_size": 8}
    model = create_model("byteformer_nano", positions="learned", max_num_tokens=100, **shape)
    model.save_pretrained(tmp_path / "model", labels=["a", "b"], reading=ReadingConfig(format="png:0", image_size=28))
    exported = export_onnx(tmp_path / "model", tmp_path / "model.onnx")
    fields = json.loads((tmp_path / "model.json").read_text())
    assert fields["reading"]["format"] == "png:0"
    assert fields["max_length"] == 99 * 4 + 8
    run = OnnxModel(exported.path)
    assert run([bytes(fields["max_length"])]).shape == (1, 2)
    with pytest.raises(Exception, match="Add"):  # no row of the table stands for what is beyond
        run([bytes(fields["max_length"] + 4)])


def test_a_wrong_graph_is_not_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "UNSEEN", 0.0)
    with pytest.raises(RuntimeError, match="the ONNX graph is wrong"):
        export_onnx(folder, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_other_models_are_refused(tmp_path: Path) -> None:
    create_model("perceiver_io_language_nano").save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match="does not classify files"):
        export_onnx(tmp_path / "text", tmp_path / "model.onnx")
    shape = {"dim": 16, "num_heads": 2, "depth": 1, "merge_after": (), "num_classes": 2}
    create_model("byteformer_nano", numerics="corenet", **shape).save_pretrained(tmp_path / "old")
    with pytest.raises(ValueError, match="old has numerics='corenet'"):
        export_onnx(tmp_path / "old", tmp_path / "model.onnx")


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}
