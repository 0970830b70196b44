"""Files of other people's checkpoints. Nothing in them is run: readers of pickles admit arrays and plain containers."""

from __future__ import annotations

import json
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How torch's archives, and pickles of any protocol in use, start."""
_WHOLE = ("model.safetensors", "pytorch_model.bin")
"""What the weights of a folder of transformers are called, the preferred first; parts have an index of this name."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of one that torch wrote, by name.

    Raises:
        ValueError: not a checkpoint, or one that holds more than tensors; the message names the file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:  # what cannot be read is an OSError here, whatever the libraries below make of it
        start = file.read(2)
    if not start:
        raise ValueError(f"{path} is empty")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise almost anything
        refused = isinstance(error, pickle.UnpicklingError) and (start in _PICKLES or "global" in str(error).lower())
        if refused:
            reason = "holds more than tensors (a pickle that would run code); it is not loaded"
        else:
            reason = "is not a checkpoint, or a damaged one"
        raise ValueError(f"{path} {reason}") from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} does not hold a dictionary of tensors")
    if not all(isinstance(name, str) for name in state):
        raise ValueError(f"{path} holds tensors under something else than names")
    return state


def read_folder(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder as transformers writes it, in one file or in parts that an index lists.

    Raises:
        ValueError: there are none, a part is missing, or the index is no index; the message names the file.
    """
    for name in _WHOLE:
        if (folder / name).exists():
            return read_tensors(folder / name)
        index = folder / f"{name}.index.json"
        if index.exists():
            return _read_parts(index)
    raise ValueError(f"{folder} has neither {' nor '.join(_WHOLE)}, nor an index of parts")


def _read_parts(index: Path) -> dict[str, Tensor]:
    places = read_options(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{index} has no weight_map")
    tensors: dict[str, Tensor] = {}
    for part in sorted({str(part) for part in places.values()}):
        if Path(part).name != part:
            raise ValueError(f"{index} names {part!r}, which is not a file beside it")
        if not (index.parent / part).exists():
            raise ValueError(f"{index} names {part}, which is missing")
        tensors |= read_tensors(index.parent / part)
    missing = [name for name in places if name not in tensors]
    if missing:
        raise ValueError(f"{index} promises {missing[0]}, which {places[missing[0]]} does not hold")
    return tensors


def read_options(path: Path) -> dict[str, Any]:
    """A configuration in a JSON or YAML file.

    Raises:
        ValueError: the file is neither; the message names it.
    """
    text = read_text(path)
    try:
        options = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: JSON, and dates that do not exist
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not valid JSON or YAML: {reason}") from error
    if not isinstance(options, dict):
        raise ValueError(f"{path} does not hold a configuration, but a {type(options).__name__}")
    return options


def read_text(path: Path) -> str:
    """A text file that is not empty; ValueError names it otherwise."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8") from error
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return text


def read_arrays(path: Path) -> dict[str, Any]:
    """The tree of NumPy arrays in a pickle, as DeepMind released its parameters.

    Raises:
        ValueError: it holds anything but arrays and plain containers, named in the message, or is damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            tree = _ArrayUnpickler(file).load()
        except _RefusedError as error:
            raise ValueError(f"{path} holds {error}, which is no NumPy array; nothing of it is run") from error
        except Exception as error:  # damaged files raise almost anything
            raise ValueError(f"{path} is not a pickle of arrays, or a damaged one") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} does not hold a tree of arrays, but a {type(tree).__name__}")
    return tree


class _RefusedError(pickle.UnpicklingError):
    pass


def _encode(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 spell bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _admitted() -> dict[tuple[str, str], Any]:
    """What a pickle may name, and what is called instead: the makers of arrays, and plain containers."""
    array, number = np.zeros(1), np.float32(0)
    makers: list[Any] = [array.__reduce__(), array.__reduce_ex__(5), number.__reduce__()]
    admitted: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): OrderedDict,
    }
    for function in (maker[0] for maker in makers):
        for package in ("numpy.core", "numpy._core"):  # before and since NumPy 2
            admitted[f"{package}.{function.__module__.rpartition('.')[2]}", function.__name__] = function
    # Haiku's own mappings, of which a pickle holds a plain one: read as that.
    for name in ("FlatMapping", "FlatMap", "frozendict"):
        admitted["haiku._src.data_structures", name] = dict
    return admitted


class _ArrayUnpickler(pickle.Unpickler):
    """Makes arrays and plain containers, and refuses every other name before anything is called."""

    admitted = _admitted()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise _RefusedError(f"{module}.{name}")
        return self.admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("a reference to something outside of it")
