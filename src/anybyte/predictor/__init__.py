"""The front door: `load(name)` gives the predictor of a model, whatever the model is for."""

from __future__ import annotations

import os

import torch

from anybyte.models.pretrained import CONFIG
from anybyte.models.zoo import load_pretrained
from anybyte.predictor.files import (
    MAX_BYTES,
    UNKNOWN,
    Failure,
    Item,
    Precision,
    Prediction,
    Predictor,
    find_model,
    load_classifier,
)
from anybyte.privacy.permutation import Permutation

__all__ = ["MAX_BYTES", "UNKNOWN", "Failure", "Item", "Precision", "Prediction", "Predictor", "find_model", "load"]


def load(
    name_or_path: str | os.PathLike[str],
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    key: str | os.PathLike[str] | Permutation | None = None,
) -> Predictor:
    """A predictor of a model: from its folder or a training run's, by its bundled name, or from the Hugging Face hub.

    Args:
        name_or_path: a path, a bundled name, or an id `org/name` of the hub, tried in that order. From the hub only
            JSON, safetensors and Markdown files are fetched.
        device: where to compute. None: the GPU if there is one.
        precision: `bf16` computes under autocast; `fp32` and None do not.
        key: the key, or its file, of a model that reads permuted bytes. Without it, it takes sealed files only.

    Raises:
        ValueError: there is no such model, or its folder is damaged; the message names folder and file. Pickled weights
            are never loaded.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = find_model(name_or_path)
    try:
        model, labels = load_pretrained(folder)
    except (TypeError, RuntimeError, OverflowError) as error:  # a wrong kind or size of field fails where it is used
        raise ValueError(f"{folder / CONFIG} does not describe a model: {error}") from error
    return load_classifier(folder, model, labels, device, precision, key)
