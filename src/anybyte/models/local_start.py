"""An initialisation in which latents have a place: each reads the tokens around it, and queries read the latents around
them.

In the papers latents are drawn at random, and learn over hundreds of thousands of steps where to look. Fourier features
allow a shorter way: the inner product of the features of two places is large where they are near each other. So the
latents of a grid begin as features of their own places; the linear layers of queries and keys begin as what takes
latents, tokens and output queries to the features of where they lie. From there on everything is learned.

    encoder   query of a latent: features of the tokens in its cell, one group of them a head
              key of a token: its own features
    decoder   query of a place of the output: its own features
              key of a latent: the mean features of the places in its cell

What the latents ask for and answer to is solved for by least squares. Heads are as sharp as it takes for `_MARGIN`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import FourierPositionsConfig, GridOutputConfig, LatentGridConfig
from anybyte.models.attention import AttentionLayer
from anybyte.models.inputs.arrays import ArrayInput
from anybyte.models.inputs.patches import to_patches
from anybyte.models.inputs.sequences import TokenInput
from anybyte.models.local_text import start_local_text
from anybyte.models.positions import fourier_features, num_features
from anybyte.models.queries import Output
from anybyte.models.transform_start import cosines, start_transform

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver

_MARGIN = 8.0
"""How much higher than any other place's the scores of one's own place are, at least."""
_AMPLITUDE = 2.0
"""Of a place in a latent, as a root mean square over its channels: what it has read does not hide where it is."""
_RCOND = 0.03
"""Share of the largest singular value below which a direction of the latents is noise."""


@dataclass(frozen=True)
class _Grid:
    """One grid of latents, and the places that it stands for.

    Attributes:
        first: number of its first latent.
        shape: latents along each axis.
        places: features of the latents [latents, width], which are laid into the latents themselves.
        tokens: features of the input's tokens, by latent [latents, tokens of a cell, width].
        answers: the same of the output's queries.
        channels: where the features stand in the input's tokens and in the output's queries.
    """

    config: LatentGridConfig
    first: int
    places: Tensor
    tokens: Tensor
    answers: Tensor
    channels: tuple[slice, slice]


@torch.no_grad()
def start_local(model: Perceiver) -> None:
    """Gives the latents of `config.latent_grids` their places.

    Raises:
        ValueError: a grid does not fit the model; the message names it and what does not fit.
    """
    config = model.config
    named = config.latent_grids[0].input
    if named in model.inputs.parts and isinstance(model.inputs.parts[named], TokenInput):
        start_local_text(model, config.latent_grids[0])
        return
    if len(model.encoders) > 1 or model.decoder is None:
        raise ValueError("latent_grids are for models that read their inputs once and have outputs with queries")
    grids: list[_Grid] = []
    first = 0
    for number, grid in enumerate(config.latent_grids):
        grids.append(_grid(model, grid, first, f"latent grid {number} ({grid.input!r})"))
        first += math.prod(grid.shape)
    width = sum(grid.places.shape[1] for grid in grids)
    if first > config.num_latents or width > config.latent_dim:
        raise ValueError(
            f"latent_grids hold {first} latents and {width} channels of places; "
            f"the model has {config.num_latents} latents of {config.latent_dim} channels"
        )
    channel = 0
    for grid in grids:
        rows, columns = slice(grid.first, grid.first + len(grid.places)), channel + grid.places.shape[1]
        model.latents[rows] = 0
        amplitude = _AMPLITUDE * math.sqrt(config.latent_dim / len(grid.config.shape))
        model.latents[rows, channel:columns] = amplitude * grid.places
        channel = columns
    for side in (0, 1):
        _tag(model, grids, side)
    _keep_places(model, width)
    _start_encoder(model, _encoder(model), grids)
    _start_decoder(model, model.decoder.layer, grids)
    if any(grid.transform for grid in config.latent_grids):
        start_transform(model, width, _AMPLITUDE)


def _grid(model: Perceiver, config: LatentGridConfig, first: int, what: str) -> _Grid:
    part = model.inputs.parts[config.input] if config.input in model.inputs.parts else None  # noqa: SIM401
    assert model.decoder is not None
    output = model.decoder.output(config.output) if config.output in model.decoder.outputs else None
    if not isinstance(part, ArrayInput) or part.grid is None or not isinstance(output, Output):
        raise ValueError(
            f"{what} needs an input with a shape and an output, not {config.input!r} and {config.output!r}"
        )
    positions = part.config.positions
    answer = output.config
    if not isinstance(answer, GridOutputConfig) or not isinstance(positions, FourierPositionsConfig):
        raise ValueError(f"{what} needs Fourier positions, and an output {config.output!r} that is a grid")
    if not isinstance(answer.positions, FourierPositionsConfig):
        raise ValueError(f"{what} needs Fourier positions of output {config.output!r}")
    for name, places in ((config.input, part.grid), (config.output, output.grid)):
        if len(places) != len(config.shape) or any(p % n for p, n in zip(places, config.shape, strict=True)):
            raise ValueError(f"{what} of {config.shape} does not divide the {places} places of {name!r}")
    tokens = fourier_features(part.grid, positions.num_bands, positions.max_resolution)
    answers = fourier_features(output.grid, answer.positions.num_bands, answer.positions.max_resolution, grid="open")
    behind = part.num_channels - num_features(positions)
    return _Grid(
        config,
        first,
        _places(config),
        _by_cell(tokens, part.grid, config.shape),
        _by_cell(answers, output.grid, config.shape),
        (slice(behind, part.num_channels), slice(0, answers.shape[1])),
    )


def _places(config: LatentGridConfig) -> Tensor:
    """Cosines of the places of latents along each axis, of all frequencies that they can tell apart.

    An orthonormal basis of the functions along an axis: any function of the places is linear in it.
    """
    axes = []
    for number, size in enumerate(config.shape):
        shape = [1] * len(config.shape)
        shape[number] = size
        axes.append(cosines(size).view(*shape, size).expand(*config.shape, -1))
    return torch.cat(axes, -1).flatten(0, -2).float()


def _by_cell(features: Tensor, places: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Features [places, width] as [cells, places of a cell, width]."""
    cell = tuple(p // n for p, n in zip(places, shape, strict=True))
    width = features.shape[1]
    return to_patches(features.view(1, *places, width), "places", cell).view(math.prod(shape), math.prod(cell), width)


def _tag(model: Perceiver, grids: Sequence[_Grid], side: int) -> None:
    """Marks each signal in the last channels of the learned padding of tokens (0) or queries (1).

    The channel before them is 0 for all. Behind a norm it is what the norm took from every channel of the token. The
    marks are so large that a norm divides all tokens by about the same, 1.
    """
    assert model.decoder is not None
    padding, setting = ((model.inputs.padding, "input_padding"), (model.decoder.padding, "query_padding"))[side]
    needed, width = len(grids) + 1, (model.inputs.num_channels, model.decoder.layer.query.in_features)[side]
    tag = math.sqrt(width / len(grids))
    names = [(grid.config.input, grid.config.output)[side] for grid in grids]
    for name in names:
        if name not in padding or padding[name].shape[1] < needed:
            raise ValueError(
                f"{len(grids)} latent_grids need several inputs and outputs, and {setting} of at least {needed}"
            )
    for name, parameter in padding.items():
        if parameter.shape[1] >= needed:
            parameter[:, -needed] = 0
            parameter[:, -len(grids) :] = -tag
            if name in names:
                parameter[:, -1 - names.index(name)] = tag


def _select(grids: Sequence[_Grid], side: int, channels: int, head: int) -> Tensor:
    """A layer [head, channels] from tokens (0) or queries (1) to their features, one signal behind another."""
    weight, row = torch.zeros(head, channels), 0
    for number, grid in enumerate(grids):
        where = grid.channels[side]
        width = where.stop - where.start
        weight[row : row + width, where] = torch.eye(width)
        weight[row + width, channels - 1 - number] = 1.0
        weight[row : row + width + 1, channels - 1 - len(grids)] = -1.0
        row += width + 1
    return weight


def _wanted(grids: Sequence[_Grid], side: int, head: int, number: int, heads: int, latents: int) -> Tensor:
    """[latents, head] what latents ask tokens for (0), or answer queries by (1), in one of the heads."""
    wanted, row = torch.zeros(latents, head), 0
    for grid in grids:
        cells = (grid.tokens, grid.answers)[side]
        group = cells.tensor_split(heads, 1)[number] if side == 0 and heads <= cells.shape[1] else cells
        asked = group.mean(1) - cells.mean((0, 1))
        width = cells.shape[2]
        scores = asked @ cells.flatten(0, 1).T
        inside = torch.eye(len(cells), dtype=torch.bool).repeat_interleave(cells.shape[1], 1)
        own = asked.unsqueeze(1) @ group.transpose(1, 2)
        margin = float((own.amin((1, 2)) - scores.masked_fill(inside, -math.inf).amax(1)).amin())
        if margin <= 0:
            raise ValueError(
                f"the positions of {(grid.config.input, grid.config.output)[side]!r} do not tell the cells of "
                f"{len(cells)} latents apart: they need more bands, or a higher resolution"
            )
        rows = slice(grid.first, grid.first + len(cells))
        wanted[rows, row : row + width] = asked * (_MARGIN / margin)
        wanted[rows, row + width] = 1.0
        row += width + 1
    return wanted


def _keep_places(model: Perceiver, width: int) -> None:
    """Has latents begin with what they read beside their places, and nothing else: noise would hide these."""
    encoder = _encoder(model)
    nn.init.zeros_(encoder.out.weight[:width])
    blocks = [layer for layer in model.blocks.modules() if isinstance(layer, AttentionLayer)]
    for layer in (encoder, *blocks):
        nn.init.zeros_(layer.mlp.fc2.weight)
    for layer in blocks:
        nn.init.zeros_(layer.out.weight)


def _encoder(model: Perceiver) -> AttentionLayer:
    encoder = model.encoders[0]
    assert isinstance(encoder, AttentionLayer)
    return encoder


def _solve(latents: Tensor, wanted: Tensor) -> Tensor:
    """The layer [head, dim] that takes normalised latents to what they want."""
    solution: Tensor = torch.linalg.lstsq(latents.double(), wanted.double(), driver="gelsd", rcond=_RCOND).solution
    return solution.T.float()


def _head(layer: AttentionLayer, grids: Sequence[_Grid], side: int, role: str) -> int:
    """Width of a head, which must hold the features of all signals."""
    width = layer.query.out_features // layer.num_heads
    needed = sum((grid.tokens, grid.answers)[side].shape[2] + 1 for grid in grids)
    if width < needed:
        raise ValueError(f"{role}.qk_channels gives a head {width} channels; latent_grids need {needed}")
    return width


def _start_encoder(model: Perceiver, layer: AttentionLayer, grids: Sequence[_Grid]) -> None:
    head, latents = _head(layer, grids, 0, "encode"), F.layer_norm(model.latents, model.latents.shape[1:])
    keys = _select(grids, 0, layer.key.in_features, head)
    for number in range(layer.num_heads):
        rows = slice(number * head, (number + 1) * head)
        layer.key.weight[rows] = keys
        wanted = _wanted(grids, 0, head, number, layer.num_heads, len(latents))
        layer.query.weight[rows] = _solve(latents, wanted) * math.sqrt(head)


def _start_decoder(model: Perceiver, layer: AttentionLayer, grids: Sequence[_Grid]) -> None:
    head, latents = _head(layer, grids, 1, "decode"), F.layer_norm(model.latents, model.latents.shape[1:])
    queries = _select(grids, 1, layer.query.in_features, head)
    for number in range(layer.num_heads):
        rows = slice(number * head, (number + 1) * head)
        layer.query.weight[rows] = queries
        wanted = _wanted(grids, 1, head, number, layer.num_heads, len(latents))
        layer.key.weight[rows] = _solve(latents, wanted) * math.sqrt(head)
