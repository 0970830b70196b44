"""Outputs of a Perceiver: which queries read the latents, and what becomes of what they find (section 3.2).

Queries are made a piece at a time: `rows` says which, as a slice, as indices [rows] for all examples, or as indices
[batch, rows] for each.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import (
    AverageOutputConfig,
    ClassOutputConfig,
    FlowOutputConfig,
    GridOutputConfig,
    TokenOutputConfig,
)
from anybyte.models.inputs import Grid
from anybyte.models.positions import LearnedPositions, fourier_features

_FLOW_UNIT = 100.0
"""What the flow model's last layer is divided by."""

Rows = slice | Tensor
QueriedConfig = ClassOutputConfig | TokenOutputConfig | FlowOutputConfig | GridOutputConfig


class Output(nn.Module):
    """One output: its queries, and the linear layer (or tied embedding) behind the decoder.

    Attributes:
        num_channels: width of its queries.
        num_values: what its linear layer makes of a query; None if it has none.
    """

    def __init__(self, config: QueriedConfig, token_channels: int, embedding: nn.Embedding | None) -> None:
        super().__init__()
        self.config = config
        self.table: LearnedPositions | None = None
        self.bias: nn.Parameter | None = None
        self.num_values: int | None
        if isinstance(config, ClassOutputConfig):
            self.num_channels, self.num_values = config.query_channels, config.num_classes
            self.table = LearnedPositions(config.query_channels, 1)
        elif isinstance(config, TokenOutputConfig):
            if embedding is None or embedding.embedding_dim != config.query_channels:
                width = "there is none" if embedding is None else f"that is {embedding.embedding_dim} wide"
                raise ValueError(
                    f"output {config.name!r} reads logits off the embedding of a token input of "
                    f"{config.query_channels} channels; {width}"
                )
            self.num_channels, self.num_values = config.query_channels, None
            self.table = LearnedPositions(config.query_channels, config.max_length)
            self.bias = nn.Parameter(torch.empty(embedding.num_embeddings))
        elif isinstance(config, FlowOutputConfig):
            self.num_channels, self.num_values = token_channels, 2
        else:
            if len(config.shape) != len(config.positions.max_resolution):
                raise ValueError(f"output {config.name!r} has shape {config.shape} and positions for another rank")
            self.num_channels = len(config.shape) * (2 * config.positions.num_bands + 1)
            self.num_values = config.num_channels
        self.projection: nn.Linear | None = None

    def project_from(self, channels: int) -> None:
        """Makes the linear layer, once it is known what it reads."""
        if self.num_values is not None:
            self.projection = nn.Linear(channels, self.num_values)

    def num_queries(self, tokens: Tensor) -> int:
        """Queries of the whole output."""
        if self.table is not None:
            return len(self.table.rows)
        if isinstance(self.config, GridOutputConfig):
            return math.prod(self.config.shape)
        return tokens.shape[1]

    def queries(self, rows: Rows, tokens: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch rows width"]:
        """Some of the queries, in the type of the tokens."""
        if self.table is not None:
            found = self.table.rows[rows]
        elif isinstance(self.config, GridOutputConfig):
            config = self.config
            device = tokens.device
            places = torch.arange(rows.start, rows.stop, device=device) if isinstance(rows, slice) else rows
            found = fourier_features(
                config.shape, config.positions.num_bands, config.positions.max_resolution, places, grid="open"
            ).to(tokens.dtype)
        elif isinstance(rows, slice):
            return tokens[:, rows]
        else:
            rows = rows.expand(len(tokens), -1)
            return tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[2]))
        return found.expand(len(tokens), -1, -1)

    def values(self, decoded: Float[Tensor, "batch rows width"], embedding: nn.Embedding | None) -> Tensor:
        """What a piece of queries found -> their values."""
        if self.projection is not None:
            decoded = self.projection(decoded)
        elif embedding is not None:
            decoded = F.linear(decoded, embedding.weight, self.bias)
        if isinstance(self.config, FlowOutputConfig):
            decoded = decoded * (self.config.scale / _FLOW_UNIT)
        return decoded

    def arrange(self, values: Float[Tensor, "batch rows width"], grid: Grid, whole: bool) -> Tensor:
        """The values of all pieces in the form of the output; a sub-set of the queries stays a list."""
        config = self.config
        shape: Grid | None = None
        if isinstance(config, ClassOutputConfig):
            return values[:, 0]
        if isinstance(config, GridOutputConfig):
            if config.flatten:
                return values.flatten(1)
            shape = config.shape
        elif isinstance(config, FlowOutputConfig):
            shape = grid
        return values.reshape(len(values), *shape, -1) if whole and shape is not None else values


class AverageOutput(nn.Module):
    """The mean of the latents, then a linear layer (Jaegle et al. 2021, section 3.2)."""

    def __init__(self, config: AverageOutputConfig, latent_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(latent_dim, config.num_classes)

    def forward(self, latents: Float[Tensor, "batch latents dim"]) -> Float[Tensor, "batch classes"]:
        out: Tensor = self.projection(latents.mean(dim=1))
        return out
