"""The front door: `load(name)` gives the predictor of a model, whatever the model is for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from anybyte.config import AnyReadingConfig, ClipConfig, FlowInputConfig, FlowOutputConfig, FramesConfig
from anybyte.models.find import find_model
from anybyte.models.perceiver import Perceiver
from anybyte.models.pieces import PieceTokenizer, has_pieces, read_pieces
from anybyte.models.pretrained import CONFIG, Pretrained, read_reading
from anybyte.models.zoo import create_model, load_pretrained
from anybyte.predictor.clip import ClipPredictor, Reconstruction, reads_clips
from anybyte.predictor.compute import Compute, Precision
from anybyte.predictor.files import (
    MAX_BYTES,
    UNKNOWN,
    Failure,
    Item,
    Prediction,
    Predictor,
    load_classifier,
)
from anybyte.predictor.flow import FlowPredictor
from anybyte.predictor.text import Blank, Candidate, Filled, TextPredictor, reads_text
from anybyte.privacy.permutation import Permutation

__all__ = [
    "MAX_BYTES",
    "UNKNOWN",
    "Blank",
    "Candidate",
    "ClipPredictor",
    "Failure",
    "Filled",
    "FlowPredictor",
    "Item",
    "Precision",
    "Prediction",
    "Predictor",
    "Reconstruction",
    "TextPredictor",
    "find_model",
    "load",
    "load_as",
    "untrained",
]

P = TypeVar("P", bound=Compute)

DOES: Mapping[type[Compute], str] = {
    Predictor: "classify files",
    FlowPredictor: "estimate flow",
    ClipPredictor: "autoencode clips",
    TextPredictor: "fill text",
}
"""What each predictor is for."""


def load(
    name_or_path: str | os.PathLike[str],
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    key: str | os.PathLike[str] | Permutation | None = None,
) -> Any:
    """A predictor of a model: from its folder or a training run's, by its bundled name, or from the Hugging Face hub.

    Args:
        name_or_path: a path, a bundled name, or an id `org/name` of the hub, tried in that order. From the hub only
            JSON, safetensors and Markdown files are fetched.
        device: where to compute. None: the GPU if there is one.
        precision: `bf16` computes under autocast; `fp32` and None do not. `int8` is for ByteFormers, on processors.
        key: the key, or its file, of a model that reads permuted bytes. Without it, it takes sealed files only.

    Returns:
        By what the model is for, a `Predictor` (of files), `FlowPredictor`, `ClipPredictor` or `TextPredictor`.

    Raises:
        ValueError: there is no such model, or its folder is damaged; the message names folder and file. Pickled weights
            are never loaded.
    """
    folder = find_model(name_or_path)
    try:
        model, labels = load_pretrained(folder)
    except (TypeError, RuntimeError, OverflowError) as error:  # a wrong kind or size of field fails where it is used
        raise ValueError(f"{folder / CONFIG} does not describe a model: {error}") from error
    if device is None:
        device = _best_device()
    pieces = read_pieces(folder) if has_pieces(folder) else None
    found = _of_perceiver(model, labels, device, precision, pieces, read_reading(folder))
    if found is None:
        return load_classifier(folder, model, labels, device, precision, key)
    if key is not None:
        raise ValueError(f"{folder} does not read permuted bytes: there is no use for a key")
    return found


def load_as(
    kind: type[P],
    name_or_path: str | os.PathLike[str],
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    key: str | os.PathLike[str] | Permutation | None = None,
) -> P:
    """As `load`, for callers that need a predictor of one kind.

    Raises:
        ValueError: the model is for something else, or any that `load` raises.
    """
    found = load(name_or_path, device, precision, key)
    if not isinstance(found, kind):
        raise ValueError(f"{os.fspath(name_or_path)} does not {DOES[kind]}: it is there to {DOES[type(found)]}")
    return found


def untrained(
    kind: type[P],
    name: str,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: Precision | None = None,
) -> P:
    """The predictor of a model of the zoo with random weights: to see what it costs. Its answers mean nothing.

    Args:
        kind: which predictor.
        name: of the model.
        seed: of the weights; the state of torch's own generator stays as it was.
        device: where to compute. None: the GPU if there is one.
        precision: as for `load`.

    Raises:
        ValueError: there is no such model, or it is for something else.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(name)
    found = _of_perceiver(model, None, device or _best_device(), precision)
    if not isinstance(found, kind):
        raise ValueError(f"{name} does not {DOES[kind]}")
    return found


def _of_perceiver(
    model: Pretrained,
    labels: tuple[str, ...] | None,
    device: str | torch.device,
    precision: Precision | None,
    pieces: PieceTokenizer | None = None,
    reading: AnyReadingConfig | None = None,
) -> FlowPredictor | ClipPredictor | TextPredictor | None:
    """The predictor that fits the inputs and outputs of a Perceiver; None if there is none of its own."""
    if not isinstance(model, Perceiver):
        return None
    kinds = [type(part) for part in (*model.config.inputs, *model.config.outputs)]
    if kinds == [FlowInputConfig, FlowOutputConfig]:
        frames = reading if isinstance(reading, FramesConfig) else None
        return FlowPredictor(model, device, precision, reading=frames)
    if reads_clips(model):
        clips = reading if isinstance(reading, ClipConfig) else None
        return ClipPredictor(model, labels, device, precision, reading=clips)
    return TextPredictor(model, device, precision, pieces) if reads_text(model, pieces) else None


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
