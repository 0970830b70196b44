"""What a Perceiver is given: which tensor belongs to which name, and what contradicts what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from anybyte.batch import ByteBatch
from anybyte.config import (
    ArrayInputConfig,
    ClassOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    ImageInputConfig,
    InputConfig,
    LearnedPositionsConfig,
    MelInputConfig,
    PerceiverConfig,
    PooledOutputConfig,
    TokenOutputConfig,
)

T = TypeVar("T")


def by_name(arrays: T | Mapping[str, T] | None, names: list[str], what: str) -> Mapping[str, T]:
    """One tensor for each name; a bare one belongs to the only name there is."""
    if arrays is None:
        return {}
    if isinstance(arrays, Mapping):
        unknown = [name for name in arrays if name not in names]
        if unknown:
            raise ValueError(f"there is no {what} {unknown[0]!r}; the model has {', '.join(map(repr, names))}")
        for name, array in arrays.items():
            if not isinstance(array, Tensor | ByteBatch):
                raise ValueError(f"what is given for {what} {name!r} must be a tensor, got {type(array).__name__}")
        return arrays
    if not isinstance(arrays, Tensor | ByteBatch):
        raise ValueError(f"expected a tensor or a mapping of names to tensors, got {type(arrays).__name__}")
    if len(names) != 1:
        raise ValueError(f"expected a mapping with a tensor for each {what}: {', '.join(map(repr, names))}")
    return {names[0]: arrays}


def choose_outputs(outputs: Sequence[str] | None, names: list[str]) -> list[str]:
    """The names of the outputs wanted, in the order of the model."""
    if outputs is None:
        return names
    if isinstance(outputs, str):
        raise ValueError(f"expected a list of outputs, got a single name: write outputs=[{outputs!r}]")
    unknown = [name for name in outputs if name not in names]
    if unknown or not outputs:
        what = f"there is no output {unknown[0]!r}" if unknown else "no output is asked for"
        raise ValueError(f"{what}; the model has {', '.join(map(repr, names))}")
    return [name for name in names if name in outputs]


def pieces(count: int, piece: int | None) -> Iterator[slice]:
    """`count` queries as slices of at most `piece`; one, if empty, where there is none."""
    step = max(1, count if piece is None else piece)
    for start in range(0, max(count, 1), step):
        yield slice(start, min(start + step, count))


def check_rows(name: str, rows: Tensor, batch: int, total: int) -> None:
    """Raises ValueError unless the rows of an output are indices of its queries."""
    fits = rows.dim() == 1 or (rows.dim() == 2 and len(rows) == batch)
    if not fits or rows.dtype != torch.int64:
        raise ValueError(
            f"rows of output {name!r} must be int64 [rows] or [{batch}, rows], "
            f"got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    # Looking at the values would make a GPU wait; there, the lookup itself complains.
    if rows.device.type == "cpu" and rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < total:
        raise ValueError(
            f"rows of output {name!r} run from {int(rows.min())} to {int(rows.max())}, not 0 to {total - 1}"
        )


def check_config(config: PerceiverConfig) -> None:
    """Raises ValueError at contradictions in a config, naming both sides."""
    for name in ("num_latents", "latent_dim", "num_blocks", "num_layers"):
        if not isinstance(getattr(config, name), int) or getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1 and whole, got {getattr(config, name)!r}")
    limits = {"num_cross_attends": "num_blocks", "distinct_blocks": "num_blocks"}
    for name, limit in (limits | {"distinct_cross_attends": "num_cross_attends"}).items():
        if not 1 <= getattr(config, name) <= getattr(config, limit):
            raise ValueError(f"{name} must lie in 1 to {limit}={getattr(config, limit)}, got {getattr(config, name)}")
    for name in ("input_padding", "query_padding"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} must not be negative, got {getattr(config, name)}")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {config.dropout}")
    if config.gelu not in ("tanh", "erf"):
        raise ValueError(f"gelu must be tanh or erf, got {config.gelu!r}")
    if config.masked_rows not in ("zero", "uniform"):
        raise ValueError(f"masked_rows must be zero or uniform, got {config.masked_rows!r}")
    names = [output.name for output in config.outputs]
    if len(set(names)) < len(names):
        raise ValueError(f"outputs need names of their own, got {', '.join(names)}")
    for output in config.outputs:
        for name in ("num_classes", "num_channels"):
            if getattr(output, name, 1) < 1:
                raise ValueError(f"output {output.name!r} must have {name} of at least 1, got {getattr(output, name)}")
        if isinstance(output, ClassOutputConfig) and output.query_of is not None:
            _check_borrowed(output, config)
        if isinstance(output, FlowOutputConfig):
            _check_flow(output, config)


def check_whole(output: object, name: str, rows: Tensor | None) -> None:
    """Raises ValueError if rows are asked of an output that is one vector."""
    if rows is not None and isinstance(output, PooledOutputConfig):
        raise ValueError(f"output {name!r} is a mean over all entities: it has no rows")
    if rows is not None and isinstance(output, ClassOutputConfig):
        raise ValueError(f"output {name!r} is one vector of classes: it has no rows")


def _check_borrowed(output: ClassOutputConfig, config: PerceiverConfig) -> None:
    """The query of a class output that is one of a token output's."""
    lender = next((other for other in config.outputs if other.name == output.query_of), None)
    if not isinstance(lender, TokenOutputConfig):
        raise ValueError(f"output {output.name!r} takes a query of {output.query_of!r}, which is no token output")
    if not 0 <= output.position < lender.max_length:
        raise ValueError(
            f"output {output.name!r} takes query {output.position} of {lender.name!r}, "
            f"which has 0 to {lender.max_length - 1}"
        )


def _check_flow(output: FlowOutputConfig, config: PerceiverConfig) -> None:
    found = [part for part in config.inputs if output.input in (None, part.name)]
    if len(found) == 1 and _num_axes(found[0]) == 2:
        return
    names = ", ".join(repr(part.name) for part in config.inputs)
    raise ValueError(
        f"output {output.name!r} reads the tokens of frames or of another grid of two axes: "
        f"input must name one, got {output.input!r} with inputs {names}"
    )


def _num_axes(config: InputConfig) -> int | None:
    if isinstance(config, FlowInputConfig | ImageInputConfig | MelInputConfig):
        return 2
    if not isinstance(config, ArrayInputConfig):
        return None
    if config.shape is not None:
        return len(config.shape)
    if config.positions is None or isinstance(config.positions, LearnedPositionsConfig):
        return None
    return len(config.positions.max_resolution)
