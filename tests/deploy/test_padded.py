"""The padded form answers as the model does, whatever stands behind a file and beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.batch import ByteBatch
from anybyte.config import ByteFormerConfig
from anybyte.deploy.padded import PaddedByteFormer, check_program, export_program, max_length, random_files
from anybyte.models.byteformer import ByteFormer
from tests.tiny_model import save_tiny_model

SHAPES = {
    "windows of many sizes": {"window_sizes": (8, 3, 5, 2), "window_shifts": (0, 1, 4, 7), "merge_after": (0, 2)},
    "the paper's": {"window_sizes": 8, "merge_after": (0, 1)},
    "no merges, a wide window": {"window_sizes": 40, "merge_after": ()},
    "learned positions": {"window_sizes": 4, "merge_after": (1,), "positions": "learned", "max_num_tokens": 400},
    "no positions": {"window_sizes": 6, "merge_after": (3,), "positions": "none"},
}


def make_model(shape: dict[str, object]) -> ByteFormer:
    """A model whose every parameter, norms and biases among them, does something."""
    torch.manual_seed(0)
    config = ByteFormerConfig(num_classes=5, dim=16, num_heads=2, depth=4, kernel_size=8, **shape)  # type: ignore[arg-type]
    model = ByteFormer(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    return model


MODELS = {name: make_model(shape) for name, shape in SHAPES.items()}
"""The scale of the weights is such that logits are about 1."""


def padded_rows(files: list[bytes], longest: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The input of padded models, with rubbish behind each file."""
    rows = np.random.default_rng(seed).integers(0, 256, (len(files), longest), dtype=np.int32)
    for row, data in zip(rows, files, strict=True):
        row[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return torch.from_numpy(rows), torch.tensor([len(data) for data in files], dtype=torch.int32)


def files_of(lengths: list[int], seed: int) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, length, dtype=np.uint8).tobytes() for length in lengths]


@pytest.mark.parametrize("stem", ["table", "convolution"])
@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=8)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=5), spare=st.integers(0, 90), seed=st.integers(0, 99))
def test_it_answers_as_the_model_does(name: str, stem: str, lengths: list[int], spare: int, seed: int) -> None:
    model, files = MODELS[name], files_of(lengths, seed)
    expected = model(ByteBatch.from_bytes(files))
    assert expected.abs().max() > 0.1
    logits = PaddedByteFormer(model, stem)(*padded_rows(files, max(lengths) + spare, seed))  # type: ignore[arg-type]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_an_empty_file_is_read_as_the_model_reads_it() -> None:
    model = MODELS["the paper's"]
    expected = model(ByteBatch.from_bytes([b"", b"abc"]))
    torch.testing.assert_close(PaddedByteFormer(model)(*padded_rows([b"", b"abc"], 20)), expected, atol=1e-4, rtol=0)


def test_it_shares_the_weights() -> None:
    model = make_model(SHAPES["the paper's"])
    padded = PaddedByteFormer(model)
    files = files_of([50], 1)
    before = padded(*padded_rows(files, 50))
    model.classifier.bias += 1
    torch.testing.assert_close(padded(*padded_rows(files, 50)), before + 1)


def test_the_released_codes_numerics_have_no_padded_form() -> None:
    model = ByteFormer(ByteFormerConfig(dim=16, num_heads=2, depth=2, merge_after=(), numerics="corenet"))
    with pytest.raises(ValueError, match="numerics='corenet' lets a file's answer depend on its padding"):
        PaddedByteFormer(model)


def test_random_files_are_of_every_kind_of_length() -> None:
    model = MODELS["learned positions"]
    lengths = [len(data) for data in random_files(model, seed=0)]
    assert {1, 4, 7, 8, 9, 16, 17} <= set(lengths)
    assert max(lengths) <= max_length(model) == 399 * 4 + 8  # type: ignore[operator]
    assert random_files(model, 0) == random_files(model, 0) != random_files(model, 1)
    with torch.inference_mode():
        model(ByteBatch.from_bytes([bytes(max_length(model) or 0)]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec:FutureWarning")
def test_a_program_takes_any_batch_and_length(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    program = export_program(folder, tmp_path / "model.pt2")
    lengths, difference = check_program(folder, program)
    assert min(lengths) == 1
    assert max(lengths) > 100
    assert difference <= 1e-4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.pt2"]
