"""What a model's inputs, outputs and losses must agree on, found before anything is trained."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from anybyte.config import (
    ArrayInputConfig,
    AudioInputConfig,
    AverageOutputConfig,
    ClassOutputConfig,
    DeclaredConfig,
    EntityOutputConfig,
    GridOutputConfig,
    ImageInputConfig,
    InputConfig,
    LossConfig,
    MelInputConfig,
    OutputConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)

_CLASSES = (ClassOutputConfig, AverageOutputConfig, EntityOutputConfig, GridOutputConfig)


def near(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what it may have been meant to be, or all there is."""
    known = list(known)
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else f"there is {', '.join(map(repr, known)) or 'none'}"


def array_shape(config: InputConfig) -> tuple[int, ...] | None:
    """The shape of an example's array, as far as the config fixes it: None for files, flow, points and sets."""
    if isinstance(config, ImageInputConfig | VideoInputConfig):
        return (*config.shape, config.num_channels)
    if isinstance(config, AudioInputConfig):
        return (config.num_samples,)
    if isinstance(config, MelInputConfig):
        return config.shape
    if isinstance(config, TokenInputConfig):
        return (config.max_length,)
    if isinstance(config, ArrayInputConfig) and config.shape is not None:
        return (*config.shape, config.num_channels)
    return None


def query_grid(config: GridOutputConfig) -> tuple[int, ...]:
    """Queries of a grid along each axis.

    Raises:
        ValueError: its patches do not fill it; the message names the output.
    """
    shape, patch = config.shape, config.patch or (1,) * len(config.shape)
    if len(patch) != len(shape) or min(patch) < 1 or any(size % step for size, step in zip(shape, patch, strict=True)):
        raise ValueError(f"output {config.name!r} of shape {shape} cannot be answered in patches of {patch}")
    return tuple(size // step for size, step in zip(shape, patch, strict=True))


def num_places(config: OutputConfig) -> int:
    """Queries of an output whose form its config fixes."""
    if isinstance(config, GridOutputConfig):
        return math.prod(query_grid(config))
    return config.max_length if isinstance(config, TokenOutputConfig) else 1


def whole_shape(config: OutputConfig, vocabulary: int) -> tuple[int, ...]:
    """The shape of an example's whole answer of a grid or of tokens."""
    if isinstance(config, TokenOutputConfig):
        return (config.max_length, vocabulary)
    assert isinstance(config, GridOutputConfig)
    if config.flatten:
        return (math.prod(config.shape) * config.num_channels,)
    return (*config.shape, config.num_channels)


def check_losses(config: PerceiverConfig, task: DeclaredConfig) -> None:
    """Raises ValueError for a loss that does not fit the model's inputs and outputs; the message names both sides."""
    outputs = {output.name: output for output in config.outputs}
    inputs = {part.name: part for part in config.inputs}
    if not task.losses:
        raise ValueError(f"no output has a loss; the model answers {', '.join(map(repr, outputs)) or 'nothing'}")
    names = [loss.output for loss in task.losses]
    for loss in task.losses:
        if loss.output not in outputs:
            raise ValueError(f"a loss is for output {loss.output!r}: {near(loss.output, outputs)}")
        if names.count(loss.output) > 1:
            raise ValueError(f"output {loss.output!r} has two losses")
        output = outputs[loss.output]
        _check_loss(loss, output)
        if loss.target is None:
            continue
        if loss.target not in inputs:
            raise ValueError(
                f"output {loss.output!r} reconstructs {loss.target!r}, which is no input: {near(loss.target, inputs)}"
            )
        _check_reconstruction(loss, output, inputs[loss.target])


def _check_loss(loss: LossConfig, output: OutputConfig) -> None:
    what = f"output {loss.output!r} of kind {output.kind!r}"
    is_flat = isinstance(output, GridOutputConfig) and output.flatten
    fits = {
        "cross_entropy": isinstance(output, (*_CLASSES, TokenOutputConfig)) and not is_flat,
        "binary_cross_entropy": isinstance(output, _CLASSES),
        "l1": not isinstance(output, TokenOutputConfig),
        "mse": not isinstance(output, TokenOutputConfig),
    }
    if isinstance(output, GridOutputConfig) and output.patch is not None:
        fits |= {"cross_entropy": False, "binary_cross_entropy": False}  # a query answers many places at once
    if loss.loss not in fits:
        raise ValueError(f"{what} has no loss {loss.loss!r}: {near(loss.loss, fits)}")
    if not fits[loss.loss]:
        fitting = " or ".join(name for name, fit in fits.items() if fit)
        raise ValueError(f"{what} cannot be trained by {loss.loss}: it takes {fitting}")
    if not 0 <= loss.weight < math.inf:
        raise ValueError(f"{what}: weight must be at least 0 and finite, got {loss.weight}")
    if not 0 <= loss.label_smoothing < 1:
        raise ValueError(f"{what}: label_smoothing must be at least 0 and below 1, got {loss.label_smoothing}")
    if loss.label_smoothing and loss.loss != "cross_entropy":
        raise ValueError(f"{what}: label_smoothing is for cross_entropy, not for {loss.loss}")
    if not 0 < loss.peak < math.inf:
        raise ValueError(f"{what}: peak must be positive and finite, got {loss.peak}")
    if loss.rows is not None:
        if not isinstance(output, GridOutputConfig | TokenOutputConfig):
            raise ValueError(f"{what} is answered whole: rows is for grids and tokens")
        if not 1 <= loss.rows <= num_places(output):
            raise ValueError(f"{what} has {num_places(output)} places: rows must lie in 1 to that, got {loss.rows}")
    classes = getattr(output, "num_classes", getattr(output, "num_channels", None))
    if loss.labels and (loss.loss != "cross_entropy" or len(loss.labels) != classes):
        raise ValueError(f"{what} has {len(loss.labels)} labels for {classes} classes")
    twice = [label for label in loss.labels if loss.labels.count(label) > 1]
    if twice:
        raise ValueError(f"{what} has two classes named {twice[0]!r}")


def _check_reconstruction(loss: LossConfig, output: OutputConfig, source: InputConfig) -> None:
    read = array_shape(source)
    if isinstance(output, TokenOutputConfig):
        answered: tuple[int, ...] | None = (output.max_length,)
    elif isinstance(output, GridOutputConfig):
        answered = whole_shape(output, 0)
        answered = answered[:-1] if loss.loss == "cross_entropy" else answered
    else:
        answered = None
    if answered is None or read is None or answered != read:
        raise ValueError(
            f"output {loss.output!r} of kind {output.kind!r} and shape {answered} cannot reconstruct input "
            f"{loss.target!r} of kind {source.kind!r} and shape {read}"
        )
