"""A new problem as a schema: named arrays in, named answers out, and how large the model should be.

    Schema -> PerceiverConfig (the model) and DeclaredConfig (its losses), and back

docs/schemas.md describes the fields for those who write them; what is left out follows from the rest.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import nn

from anybyte.config import DeclaredConfig, LossConfig, PerceiverConfig
from anybyte.config.tasks import LossKind
from anybyte.models import schema_parts as parts
from anybyte.models.contradictions import check_losses, near

InputKind = Literal[
    "image", "series", "video", "audio", "mel", "array", "set", "points", "tokens", "label", "bytes"
]  # fmt: skip
OutputKind = Literal["class", "values", "grid", "tokens", "entities"]
Positions = Literal["fourier", "learned", "none"]


class Contradiction(ValueError):
    """A schema does not agree with itself.

    Attributes:
        path: the keys that lead to the place in the schema.
    """

    def __init__(self, message: str, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


@dataclass(frozen=True, kw_only=True)
class InputSchema:
    """One array that the model reads; which fields it takes depends on its kind."""

    name: str
    kind: InputKind = "array"
    shape: tuple[int, ...] | None = None
    """Of one example, channels last. A set or points: of one entity, since there may be any number of them."""
    patch: int | tuple[int, ...] | None = None
    """How much of each axis becomes one token. None: each place is a token."""
    positions: Positions | None = None
    """None: fourier where there are places, learned for tokens, none for sets."""
    bands: int | None = None
    """Frequencies of Fourier positions. None: as many as the longest axis has places, 8 to 64."""
    hide: float = 0.0
    """Share of the tokens that is hidden in training; 1 hides all, always."""
    vocabulary: int | None = None
    """Tokens: how many different ones there are."""
    classes: int | None = None
    """Labels: how many different ones there are."""
    kernel: int | None = None
    """Bytes: how many a token reads. None: 16."""


@dataclass(frozen=True, kw_only=True)
class OutputSchema:
    """One answer of the model. Its kind may be left out where another field gives it away."""

    name: str
    kind: OutputKind | None = None
    """None: class if there are `classes`, values if there are `values`, entities if there is `of`, otherwise grid."""
    classes: int | tuple[str, ...] | None = None
    """How many classes, or their names."""
    values: int | None = None
    """How many numbers."""
    shape: tuple[int, ...] | None = None
    """Of a grid's answer, channels last; without channels if it has classes. Of tokens, the length."""
    reconstructs: str | None = None
    """The input to answer with: shape and target are the input's."""
    of: str | None = None
    """Entities: the input to whose tokens the answers belong. None: the only one."""
    positions: Literal["fourier", "learned"] = "fourier"
    bands: int | None = None
    """As for inputs."""
    loss: LossKind | None = None
    """None: cross_entropy for classes and tokens, mse for values and entities, l1 for grids."""
    weight: float = 1.0
    label_smoothing: float = 0.0
    peak: float = 1.0
    rows: int | None = None
    """Answer this many places in training, drawn anew for each example. None: all."""


@dataclass(frozen=True, kw_only=True)
class SizeSchema:
    """How large the model is."""

    latents: int = 64
    """Vectors that everything is read into."""
    width: int = 128
    """Channels of each."""
    layers: int = 4
    heads: int = 4
    """Of self-attention; they share the width."""
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A problem that a Perceiver can be made for.

    Example:
        Schema(inputs=(InputSchema(name="picture", kind="image", shape=(32, 32, 3), patch=4),),
               outputs=(OutputSchema(name="what", classes=10),))
    """

    inputs: tuple[InputSchema, ...]
    outputs: tuple[OutputSchema, ...]
    size: SizeSchema = field(default_factory=SizeSchema)

    def config(self) -> PerceiverConfig:
        """The model's config.

        Raises:
            ValueError: the schema contradicts itself; the message names both sides.
        """
        return self._compile()[0]

    def task(self) -> DeclaredConfig:
        """The losses of its outputs.

        Raises:
            ValueError: as `config`.
        """
        return self._compile()[1]

    @classmethod
    def from_config(cls, config: PerceiverConfig, task: DeclaredConfig | None = None) -> Schema:
        """The schema of a model that a schema can describe, with the usual losses if none are given.

        Raises:
            ValueError: no schema makes this config; the message names what stands in the way.
        """
        schema = cls(
            inputs=tuple(InputSchema(**parts.input_fields(part)) for part in config.inputs),
            outputs=tuple(OutputSchema(**parts.output_fields(output, task)) for output in config.outputs),
            size=SizeSchema(
                latents=config.num_latents,
                width=config.latent_dim,
                layers=config.num_layers,
                heads=config.process.num_heads,
                dropout=config.dropout,
            ),
        )
        again = schema.config()
        for name in (entry.name for entry in dataclasses.fields(config)):
            if getattr(again, name) != getattr(config, name):
                nearest = f"the nearest has {getattr(again, name)}"
                raise ValueError(f"no schema makes a model with {name}={getattr(config, name)}; {nearest}")
        return schema

    def to_yaml(self) -> str:
        """The schema as a file that `read_schema` reads."""
        from anybyte.models.schema_files import write_yaml

        return write_yaml(self)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Schema:
        """The schema in a .yaml, .yml or .toml file; see `schema_files.read_schema`."""
        from anybyte.models.schema_files import read_schema

        return read_schema(path)

    def _compile(self) -> tuple[PerceiverConfig, DeclaredConfig]:
        _check_names(self)
        _check_size(self.size)
        inputs = {
            part.name: _guarded(("inputs", part.name), parts.input_config, part, self.size) for part in self.inputs
        }
        hidden = next((part.name for part in self.inputs if part.hide), None)
        if hidden is not None and len(inputs) == 1:
            raise Contradiction(
                f"input {hidden!r} is the only one: hide is for models that can guess it from others",
                ("inputs", hidden),
            )
        outputs, losses = [], []
        for output in self.outputs:
            path = ("outputs", output.name)
            completed = _guarded(path, _completed, output, self.inputs)
            outputs.append(_guarded(path, parts.output_config, completed, self.size, inputs))
            losses.append(_loss(completed))
        config = parts.perceiver_config(tuple(inputs.values()), tuple(outputs), self.size)
        for loss in losses:
            _guarded(("outputs", loss.output), check_losses, config, DeclaredConfig(losses=(loss,)))
        return config, DeclaredConfig(losses=tuple(losses))


def _completed(output: OutputSchema, inputs: Sequence[InputSchema]) -> OutputSchema:
    """The output with its kind, and with the shape of what it reconstructs."""
    source = None
    if output.reconstructs is not None:
        by_name = {part.name: part for part in inputs}
        if output.reconstructs not in by_name:
            raise ValueError(
                f"output {output.name!r} reconstructs {output.reconstructs!r}, which is no input: "
                f"{near(output.reconstructs, by_name)}"
            )
        source = by_name[output.reconstructs]
        if output.shape is None:
            output = dataclasses.replace(output, shape=source.shape)
    if output.kind is not None:
        return output
    kind: OutputKind = "grid"
    if output.of is not None:
        kind = "entities"
    elif output.values is not None:
        kind = "values"
    elif source is not None and source.kind == "tokens":
        kind = "tokens"
    elif output.classes is not None and output.shape is None:
        kind = "class"
    return dataclasses.replace(output, kind=kind)


def _loss(output: OutputSchema) -> LossConfig:
    """How a completed output is trained."""
    usual: LossKind = "l1" if output.kind == "grid" else "mse"
    if output.classes is not None or output.kind == "tokens":
        usual = "cross_entropy"
    return LossConfig(
        output=output.name,
        loss=output.loss or usual,
        weight=output.weight,
        label_smoothing=output.label_smoothing,
        target=output.reconstructs,
        labels=output.classes if isinstance(output.classes, tuple) else (),
        peak=output.peak,
        rows=output.rows,
    )


def _guarded(path: Sequence[str], function: Any, *args: Any) -> Any:
    """A function's result; what it refuses says where in the schema that is."""
    try:
        return function(*args)
    except ValueError as error:
        raise error if isinstance(error, Contradiction) else Contradiction(str(error), path) from error


def _check_names(schema: Schema) -> None:
    for what, entries in (("inputs", schema.inputs), ("outputs", schema.outputs)):
        if not entries:
            raise Contradiction(f"a schema needs {what}; this one has none", (what,))
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise Contradiction(f"two {what} are named {name!r}", (what, name))
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
                raise Contradiction(f"{what} are named by letters, digits, _ and -, got {name!r}", (what, name))
            if hasattr(nn.ModuleDict(), name) or hasattr(nn.ParameterDict(), name):
                raise Contradiction(
                    f"torch keeps the name {name!r} for itself; choose another for {what}", (what, name)
                )
        kinds: tuple[str | None, ...] = get_args(InputKind) if what == "inputs" else (*get_args(OutputKind), None)
        for entry in entries:
            if entry.kind not in kinds:
                known = [kind for kind in kinds if kind]
                raise Contradiction(
                    f"there is no kind {entry.kind!r}: {near(str(entry.kind), known)}", (what, entry.name)
                )


def _check_size(size: SizeSchema) -> None:
    for name in ("latents", "width", "layers", "heads"):
        if getattr(size, name) < 1:
            raise Contradiction(f"{name} must be at least 1, got {getattr(size, name)}", ("size",))
    if size.width % size.heads:
        raise Contradiction(f"width {size.width} cannot be shared by {size.heads} heads", ("size",))
    if not 0 <= size.dropout < 1:
        raise Contradiction(f"dropout must be at least 0 and below 1, got {size.dropout}", ("size",))
