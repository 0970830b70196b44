"""ByteBatch: files end to end, and clear words about what is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anybyte.batch import PADDING, ByteBatch, Data, make_batch, num_bytes, to_device


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_there_and_back(files: list[bytes]) -> None:
    batch = ByteBatch.from_bytes(files)
    assert len(batch) == len(files)
    assert [bytes(part.tolist()) for part in batch.split()] == files
    rows = batch.padded()
    for row, data in zip(rows, files, strict=True):
        assert row.tolist() == list(data) + [PADDING] * (rows.shape[1] - len(data))
    moved = batch.to("cpu")
    assert torch.equal(moved.values, batch.values)
    assert torch.equal(moved.lengths, torch.tensor([len(data) for data in files], dtype=torch.int64))


def test_files_are_read_whole_and_in_order(tmp_path: Path) -> None:
    for name, data in (("a", b"one"), ("b", b""), ("c", bytes(300))):
        (tmp_path / name).write_bytes(data)
    batch = ByteBatch.from_files([tmp_path / "c", str(tmp_path / "a"), tmp_path / "b"])
    assert batch.lengths.tolist() == [300, 3, 0]


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        ByteBatch.from_files([tmp_path / "missing"])


def test_a_memoryview_with_steps_is_read_as_it_stands() -> None:
    batch = ByteBatch.from_bytes([memoryview(b"abcdef")[::2], bytearray(b"xy")])
    assert bytes(batch.values.tolist()) == b"acexy"


@pytest.mark.parametrize(
    ("values", "lengths", "message"),
    [
        ([1, 2], torch.tensor([2]), "values must be a tensor, not list"),
        (torch.zeros(2, dtype=torch.uint8), [2], "lengths must be a tensor, not list"),
        (torch.zeros(2), torch.tensor([2]), "uint8"),
        (torch.zeros(1, 2, dtype=torch.uint8), torch.tensor([2]), r"\(1, 2\)"),
        (torch.zeros(2, dtype=torch.uint8), torch.tensor([2], dtype=torch.int32), "int64"),
        (torch.zeros(2, dtype=torch.uint8), torch.tensor([3]), "add up to 3, but there are 2 bytes"),
        (torch.zeros(2, dtype=torch.uint8), torch.tensor([3, -1]), "must not be negative, got -1"),
    ],
)
def test_what_is_not_a_batch_is_named(values: object, lengths: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByteBatch(values, lengths)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ByteBatch.from_bytes(b"abc"), r"from_bytes\(\[data\]\)"),
        (lambda: ByteBatch.from_bytes(["abc"]), "item 0 is str, expected bytes"),
        (lambda: ByteBatch.from_files("a.tif"), r"from_files\(\['a.tif'\]\)"),
    ],
)
def test_a_single_file_is_not_a_list(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@given(st.lists(st.sampled_from([b"ab", bytearray(b"c"), memoryview(b"")]), min_size=1, max_size=5))
def test_byte_strings_make_a_byte_batch(items: list[bytes]) -> None:
    batch = make_batch(items)
    assert isinstance(batch, ByteBatch)
    assert [bytes(part.tolist()) for part in batch.split()] == [bytes(item) for item in items]


def test_arrays_are_stacked_alone_or_by_name() -> None:
    first, second = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    batch = make_batch([first, second])
    assert isinstance(batch, torch.Tensor)
    assert torch.equal(batch, torch.stack([torch.ones(2, 3), torch.zeros(2, 3)]))
    named = make_batch([{"a": first, "b": first[0]}, {"a": second, "b": second[0]}])
    assert isinstance(named, dict)
    assert {name: tuple(tensor.shape) for name, tensor in named.items()} == {"a": (2, 2, 3), "b": (2, 3)}
    moved = to_device(named, "cpu")
    assert isinstance(moved, dict)
    assert torch.equal(moved["b"], named["b"])


@pytest.mark.parametrize(
    "items",
    [
        [b"ab", np.zeros(2)],
        [np.zeros(2), np.zeros(3)],
        [np.zeros(2, np.float32), np.zeros(2, np.float64)],
        [{"a": np.zeros(2)}, {"b": np.zeros(2)}],
        [],
    ],
)
def test_a_batch_is_of_one_form(items: list[Data]) -> None:
    with pytest.raises(ValueError, match="a batch holds data of one form, got"):
        make_batch(items)


def test_data_knows_its_bytes() -> None:
    pixels = np.zeros((2, 3), np.float32)
    assert [num_bytes(data) for data in (b"abc", pixels, {"a": pixels, "b": pixels[0]})] == [3, 24, 36]
