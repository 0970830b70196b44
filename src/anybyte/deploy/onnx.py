"""A model folder as one ONNX file: `export_onnx`, checked by onnxruntime against torch before it is in its place.

Beside `model.onnx` stands `model.json`, which holds the file's metadata once more: not every runtime shows it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import anybyte
from anybyte.batch import ByteBatch
from anybyte.deploy.onnx_graph import byteformer_graph
from anybyte.deploy.padded import StemForm, exportable, max_length, random_files
from anybyte.models.byteformer import ByteFormer
from anybyte.predictor import Predictor, load_as
from anybyte.reading import as_json
from anybyte.train.checkpoint import write_atomically

try:
    import onnx
    import onnxruntime
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("ONNX files need onnx and onnxruntime: pip install 'anybyte[export]'") from error

TOLERANCE = 1e-4
"""By how much logits of the float32 file may differ from torch's."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the ONNX file.
        num_bytes: its size.
        precision: `float32` or `int8`.
        stem: the form of the stem.
        lengths: bytes of the files that it was tried on.
        difference: the largest difference of a logit from torch's, on these.
        agreement: share of them with the same best class.
    """

    path: Path
    num_bytes: int
    precision: str
    stem: StemForm
    lengths: tuple[int, ...]
    difference: float
    agreement: float

    @property
    def check(self) -> str:
        """How it did, in a line."""
        number, shortest, longest = len(self.lengths), min(self.lengths), max(self.lengths)
        return (
            f"tried on {number} files of {shortest:,} to {longest:,} random bytes, alone and in batches: logits "
            f"differ from torch's by {self.difference:.1e} at most, {self.agreement:.0%} have the same best class"
        )


def export_onnx(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    int8: bool = False,
    stem: StemForm | None = None,
    seed: int = 0,
) -> Exported:
    """Writes a model as one ONNX file of float32 or int8 weights, with any batch and length, and says how it does.

    Inputs are `tokens`, int32 [batch, length], and `lengths`, int32 [batch]; the output is `logits`, float32
    [batch, classes]. Labels, the reading and the config are in the metadata.

    Args:
        model: a folder, bundled name or hub id of a ByteFormer that classifies files.
        out: the file to write; a JSON file of the same name holds the metadata.
        int8: weights of linear layers and the stem in 8 bits, activations quantised as they come.
        stem: see `padded.PaddedByteFormer`. None: the table in float32, which is the faster one, and the convolution in
            int8, which is as fast there, half as large and nearer to torch (docs/results/export.md).
        seed: of the random files that it is tried on.

    Raises:
        ValueError: it is not a ByteFormer that classifies files, or computes as the paper's released code.
        OSError: the file cannot be written.
    """
    predictor = load_as(Predictor, model, device="cpu")
    byteformer = exportable(predictor, model)
    stem = stem or ("convolution" if int8 else "table")
    graph = byteformer_graph(byteformer, stem)
    if int8:
        graph = quantised(graph)
    fields = metadata(predictor, byteformer, "int8" if int8 else "float32")
    onnx.helper.set_model_props(graph, {name: _as_text(value) for name, value in fields.items()})
    content = graph.SerializeToString()
    contents = random_files(byteformer, seed)
    difference, agreement = compare(byteformer, content, contents)
    if not int8 and not difference <= TOLERANCE:
        raise RuntimeError(f"the ONNX graph is wrong: its logits differ by {difference:.2g} from torch's")
    out = Path(out)
    write_atomically(out, content)
    write_atomically(out.with_suffix(".json"), (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode())
    lengths = tuple(len(data) for data in contents)
    return Exported(out, len(content), fields["precision"], stem, lengths, difference, agreement)


def metadata(predictor: Predictor, model: ByteFormer, precision: str) -> dict[str, Any]:
    """What a program needs to know beside the graph: labels, reading, config, longest file."""
    return {
        "anybyte": anybyte.__version__,
        "architecture": type(model).__name__,
        "labels": list(predictor.labels),
        "reading": {} if predictor.reading.is_as_stored else as_json(predictor.reading.kept),
        "config": dataclasses.asdict(model.config),
        "several": model.has_several,
        "max_length": max_length(model),
        "precision": precision,
    }


def quantised(graph: Any) -> Any:
    """The graph with 8-bit weights: a scale for each output of a linear layer, and one for the table of the stem."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Quantising advises, as a warning of the root logger, to infer shapes first unless a graph says that this was done.
    onnx.helper.set_model_props(graph, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(graph, source)
        quantize_dynamic(
            source, result, op_types_to_quantize=["MatMul", "Gather"], per_channel=True, weight_type=QuantType.QInt8
        )
        return onnx.load(result)


class OnnxModel:
    """An ONNX file in use by onnxruntime: `model(files) -> logits`. One thread, unless told otherwise."""

    def __init__(self, source: str | os.PathLike[str] | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source = source if isinstance(source, bytes) else os.fspath(source)
        self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def __call__(self, files: Sequence[bytes]) -> NDArray[np.float32]:
        """Logits of files, float32 [files, classes], computed as one batch."""
        rows = np.zeros((len(files), max(len(data) for data in files)), dtype=np.int32)
        for row, data in zip(rows, files, strict=True):
            row[: len(data)] = np.frombuffer(data, dtype=np.uint8)
        lengths = np.array([len(data) for data in files], dtype=np.int32)
        logits: NDArray[np.float32] = self.session.run(None, {"tokens": rows, "lengths": lengths})[0]
        return logits

    @property
    def metadata(self) -> dict[str, str]:
        """The fields of `metadata`, each as text."""
        found: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        return found


def compare(model: ByteFormer, content: bytes, files: Sequence[bytes]) -> tuple[float, float]:
    """The largest difference of logits between an ONNX file and torch, each file alone and in a batch of several, and
    the share of files with the same best class."""
    run = OnnxModel(content)
    with torch.inference_mode():
        expected = np.concatenate([model(ByteBatch.from_bytes([data])).float().numpy() for data in files])
    alone = np.concatenate([run([data]) for data in files])
    order = sorted(range(len(files)), key=lambda index: len(files[index]))
    together = np.empty_like(alone)
    for first in range(0, len(order), 4):
        part = order[first : first + 4]
        together[part] = run([files[index] for index in part])
    difference = max(float(np.abs(found - expected).max()) for found in (alone, together))
    return difference, float((alone.argmax(axis=1) == expected.argmax(axis=1)).mean())


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
