"""Files of any length as one batch: their bytes end to end, and how many belong to each.

Nothing is padded: a batch of a 1 kB and a 150 kB file holds 151 kB of uint8, not two rows of int32. What is decoded to
arrays is stacked.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PADDING = 256
"""Index of the padding entry of every byte embedding. 0 to 255 are bytes; padding is never one of them."""

VOCABULARY = 257
"""Rows of a byte embedding: 256 bytes and the padding entry."""

Named: TypeAlias = Mapping[str, NDArray[Any]]
Data: TypeAlias = bytes | bytearray | memoryview | NDArray[Any] | Named
"""What a model reads of one file: bytes, an array, or arrays by the names of the model's inputs."""

Batch: TypeAlias = "ByteBatch | Tensor | dict[str, Tensor]"
"""What a model reads of several files."""


@dataclass(frozen=True, eq=False)
class ByteBatch:
    """A batch of files.

    Attributes:
        values: uint8 [sum(lengths)], all bytes end to end, on any device.
        lengths: int64 [files], bytes of each file. It stays on the CPU, where the work of a batch is planned.
    """

    values: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        for name in ("values", "lengths"):
            if not isinstance(getattr(self, name), Tensor):
                raise ValueError(f"{name} must be a tensor, not {type(getattr(self, name)).__name__}")
        if self.values.dtype != torch.uint8 or self.values.dim() != 1:
            raise ValueError(
                f"values must be a one-dimensional uint8 tensor, not {self.values.dtype} "
                f"of shape {tuple(self.values.shape)}"
            )
        if self.lengths.dtype != torch.int64 or self.lengths.dim() != 1 or self.lengths.device.type != "cpu":
            raise ValueError(
                f"lengths must be a one-dimensional int64 tensor on the CPU, not {self.lengths.dtype} of shape "
                f"{tuple(self.lengths.shape)} on {self.lengths.device}"
            )
        if len(self.lengths) and int(self.lengths.min()) < 0:
            raise ValueError(f"lengths must not be negative, got {int(self.lengths.min())}")
        if int(self.lengths.sum()) != len(self.values):
            raise ValueError(f"lengths add up to {int(self.lengths.sum())}, but there are {len(self.values)} bytes")

    @classmethod
    def from_bytes(cls, files: Iterable[bytes | bytearray | memoryview]) -> ByteBatch:
        """A batch of byte strings, in the order given. An empty string is allowed (models read one padding token)."""
        if isinstance(files, bytes | bytearray | memoryview):
            raise ValueError("expected a list of byte strings, got a single one: write ByteBatch.from_bytes([data])")
        files = list(files)
        for index, data in enumerate(files):
            if not isinstance(data, bytes | bytearray | memoryview):
                raise ValueError(f"item {index} is {type(data).__name__}, expected bytes")
        arrays = [np.frombuffer(_contiguous(data), dtype=np.uint8) for data in files]
        values = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint8)
        lengths = torch.tensor([len(array) for array in arrays], dtype=torch.int64)
        return cls(torch.from_numpy(values), lengths)

    @classmethod
    def from_files(cls, paths: Sequence[str | os.PathLike[str]]) -> ByteBatch:
        """A batch of whole files, in the order given.

        Raises:
            OSError: a path cannot be read; the message names it.
        """
        if isinstance(paths, str | os.PathLike):
            raise ValueError(f"expected a list of paths, got one: write ByteBatch.from_files([{str(paths)!r}])")
        contents = []
        for path in paths:
            with open(path, "rb") as file:
                contents.append(file.read())
        return cls.from_bytes(contents)

    def __len__(self) -> int:
        """Number of files."""
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        return self.values.device

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ByteBatch:
        """The same batch with its bytes on `device`."""
        return ByteBatch(self.values.to(device, non_blocking=non_blocking), self.lengths)

    def pin_memory(self) -> ByteBatch:
        return ByteBatch(self.values.pin_memory(), self.lengths)

    def split(self) -> list[Tensor]:
        """The bytes of each file, as views: uint8 [length]."""
        return list(self.values.split(self.lengths.tolist()))

    def padded(self) -> Tensor:
        """int64 [files, longest], padding entries (256) behind each file's bytes: the form that plain models read."""
        longest = int(self.lengths.max()) if len(self) else 0
        rows = torch.full((len(self), longest), PADDING, dtype=torch.int64, device=self.device)
        for row, part in zip(rows, self.split(), strict=True):
            row[: len(part)] = part
        return rows


def _contiguous(data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """The same bytes side by side: a memoryview may step over some."""
    return data.tobytes() if isinstance(data, memoryview) and not data.c_contiguous else data


def make_batch(items: Sequence[Data]) -> Batch:
    """Several files as one batch: byte strings as a `ByteBatch`, arrays stacked along a new first axis.

    Raises:
        ValueError: they are not of one form; the message says which there are.
    """
    forms = list(dict.fromkeys(form_of(item) for item in items))
    if len(forms) != 1:
        raise ValueError(f"a batch holds data of one form, got {' and '.join(map(str, forms)) or 'none'}")
    first = items[0]
    if isinstance(first, Mapping):
        return {name: _stack([cast(Named, item)[name] for item in items]) for name in first}
    if isinstance(first, np.ndarray):
        return _stack(cast(Sequence[NDArray[Any]], items))
    return ByteBatch.from_bytes(cast(Sequence[bytes], items))


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def form_of(data: Data) -> Hashable:
    """What data must have in common to stand in one batch: nothing for bytes, types and shapes for arrays."""
    if isinstance(data, Mapping):
        return tuple((name, form_of(data[name])) for name in sorted(data))
    return (data.dtype.name, data.shape) if isinstance(data, np.ndarray) else "bytes"


def num_bytes(data: Any) -> int:
    """Bytes of what a model reads of one example."""
    if isinstance(data, Mapping):
        return sum(map(num_bytes, data.values()))
    return int(data.nbytes) if isinstance(data, np.ndarray | np.generic) else len(data)


def to_device(batch: Batch, device: torch.device | str) -> Batch:
    """The same batch on a device."""
    if isinstance(batch, dict):
        return {name: tensor.to(device) for name, tensor in batch.items()}
    return batch.to(device)
