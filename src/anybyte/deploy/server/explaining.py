"""Explanations as JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from anybyte.deploy.server.errors import ApiError
from anybyte.deploy.server.uploads import Upload
from anybyte.explain import DEFAULT_METHOD, METHODS, explain, overlay
from anybyte.models.stem import Stem
from anybyte.predictor import Predictor

_STRETCHES = 20


@dataclass(frozen=True)
class Question:
    """What somebody wants to have explained.

    Attributes:
        upload: the file.
        method: of explaining; None: the default one.
        label: to explain; None: the most probable one.
        encoding: of the scores, `int8` or `float32`.
        overlay: whether to draw them over what the file shows.
    """

    upload: Upload
    method: str | None = None
    label: str | None = None
    encoding: str = "int8"
    overlay: bool = True


def methods_of(predictor: Predictor) -> dict[str, Any] | None:
    """How a model can be explained, as JSON; None if it does not read the bytes of files."""
    if not any(isinstance(module, Stem) for module in predictor.model.modules()):
        return None
    return {"methods": list(METHODS), "default": DEFAULT_METHOD}


def answer(predictor: Predictor, question: Question, stopped: Callable[[], bool]) -> dict[str, Any]:
    """The explanation of a file, as JSON.

    Raises:
        Stopped: `stopped` said that nobody waits any longer.
        ApiError: 422, the file, the label or the method does not do, or the server lacks what the method needs.
    """
    upload = question.upload
    method = question.method or DEFAULT_METHOD
    name = upload.name or "the file"
    try:
        found = explain(predictor, upload.data, method=method, label=question.label, name=name, stopped=stopped)
    except ValueError as error:
        raise ApiError(422, "bad_request", str(error)) from error
    except ModuleNotFoundError as error:  # the message names the extra that the server lacks
        raise ApiError(422, "no_explain", str(error)) from error
    drawn = overlay(found.data, found.scores) if question.overlay else None
    return {
        "label": found.label,
        "score": found.probability,
        "logit": found.logit,
        "method": found.method,
        "completeness_error": found.completeness_error,
        "altered": found.altered,
        "scores": encode_scores(found.scores, question.encoding),
        "stretches": [
            {"start": stretch.start, "stop": stretch.end, "score": stretch.score}
            for stretch in found.top_stretches(_STRETCHES)
        ],
        "overlay": drawn and {"kind": drawn.kind, "png": _text(drawn.png), "about": drawn.about},
    }


def encode_scores(scores: Float32[np.ndarray, "bytes"], encoding: str) -> dict[str, Any]:
    """Scores as JSON: Base64 of float32, or of int8 and what to multiply it with."""
    scale = 1.0
    values = scores.astype("<f4")
    if encoding == "int8":
        scale = float(np.abs(scores).max()) / 127 or 1.0  # all zero: any scale will do
        values = np.rint(scores / scale).astype(np.int8)
    return {"encoding": encoding, "length": len(scores), "scale": scale, "data": _text(values.tobytes())}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
