"""The front door: `load(name)` gives the predictor of a model."""

from __future__ import annotations

from anybyte.predictor.files import (
    MAX_BYTES,
    UNKNOWN,
    Failure,
    Item,
    Precision,
    Prediction,
    Predictor,
    find_model,
    load,
)

__all__ = ["MAX_BYTES", "UNKNOWN", "Failure", "Item", "Precision", "Prediction", "Predictor", "find_model", "load"]
