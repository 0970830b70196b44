"""Whether a model can classify what a reading gives: checked by name before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from anybyte.config import (
    ArrayInputConfig,
    AudioInputConfig,
    AverageOutputConfig,
    ByteFormerConfig,
    BytesInputConfig,
    ClassOutputConfig,
    ImageInputConfig,
    InputConfig,
    MelInputConfig,
    PerceiverConfig,
    PointsInputConfig,
    VideoInputConfig,
)
from anybyte.reading.base import Reading


def check_fit(config: ByteFormerConfig | PerceiverConfig, reading: Reading) -> None:
    """Nothing, if a model of this config answers with classes and reads what `reading` gives.

    Raises:
        ValueError: it does not; the message names the input or output, and both shapes.
    """
    blank, kind = reading.blank(), reading.config.kind
    if not isinstance(config, PerceiverConfig):
        if kind != "bytes":
            raise ValueError(f"a ByteFormer reads bytes, but reading.kind is {kind!r}: choose a Perceiver")
        return
    inputs, outputs = config.inputs, config.outputs
    if len(outputs) != 1 or not isinstance(outputs[0], ClassOutputConfig | AverageOutputConfig):
        raise ValueError(
            "a Perceiver that classifies files has one output, of classes; this one reads "
            f"{_listed(inputs)} and answers {_listed(outputs)}"
        )
    if isinstance(blank, Mapping):
        known = {part.name: part for part in inputs}
        for name, array in blank.items():
            if name not in known:
                raise ValueError(f"the reading ({kind}) gives {name!r}, but the model reads {', '.join(known)}")
            _check_input(known[name], array, kind)
        for name, part in known.items():
            if name not in blank:
                raise ValueError(f"the model reads {name!r} ({part.kind}), which the reading ({kind}) does not give")
    elif len(inputs) != 1:
        raise ValueError(f"the reading ({kind}) gives one array, but the model reads {_listed(inputs)}")
    else:
        _check_input(inputs[0], blank, kind)


def _check_input(part: InputConfig, blank: Any, kind: str) -> None:
    """An input and what it would be given: bytes, or an array of this shape."""
    is_bytes = not isinstance(blank, np.ndarray)
    wanted = _shape(part)
    if is_bytes and isinstance(part, BytesInputConfig):
        return
    if is_bytes or wanted is None or len(wanted) != blank.ndim:
        raise ValueError(f"input {part.name!r} of the model reads {part.kind}, but reading.kind is {kind!r}")
    if any(want not in (None, have) for want, have in zip(wanted, blank.shape, strict=True)):
        raise ValueError(
            f"input {part.name!r} of the model ({part.kind}) is made for {_size(wanted)}, "
            f"but the reading ({kind}) gives {_size(blank.shape)}"
        )


def _shape(part: InputConfig) -> tuple[int | None, ...] | None:
    """The shape of one example of an input, None for any length; None for inputs that no reading fills."""
    if isinstance(part, ImageInputConfig | VideoInputConfig):
        return (*part.shape, part.num_channels)
    if isinstance(part, AudioInputConfig):
        return (part.num_samples,)
    if isinstance(part, MelInputConfig):
        return part.shape
    if isinstance(part, PointsInputConfig):
        return (None, len(part.positions.max_resolution) + part.num_channels)
    if isinstance(part, ArrayInputConfig):
        return (None, part.num_channels) if part.shape is None else (*part.shape, part.num_channels)
    return None


def _size(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if side is None else f"{side}" for side in shape)


def _listed(parts: Any) -> str:
    """What they are, in the middle of a sentence."""
    kinds = [part.kind for part in parts]
    return " and ".join(filter(None, [", ".join(kinds[:-1]), *kinds[-1:]])) or "nothing"
