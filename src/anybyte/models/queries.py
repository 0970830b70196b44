"""Outputs of a Perceiver: which queries read the latents, and what becomes of what they find (section 3.2).

Queries are made a piece at a time: `rows` says which, as a slice, as indices [rows] for all examples, or as indices
[batch, rows] for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import (
    AverageOutputConfig,
    ClassOutputConfig,
    EntityOutputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    LearnedPositionsConfig,
    PooledOutputConfig,
    TokenOutputConfig,
)
from anybyte.models.contradictions import query_grid
from anybyte.models.inputs import Grid
from anybyte.models.inputs.patches import from_patches
from anybyte.models.positions import LearnedPositions, fourier_features, num_features

_FLOW_UNIT = 100.0
"""What the flow model's last layer is divided by."""

Rows = slice | Tensor
SourcedConfig = FlowOutputConfig | EntityOutputConfig | PooledOutputConfig
"""Outputs whose queries are the tokens of an input."""
QueriedConfig = ClassOutputConfig | TokenOutputConfig | GridOutputConfig | SourcedConfig


class Output(nn.Module):
    """One output: its queries, and the layers behind the decoder.

    Attributes:
        num_channels: width of its queries.
        grid: of its queries along each axis, if it is a grid.
        num_values: what its linear layer makes of a query; None if it has none, as with tokens, whose logits come off
            the embedding, if the decoder answers as wide as that.
        source: name of the input whose tokens are its queries; None if it has queries of its own.
    """

    def __init__(
        self, config: QueriedConfig, token_channels: int, embedding: nn.Embedding | None, inputs: Sequence[str]
    ) -> None:
        """`inputs` are the names of the model's inputs; `embedding` is of the token input, if there is one."""
        super().__init__()
        self.config = config
        self.table: LearnedPositions | None = None
        self.bias: nn.Parameter | None = None
        self.hidden: nn.Linear | None = None
        self.projection: nn.Linear | None = None
        self.source = _source(config, inputs) if isinstance(config, SourcedConfig) else None
        self.num_values: int | None = None
        self.grid: Grid = ()
        self.num_channels = token_channels
        if isinstance(config, ClassOutputConfig):
            self.num_channels, self.num_values = config.query_channels, config.num_classes
            if config.query_of is None:
                self.table = LearnedPositions(config.query_channels, 1)
        elif isinstance(config, TokenOutputConfig):
            if embedding is None or embedding.embedding_dim != config.query_channels:
                width = "there is none" if embedding is None else f"that is {embedding.embedding_dim} wide"
                raise ValueError(
                    f"output {config.name!r} reads logits off the embedding of a token input of "
                    f"{config.query_channels} channels; {width}"
                )
            self.num_channels = config.query_channels
            self.table = LearnedPositions(config.query_channels, config.max_length)
            self.bias = nn.Parameter(torch.empty(embedding.num_embeddings))
        elif isinstance(config, GridOutputConfig):
            self.grid = query_grid(config)
            self.num_channels = self._place_queries(config)
            self.num_values = config.num_channels * math.prod(config.patch or ())
        else:
            self.num_values = 2 if isinstance(config, FlowOutputConfig) else config.num_channels

    def _place_queries(self, config: GridOutputConfig) -> int:
        """Width of the queries of places; makes the table of learned ones."""
        if isinstance(config.positions, LearnedPositionsConfig):
            if config.positions.projected:
                raise ValueError(f"output {config.name!r} has projected positions; its learned queries are bare")
            self.table = LearnedPositions(config.positions.num_channels, math.prod(self.grid))
            return config.positions.num_channels
        if len(config.shape) != len(config.positions.max_resolution):
            raise ValueError(f"output {config.name!r} has shape {config.shape} and positions for another rank")
        return num_features(config.positions)

    def project_from(self, channels: int) -> None:
        """Makes the layers behind the decoder, once it is known what they read."""
        config = self.config
        if isinstance(config, ClassOutputConfig) and config.hidden is not None:
            self.hidden = nn.Linear(channels, config.hidden)
            channels = config.hidden
        if isinstance(config, TokenOutputConfig) and channels != config.query_channels:
            self.num_values = config.query_channels  # the width of the embedding
        if self.num_values is not None:
            self.projection = nn.Linear(channels, self.num_values)

    def num_queries(self, grid: Grid | None) -> int:
        """Queries of the whole output; `grid` is that of its source."""
        if isinstance(self.config, ClassOutputConfig):
            return 1
        if isinstance(self.config, GridOutputConfig):
            return math.prod(self.grid)
        if self.table is not None:
            return len(self.table.rows)
        assert grid is not None
        return math.prod(grid)

    def queries(
        self, rows: Rows, like: Float[Tensor, "batch ..."], tokens: Float[Tensor, "batch tokens channels"] | None
    ) -> Float[Tensor, "batch rows width"]:
        """Some of the queries.

        Args:
            rows: which.
            like: what states batch, device and type.
            tokens: those of the source, where there is one.
        """
        if self.table is not None:
            found = self.table.rows[rows]
        elif isinstance(self.config, GridOutputConfig):
            config = self.config
            assert isinstance(config.positions, FourierPositionsConfig)
            places = torch.arange(rows.start, rows.stop, device=like.device) if isinstance(rows, slice) else rows
            found = fourier_features(
                self.grid, config.positions.num_bands, config.positions.max_resolution, places, grid="open"
            ).to(like.dtype)
        else:
            assert tokens is not None
            if isinstance(rows, slice):
                return tokens[:, rows]
            rows = rows.expand(len(tokens), -1)
            return tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[2]))
        return found.expand(len(like), -1, -1)

    def values(self, decoded: Float[Tensor, "batch rows width"], embedding: nn.Embedding | None) -> Tensor:
        """What a piece of queries found -> their values."""
        config = self.config
        if isinstance(config, PooledOutputConfig):
            return decoded  # its layer comes behind the mean
        if isinstance(config, EntityOutputConfig) and config.activation == "relu":
            decoded = F.relu(decoded)
        if self.hidden is not None:
            decoded = self.hidden(decoded).tanh()
        if self.projection is not None:
            decoded = self.projection(decoded)
        if self.bias is not None:
            assert embedding is not None
            decoded = F.linear(decoded, embedding.weight, self.bias)
        if isinstance(config, FlowOutputConfig):
            decoded = decoded * (config.scale / _FLOW_UNIT)
        if isinstance(config, GridOutputConfig) and config.scale != 1:
            decoded = decoded * config.scale
        return decoded

    def arrange(
        self,
        values: Float[Tensor, "batch rows width"],
        grid: Grid | None,
        keep: Bool[Tensor, "batch rows"] | None,
        whole: bool,
    ) -> Tensor:
        """The values of all pieces in the form of the output; a sub-set of the queries stays a list.

        Args:
            grid: of the source.
            keep: False at entities that are not there.
            whole: whether these are all queries.
        """
        config = self.config
        shape: Grid | None = None
        if isinstance(config, ClassOutputConfig):
            return values[:, 0]
        if isinstance(config, PooledOutputConfig):
            assert self.projection is not None
            return F.relu(self.projection(_mean(values, keep)))
        if isinstance(config, EntityOutputConfig) and keep is not None:
            values = values.masked_fill(~keep[..., None], 0)
        if isinstance(config, GridOutputConfig):
            if whole and config.patch is not None:
                values = from_patches(values.unflatten(1, self.grid), config.patch)
                return values.flatten(1) if config.flatten else values
            if config.flatten:
                return values.flatten(1)
            shape = config.shape
        elif self.source is not None:
            shape = grid
        return values.reshape(len(values), *shape, values.shape[2]) if whole and shape is not None else values


class AverageOutput(nn.Module):
    """The mean of the latents, then a linear layer (Jaegle et al. 2021, section 3.2)."""

    def __init__(self, config: AverageOutputConfig, latent_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(latent_dim, config.num_classes)

    def forward(self, latents: Float[Tensor, "batch latents dim"]) -> Float[Tensor, "batch classes"]:
        out: Tensor = self.projection(latents.mean(dim=1))
        return out


def _mean(
    values: Float[Tensor, "batch rows width"], keep: Bool[Tensor, "batch rows"] | None
) -> Float[Tensor, "batch width"]:
    """The mean of the rows kept; zeros where none is."""
    if keep is None:
        return values.mean(dim=1)
    count = keep.sum(dim=1, keepdim=True).clamp(min=1)
    return values.masked_fill(~keep[..., None], 0).sum(dim=1) / count.to(values.dtype)


def _source(config: SourcedConfig, inputs: Sequence[str]) -> str:
    """The name of the input whose tokens an output takes as queries."""
    if config.input is None and len(inputs) == 1:
        return inputs[0]
    if config.input is None or config.input not in inputs:
        raise ValueError(
            f"output {config.name!r} reads the tokens of input {config.input!r}; "
            f"there {'is' if len(inputs) == 1 else 'are'} {', '.join(map(repr, inputs))}"
        )
    return config.input
