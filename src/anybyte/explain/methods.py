"""`explain(model, data)`: the front of all methods."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from anybyte.explain.attention import attention_rollout
from anybyte.explain.gradients import gradient_times_embedding, integrated_gradients
from anybyte.explain.occlusion import occlusion
from anybyte.explain.result import Explanation
from anybyte.explain.target import Target, make_target
from anybyte.reading import ByteReading, Reading

Found = tuple[Tensor, dict[str, Any]]
"""Scores, and what else an `Explanation` says of them."""


@runtime_checkable
class InUse(Protocol):
    """A model as it is used: `anybyte.load` gives one."""

    model: nn.Module
    labels: tuple[str, ...]
    reading: Reading


def _integrated(target: Target, **settings: Any) -> Found:
    scores, baseline, error, steps = integrated_gradients(target, **settings)
    return scores, {"baseline": baseline, "completeness_error": error, "settings": settings | {"steps": steps}}


METHODS: dict[str, Callable[..., Found]] = {
    "integrated_gradients": _integrated,
    "gradient": lambda target: (gradient_times_embedding(target), {}),
    "occlusion": lambda target, **settings: (occlusion(target, **settings), {"settings": settings}),
    "attention": lambda target: (attention_rollout(target), {}),
}
"""Name -> method. The first three say what speaks for and against a label; attention says where the model looks."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "integrated_gradients": ("tolerance", "start", "most"),
    "occlusion": ("size", "fill"),
}
"""Method -> what it may be told."""

DEFAULT_METHOD = "integrated_gradients"


def explain(
    model: InUse | nn.Module,
    data: bytes,
    *,
    method: str = DEFAULT_METHOD,
    label: str | None = None,
    labels: Sequence[str] | None = None,
    name: str = "file",
    stopped: Callable[[], bool] | None = None,
    **settings: Any,
) -> Explanation:
    """Which bytes of a file decided for a label.

    It is computed in float32. Several threads may use one model at the same time.

    Args:
        model: what `anybyte.load` gave for a model of files, or the model itself, in evaluation mode.
        data: the file, as it is stored. What the predictor's reading does to it comes first: scores are of the bytes
            that the model reads.
        method: one of `METHODS`.
        label: what to explain. None: the most probable label.
        labels: names of the classes of a model that is given without its predictor. None: numbers.
        name: what to call the file.
        stopped: is asked before each pass through the model whether nobody waits any longer. None: it goes on.
        **settings: of the method; see `integrated_gradients` (tolerance, start, most) and `occlusion` (size, fill).

    Raises:
        ValueError: the model does not read the bytes of files, the file is empty, unreadable or too long for the
            method, or method, label or a setting are unknown. The message names what it is.
        ModuleNotFoundError: the method needs captum, which is not installed; the message names the extra.
        Stopped: because `stopped` said so.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    unknown = [setting for setting in settings if setting not in SETTINGS.get(method, ())]
    if unknown:
        known = ", ".join(SETTINGS.get(method, ())) or "none"
        raise ValueError(f"{method} has no setting {unknown[0]!r}; it has {known}")
    if not data:
        raise ValueError(f"{name} is empty: there is nothing to explain")
    read = data
    if isinstance(model, InUse):
        read, labels, model = _read(model.reading, data, name), model.labels, model.model
    if model.training:
        raise ValueError("the model is in training mode, in which its answers are random: call model.eval() first")
    # Grad mode and inference mode are the caller's, and may be anything.
    with torch.inference_mode(False), torch.autocast(next(model.parameters()).device.type, enabled=False):
        try:
            target = make_target(model, read, 0, stopped)
            with torch.no_grad():
                logits = target.all_logits(target.tokens()[None])[0].double()
            names = tuple(labels or map(str, range(len(logits))))
            target = target.of(int(logits.argmax()) if label is None else _index(label, names))
            scores, more = METHODS[method](target, **settings)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    several = getattr(model, "has_several", False)
    probabilities = logits.sigmoid() if several else logits.softmax(0)
    return Explanation(
        scores=scores.cpu().float().numpy(),
        label=names[target.index],
        logit=float(logits[target.index]),
        probability=float(probabilities[target.index]),
        method=method,
        name=name,
        data=read,
        altered=read != data,
        **more,
    )


def _read(reading: Reading, data: bytes, name: str) -> bytes:
    """What a model reads of a file."""
    if not isinstance(reading, ByteReading):
        raise ValueError(
            f"this model reads what is decoded ({reading.config.kind}), not the bytes of files, so no byte has a "
            "score: give a model of bytes"
        )
    found = reading.in_use(data, name)
    assert isinstance(found, bytes | bytearray | memoryview)
    return bytes(found)


def _index(label: str, names: tuple[str, ...]) -> int:
    if label in names:
        return names.index(label)
    near = difflib.get_close_matches(label, names, n=3, cutoff=0.5) or names[:12]
    more = ", ..." if len(near) == 12 and len(names) > 12 else ""
    raise ValueError(f"the model has no label {label!r}; it has {', '.join(near)}{more}")
