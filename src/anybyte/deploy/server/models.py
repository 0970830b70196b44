"""The models of a server: loaded and tried before it opens its door."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anybyte import __version__
from anybyte.batch import Data
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.models.pretrained import CARD
from anybyte.predictor import Precision, Predictor, find_model, load_as
from anybyte.reading import ByteReading, as_json, describe, reading_digest

_PROBE_BYTES = 4096
"""Of the made-up file that a model is tried on: longer than any kernel."""


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
        name: that callers know it by.
        predictor: the model in use.
        card: of its folder, Markdown; None without one.
    """

    name: str
    predictor: Predictor
    card: str | None = None


def load_models(
    models: Mapping[str, str | os.PathLike[str] | Predictor],
    device: str | None = None,
    precision: Precision | None = None,
) -> dict[str, Served]:
    """The models by their names, each tried once: a damaged one should stop the start, not the first caller.

    Args:
        models: name -> folder, bundled name, hub id, or a predictor that is there already.
        device: where to compute. None: the GPU if there is one.
        precision: as for `anybyte.load`.

    Raises:
        ValueError: there is none, one cannot be loaded, does not classify files, or gives no finite numbers.
    """
    if not models:
        raise ValueError("there is no model to serve")
    loaded = {}
    for name, model in models.items():
        if isinstance(model, Predictor):
            served = Served(name, model)
        else:
            card = find_model(model) / CARD
            text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None
            served = Served(name, load_as(Predictor, model, device, precision), text)
        _try(served)
        loaded[name] = served
    return loaded


def names_of(models: Sequence[str]) -> dict[str, str]:
    """Names of models as the command line gives them: `name=path`, or a path alone, whose last part is the name.

    Raises:
        ValueError: a name is empty or used twice.
    """
    named: dict[str, str] = {}
    for model in models:
        name, equals, path = model.partition("=")
        if not equals or "/" in name:
            name, path = _default_name(model), model
        if not name or not path:
            raise ValueError(f"{model!r} names no model: write PATH or NAME=PATH")
        if name in named:
            raise ValueError(f"two models are named {name!r}: give them names (a={named[name]} b={path})")
        named[name] = path
    return named


def about(served: Served) -> dict[str, Any]:
    """What there is to know of a model, as JSON."""
    predictor = served.predictor
    reading = predictor.reading
    config = reading.kept
    fingerprint = reading.protection.fingerprint if isinstance(reading, ByteReading) else None
    return {
        "version": __version__,
        "architecture": type(predictor.model).__name__,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "labels": list(predictor.labels),
        "several": bool(getattr(predictor.model, "has_several", False)),
        "reading": {
            "kind": config.kind,
            "about": describe(config),
            "as_stored": reading.is_as_stored,
            "settings": as_json(config),
            "key": fingerprint,
            "digest": reading_digest(config).hex() if isinstance(config, ReadingConfig) else None,
            "permutes_only": fingerprint is not None and isinstance(config, ReadingConfig) and _only_permutes(config),
        },
        "card": served.card,
    }


def _only_permutes(config: ReadingConfig) -> bool:
    """Whether the permutation is all that becomes of a file before a model reads it."""
    privacy = replace(config.privacy, permutation=False, fingerprint=None, key=None, seed=PrivacyConfig().seed)
    return replace(config, privacy=privacy) == ReadingConfig()


def _default_name(path: str) -> str:
    parts = [part for part in Path(path).parts if part not in ("/", "..", ".")]
    if len(parts) > 1 and parts[-1] == "model":  # of a run's folder
        parts.pop()
    return parts[-1] if parts else Path(path).resolve().name


def _try(served: Served) -> None:
    """Computes a made-up file: raises ValueError if no numbers come out; what is slow only once is done, too."""
    predictor = served.predictor
    try:
        found = predictor.probabilities([_probe(predictor)])
    except RuntimeError as error:  # torch, of weights and settings that do not fit each other
        raise ValueError(f"the model {served.name} does not compute: {str(error).partition(chr(10))[0]}") from error
    if not bool(found.isfinite().all()):
        raise ValueError(f"the model {served.name} does not give finite numbers: its weights are damaged")


def _probe(predictor: Predictor) -> Data:
    """What the model reads of a made-up file."""
    reading = predictor.reading
    if isinstance(reading, ByteReading):
        return np.zeros(_PROBE_BYTES, dtype=np.uint8)
    blank = reading.blank()
    if reading.views == 1:
        return blank
    if isinstance(blank, Mapping):
        return {name: np.stack([array] * reading.views) for name, array in blank.items()}
    return np.stack([np.asarray(blank)] * reading.views)
