"""The inputs and outputs of a schema as those of a Perceiver's config, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    BytesInputConfig,
    ClassOutputConfig,
    DeclaredConfig,
    EntityOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    InputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    MelInputConfig,
    OutputConfig,
    PerceiverConfig,
    PointsInputConfig,
    PositionsConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.models.contradictions import near
from anybyte.models.inputs.patches import divide
from anybyte.models.positions import LEARNED_AXES

if TYPE_CHECKING:
    from anybyte.models.schema import InputSchema, OutputSchema, SizeSchema

_FIELDS = {
    "image": "shape patch positions bands",
    "series": "shape patch positions bands hide",
    "video": "shape patch positions bands hide",
    "audio": "shape patch positions bands hide",
    "mel": "shape patch positions bands hide",
    "array": "shape patch positions bands hide",
    "set": "shape",
    "points": "shape bands",
    "tokens": "shape vocabulary positions",
    "label": "classes hide",
    "bytes": "kernel",
}
"""Kind of input -> the fields it takes."""
_REQUIRED = ("shape", "vocabulary", "classes")
_AXES = {
    "image": "[height, width, channels]",
    "series": "[steps, channels]",
    "video": "[frames, height, width, channels]",
}
_AXES |= {"audio": "[samples]", "mel": "[frames, bands]", "array": "[places.., channels]", "tokens": "[length]"}
_AXES |= {"set": "[channels]", "points": "[coordinates]"}
"""Kind of input -> what its shape means."""
_OUTPUT_FIELDS = {
    "class": "classes label_smoothing",
    "values": "values peak",
    "grid": "shape classes positions bands reconstructs rows label_smoothing peak",
    "tokens": "shape reconstructs rows label_smoothing",
    "entities": "of classes values label_smoothing peak",
}
"""Kind of output -> the fields it takes, beside loss and weight."""


def input_config(part: InputSchema, size: SizeSchema) -> InputConfig:
    """The config of an input.

    Raises:
        ValueError: a field is missing or does not fit the kind; the message names both.
    """
    what, kind, name = f"input {part.name!r} of kind {part.kind!r}", part.kind, part.name
    _check_fields(what, part, _FIELDS[kind].split(), _FIELDS)
    for field in _REQUIRED:
        if field in _FIELDS[kind].split() and getattr(part, field) is None:
            of = f" {_AXES[kind]}" if field == "shape" else ""
            raise ValueError(f"{what} needs a {field}{of}")
    if not 0 <= part.hide <= 1:
        raise ValueError(f"{what}: hide must lie in 0 to 1, got {part.hide}")
    if kind == "label":
        return LabelInputConfig(
            name=name, num_classes=_positive(what, "classes", part.classes), mask_probability=part.hide
        )
    if kind == "bytes":
        kernel = 16 if part.kernel is None else part.kernel
        if kernel < 2 or kernel % 2:
            raise ValueError(f"{what} needs an even kernel of at least 2, got {kernel}")
        _check_even(what, size.width)
        return BytesInputConfig(name=name, num_channels=size.width, kernel_size=kernel)
    shape = part.shape or ()
    expected = _AXES[kind].count(",") + 1
    if len(shape) < 2 if kind == "array" else len(shape) != expected:
        raise ValueError(f"{what} must have a shape {_AXES[kind]}, got {list(shape)}")
    for length in shape:
        _positive(what, "shape", length)
    if kind == "tokens":
        return TokenInputConfig(
            name=name,
            vocabulary=_positive(what, "vocabulary", part.vocabulary),
            num_channels=size.width,
            max_length=shape[0],
            positions=_word_positions(what, part.positions, size.width),
        )
    if kind == "set":
        return ArrayInputConfig(name=name, num_channels=shape[0])
    if kind == "points":
        bands = 16 if part.bands is None else _positive(what, "bands", part.bands)
        return PointsInputConfig(
            name=name, positions=FourierPositionsConfig(num_bands=bands, max_resolution=(4 * bands,) * shape[0])
        )
    places, channels = (shape, 1) if kind in ("audio", "mel") else (shape[:-1], shape[-1])
    patch = _patch(what, part.patch, places)
    grid = divide(name, places, patch)
    positions = _positions(what, ("fourier", "learned", "none"), part.positions, part.bands, grid, size.width)
    if part.positions == "learned" and len(grid) > LEARNED_AXES:
        raise ValueError(f"{what} has {len(grid)} axes; learned positions are for 1 to {LEARNED_AXES}")
    if kind == "image":
        return ImageInputConfig(
            name=name,
            shape=(places[0], places[1]),
            patch=(patch[0], patch[1]),
            num_channels=channels,
            positions=positions,
        )
    common: dict[str, Any] = {"name": name, "positions": positions, "mask_probability": part.hide}
    if kind == "video":
        return VideoInputConfig(shape=_three(places), patch=_three(patch), num_channels=channels, **common)
    if kind == "audio":
        return AudioInputConfig(num_samples=places[0], patch=patch[0], **common)
    if kind == "mel":
        return MelInputConfig(shape=(places[0], places[1]), patch=(patch[0], patch[1]), **common)
    cut = patch if any(step > 1 for step in patch) else None
    return ArrayInputConfig(num_channels=channels, shape=places, patch=cut, **common)


def output_config(output: OutputSchema, size: SizeSchema, inputs: Mapping[str, InputConfig]) -> OutputConfig:
    """The config of an output whose kind is known.

    Raises:
        ValueError: a field is missing or does not fit the kind or an input; the message names both.
    """
    assert output.kind is not None
    what, kind, name = f"output {output.name!r} of kind {output.kind!r}", output.kind, output.name
    _check_fields(what, output, [*_OUTPUT_FIELDS[kind].split(), "loss", "weight"], _OUTPUT_FIELDS)
    classes = len(output.classes) if isinstance(output.classes, tuple) else output.classes
    if kind in ("class", "values"):
        count = _positive(
            what, "classes" if kind == "class" else "values", classes if kind == "class" else output.values
        )
        return ClassOutputConfig(name=name, num_classes=count, query_channels=size.width)
    if kind == "entities":
        if (classes is None) == (output.values is None):
            raise ValueError(f"{what} needs classes or values, and not both")
        if output.of is None and len(inputs) > 1:
            raise ValueError(f"{what} must say `of` which input: {', '.join(inputs)}")
        if output.of is not None and output.of not in inputs:
            raise ValueError(f"{what} is of {output.of!r}, which is no input: {near(output.of, inputs)}")
        count = _positive(what, "classes or values", classes if classes is not None else output.values)
        return EntityOutputConfig(name=name, input=output.of, num_channels=count)
    if output.shape is None:
        raise ValueError(f"{what} needs a shape, or an input that it reconstructs; or give it classes or values")
    for length in output.shape:
        _positive(what, "shape", length)
    if kind == "tokens":
        if not any(isinstance(part, TokenInputConfig) for part in inputs.values()):
            raise ValueError(f"{what} needs an input of kind 'tokens', whose vocabulary it answers in")
        if len(output.shape) != 1:
            raise ValueError(f"{what} must have a shape [length], got {list(output.shape)}")
        return TokenOutputConfig(name=name, max_length=output.shape[0], query_channels=size.width)
    source = None if output.reconstructs is None else inputs[output.reconstructs]
    is_signal = isinstance(source, AudioInputConfig | MelInputConfig)
    if len(output.shape) < 2 and classes is None and not is_signal:
        raise ValueError(f"{what} must have a shape with channels last, got {list(output.shape)}")
    whole = classes is not None or is_signal
    places = output.shape if whole else output.shape[:-1]
    channels = classes if classes is not None else 1 if is_signal else output.shape[-1]
    if isinstance(source, MelInputConfig):
        # A spectrogram has no axis of channels: each frame is a place, its bands are the channels.
        places, channels = output.shape[:1], output.shape[1]
    positions = _positions(what, ("fourier", "learned"), output.positions, output.bands, places, size.width)
    assert positions is not None
    flat = isinstance(source, AudioInputConfig)
    return GridOutputConfig(name=name, shape=places, num_channels=channels, positions=positions, flatten=flat)


def perceiver_config(
    inputs: tuple[InputConfig, ...], outputs: tuple[OutputConfig, ...], size: SizeSchema
) -> PerceiverConfig:
    """The whole model: one block, its layers not shared; attention of one width throughout."""
    across = AttentionConfig(qk_channels=size.width, v_channels=size.width, query_residual=False)
    return PerceiverConfig(
        inputs=inputs,
        outputs=outputs,
        num_latents=size.latents,
        latent_dim=size.width,
        num_blocks=1,
        num_layers=size.layers,
        encode=AttentionConfig(qk_channels=size.width, v_channels=size.width),
        process=AttentionConfig(num_heads=size.heads),
        decode=across,
        dropout=size.dropout,
    )


def input_fields(config: InputConfig) -> dict[str, Any]:
    """The fields of the schema's input that makes a config, as far as there is one."""
    fields: dict[str, Any] = {
        "name": config.name,
        "kind": config.kind,
        "hide": getattr(config, "mask_probability", 0.0),
    }
    if isinstance(config, LabelInputConfig):
        return fields | {"classes": config.num_classes}
    if isinstance(config, BytesInputConfig):
        return fields | {"kernel": config.kernel_size}
    if isinstance(config, TokenInputConfig):
        return fields | {"shape": (config.max_length,), "vocabulary": config.vocabulary, "positions": config.positions}
    if isinstance(config, PointsInputConfig):
        return fields | {"shape": (len(config.positions.max_resolution),), "bands": config.positions.num_bands}
    if isinstance(config, ArrayInputConfig) and config.shape is None:
        return fields | {"kind": "set", "shape": (config.num_channels,)}
    shape: tuple[int, ...]
    patch: tuple[int, ...]
    if isinstance(config, AudioInputConfig):
        shape, patch = (config.num_samples,), (config.patch,)
    elif isinstance(config, MelInputConfig):
        shape, patch = config.shape, config.patch
    elif isinstance(config, ImageInputConfig | VideoInputConfig | ArrayInputConfig):
        places = config.shape or ()
        shape, patch = (*places, config.num_channels), config.patch or (1,) * len(places)
        if isinstance(config, ArrayInputConfig) and len(places) == 1:
            fields["kind"] = "series"
    else:
        raise ValueError(f"no schema has an input of kind {config.kind!r}, as {config.name!r} is")
    even = patch[0] if len(set(patch)) == 1 else patch
    return fields | {"shape": shape, "patch": None if even == 1 else even, **_position_fields(config.positions, "none")}


def output_fields(config: OutputConfig, task: DeclaredConfig | None) -> dict[str, Any]:
    """The fields of the schema's output that makes a config and its loss, as far as there is one."""
    fields: dict[str, Any] = {"name": config.name}
    loss = next((loss for loss in (task.losses if task else ()) if loss.output == config.name), None)
    if loss is not None:
        for name in ("loss", "weight", "label_smoothing", "peak", "rows"):
            fields[name] = getattr(loss, name)
        fields["reconstructs"] = loss.target
    has_classes = loss is None or loss.loss in ("cross_entropy", "binary_cross_entropy")
    named = loss.labels if loss is not None and loss.labels else None
    if isinstance(config, ClassOutputConfig):
        if has_classes:
            return fields | {"kind": "class", "classes": named or config.num_classes}
        return fields | {"kind": "values", "values": config.num_classes}
    if isinstance(config, EntityOutputConfig):
        count = {"classes": named or config.num_channels} if has_classes else {"values": config.num_channels}
        return fields | {"kind": "entities", "of": config.input, **count}
    if isinstance(config, TokenOutputConfig):
        return fields | {"kind": "tokens", "shape": (config.max_length,)}
    if not isinstance(config, GridOutputConfig):
        raise ValueError(f"no schema has an output of kind {config.kind!r}, as {config.name!r} is")
    fields |= {"kind": "grid", **_position_fields(config.positions, "fourier")}
    if loss is not None and has_classes:
        return fields | {"shape": config.shape, "classes": named or config.num_channels}
    return fields | {"shape": config.shape if config.flatten else (*config.shape, config.num_channels)}


def _check_fields(what: str, part: Any, allowed: list[str], table: Mapping[str, str]) -> None:
    """Refuses fields that another kind has and this one has not."""
    default = type(part)(name=part.name)
    for field in {field for fields in table.values() for field in fields.split()} - set(allowed):
        if getattr(part, field) != getattr(default, field):
            raise ValueError(f"{what} has no {field}; it takes {', '.join(allowed)}")


def _positions(
    what: str, known: tuple[str, ...], kind: str | None, bands: int | None, grid: tuple[int, ...], width: int
) -> PositionsConfig | None:
    """Positions on a grid of tokens: their resolution is its size."""
    if kind is not None and kind not in known:
        raise ValueError(f"{what} has no positions {kind!r}: {near(kind, known)}")
    if bands is not None and kind in ("none", "learned"):
        raise ValueError(f"{what} has positions {kind!r}, which have no bands")
    if kind == "none":
        return None
    if kind == "learned":
        return LearnedPositionsConfig(num_channels=width)
    num_bands = min(64, max(8, *grid)) if bands is None else _positive(what, "bands", bands)
    return FourierPositionsConfig(num_bands=num_bands, max_resolution=grid)


def _position_fields(config: PositionsConfig | None, default: str) -> dict[str, Any]:
    if isinstance(config, FourierPositionsConfig):
        return {"positions": "fourier", "bands": config.num_bands}
    return {"positions": "none" if config is None else "learned"}


def _word_positions(what: str, positions: str | None, width: int) -> Any:
    if positions not in (None, "learned", "sinusoidal", "none"):
        raise ValueError(f"{what} has learned positions, sinusoidal ones or none, not {positions}")
    if positions == "sinusoidal":
        _check_even(what, width)
    return positions or "learned"


def _check_even(what: str, width: int) -> None:
    if width % 2:
        raise ValueError(f"{what} has sinusoidal positions, which need an even width, not size.width {width}")


def _patch(what: str, patch: int | tuple[int, ...] | None, places: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(patch, tuple) and len(patch) != len(places):
        raise ValueError(f"{what} has {len(places)} axes beside its channels, but a patch of {list(patch)}")
    steps = patch if isinstance(patch, tuple) else (1 if patch is None else patch,) * len(places)
    for step in steps:
        _positive(what, "patch", step)
    return steps


def _positive(what: str, field: str, value: int | None) -> int:
    if value is None or value < 1:
        raise ValueError(f"{what} needs {field} of at least 1, got {value}")
    return value


def _three(values: tuple[int, ...]) -> tuple[int, int, int]:
    return values[0], values[1], values[2]
