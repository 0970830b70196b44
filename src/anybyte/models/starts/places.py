"""An initialisation in which latents have a place: each reads the tokens around it, and queries read the latents around
them.

In the papers latents are drawn at random, and learn over hundreds of thousands of steps where to look. Fourier features
allow a shorter way: they hold where a token or query lies, and a linear layer can bring that into any form. Here it is
a code, a few sines and cosines an axis, and the inner product of two codes is large where they are near each other.

    latents   begin as the codes of their places, in channels of their own
    encoder   queries begin as a latent's code, or that of a part of its cell for each head; keys as the code of where a
              token lies
    decoder   queries begin as the code of where a place of the output lies; keys as a latent's code

The layers are solved for by least squares. Heads are as sharp as it takes for `_MARGIN`. From there on all is learned.
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
from anybyte.models.inputs.sequences import TokenInput
from anybyte.models.positions import fourier_features, num_features
from anybyte.models.queries import Output
from anybyte.models.starts.text import start_in_text
from anybyte.models.starts.transform import start_transform

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver

_MARGIN = 8.0
"""How much higher than any other place's the scores of one's own place are, at least."""
_AMPLITUDE = 2.0
"""Of a place in a latent, as a root mean square over its channels: what it has read does not hide where it is."""
_RCOND = 0.03
"""Share of the largest singular value below which a direction of the latents is noise."""
_TOLERANCE = 0.1
"""By which a code may be missed."""
_SPREAD = 2.0
"""What a norm divides tokens and queries by: their marks are so large that the rest makes little difference."""
_TAGS = (1.0, 3.0)
"""How much latents ask for tokens of their own signal, and queries for latents of theirs."""
_OWN = 10.0
"""Weight of a signal's own tokens in what is solved for, relative to those of others."""


@dataclass(frozen=True)
class _Side:
    """Where the tokens (or queries) of one signal lie.

    Attributes:
        name: of the input or output.
        codes: of their places [places, width].
        cells: number of the latent in whose cell each of them is: int64 [places].
        features: of their positions [places, features].
        begin: the channel in which these begin; before them stands what is read at each place.
    """

    name: str
    codes: Tensor
    cells: Tensor
    features: Tensor
    begin: int


@dataclass(frozen=True)
class _Grid:
    """One grid of latents, and the signal that it stands for.

    Attributes:
        first: number of its first latent.
        codes: of the latents' places [latents, width].
        sides: the input, and the output.
    """

    config: LatentGridConfig
    first: int
    codes: Tensor
    sides: tuple[_Side, _Side]


@torch.no_grad()
def start_at_places(model: Perceiver) -> None:
    """Gives the latents of `config.latent_grids` their places.

    Raises:
        ValueError: a grid does not fit the model; the message names it and what does not fit.
    """
    config = model.config
    named = config.latent_grids[0].input
    if named in model.inputs.parts and isinstance(model.inputs.parts[named], TokenInput):
        start_in_text(model, config.latent_grids[0])
        return
    if len(model.encoders) > 1 or model.decoder is None:
        raise ValueError("latent_grids are for models that read their inputs once and have outputs with queries")
    grids: list[_Grid] = []
    first = 0
    for number, grid in enumerate(config.latent_grids):
        grids.append(_grid(model, grid, first, f"latent grid {number} ({grid.input!r})"))
        first += math.prod(grid.shape)
    # The last one is 0 in all: behind a norm it is what the norm took from every channel.
    width = sum(grid.codes.shape[1] + 1 for grid in grids) + 1
    if first > config.num_latents or width > config.latent_dim:
        raise ValueError(
            f"latent_grids hold {first} latents and {width} channels of places; "
            f"the model has {config.num_latents} latents of {config.latent_dim} channels"
        )
    column = 0
    for grid in grids:
        # One channel says which signal it is.
        place = F.pad(grid.codes, (0, 1), value=1.0)
        rows, columns = slice(grid.first, grid.first + len(place)), slice(column, column + place.shape[1])
        model.latents[rows] = 0
        model.latents[rows, columns] = place * (_AMPLITUDE * math.sqrt(config.latent_dim) / float(place[0].norm()))
        column = columns.stop
    for side in (0, 1):
        _tag(model, grids, side)
    _keep_places(model, width)
    latents = F.layer_norm(model.latents, model.latents.shape[1:])[:, :width]
    _start_encoder(_encoder(model), grids, latents)
    _start_decoder(model.decoder.layer, grids, latents)
    if any(grid.transform for grid in config.latent_grids):
        start_transform(model, width, _SPREAD, _AMPLITUDE)


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
    sides = (
        _Side(config.input, _codes(part.grid, config.shape), _cells(part.grid, config.shape), tokens, behind),
        _Side(config.output, _codes(output.grid, config.shape), _cells(output.grid, config.shape), answers, 0),
    )
    return _Grid(config, first, _codes(config.shape, config.shape), sides)


def _codes(places: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The codes of the places of a grid, row-major [places, width], in a form that tells `shape` cells apart.

    Frequencies along an axis are 1, 3, 9, .. half turns, below half of the cells.
    """
    axes = []
    for number, (count, cells) in enumerate(zip(places, shape, strict=True)):
        frequencies = [1.0]
        while 3 * frequencies[-1] < cells / 2:
            frequencies.append(3 * frequencies[-1])
        along = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        angles = math.pi * along[:, None] * torch.tensor(frequencies if cells > 1 else [], dtype=torch.float64)
        spread = [1] * len(places)
        spread[number] = count
        axes.append(torch.cat([angles.cos(), angles.sin()], 1).view(*spread, -1).expand(*places, -1))
    return torch.cat(axes, -1).flatten(0, -2).float()


def _cells(places: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The number of the cell of each place of a grid, row-major."""
    cells = torch.zeros(tuple(places), dtype=torch.int64)
    for number, (count, cells_along) in enumerate(zip(places, shape, strict=True)):
        spread = [1] * len(places)
        spread[number] = count
        cells = cells * cells_along + (torch.arange(count) * cells_along // count).view(spread)
    return cells.flatten()


def _num_channels(model: Perceiver, side: int) -> int:
    """Width of tokens (0) or queries (1)."""
    assert model.decoder is not None
    return model.inputs.num_channels if side == 0 else model.decoder.layer.query.in_features


def _tag_size(grids: Sequence[_Grid], channels: int) -> float:
    """What marks a signal, in size: the others have it with the other sign."""
    return _SPREAD * math.sqrt(channels / len(grids))


def _tag(model: Perceiver, grids: Sequence[_Grid], side: int) -> None:
    """Marks each signal in the last channels of the learned padding of tokens (0) or queries (1).

    The channel before them is 0 for all. Behind a norm it is what the norm took from every channel of the token.
    """
    assert model.decoder is not None
    padding, setting = ((model.inputs.padding, "input_padding"), (model.decoder.padding, "query_padding"))[side]
    needed, tag = len(grids) + 1, _tag_size(grids, _num_channels(model, side))
    names = [grid.sides[side].name for grid in grids]
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


def _codes_of_tokens(grids: Sequence[_Grid], side: int, layer: nn.Linear, rows: slice) -> None:
    """Has rows of a layer make the codes of tokens (0) or queries (1): one signal's behind another's, then its tag.

    Of another signal's tokens they make zeros, as far as possible, and of how bright a token is they know nothing.
    """
    channels = layer.in_features
    dark, bright = ([_tokens(grids, number, side, channels, level) for number in range(len(grids))] for level in (0, 1))
    layer.weight[rows] = 0
    row = rows.start
    for number, grid in enumerate(grids):
        place = grid.sides[side]
        tokens = torch.cat([dark[number], bright[number], *dark, *bright])
        wanted = torch.zeros(len(tokens), place.codes.shape[1], dtype=torch.float64)
        own = 2 * len(place.codes)
        wanted[:own] = place.codes.double().repeat(2, 1)
        # A signal's own tokens count for more, and are among all others, which are wanted to be 0, not once more.
        begin = own + sum(len(part) for part in dark[:number])
        is_other = torch.ones(len(tokens), dtype=torch.bool)
        for start in (begin, begin + sum(len(part) for part in dark)):
            is_other[start : start + len(place.codes)] = False
        tokens, wanted = tokens[is_other], wanted[is_other]
        weights = torch.ones(len(tokens), 1, dtype=torch.float64)
        weights[:own] = _OWN
        solution = torch.linalg.lstsq(tokens * weights, wanted * weights, driver="gelsd", rcond=1e-4).solution
        if float((tokens[:own] @ solution - wanted[:own]).abs().max()) > _TOLERANCE:
            raise ValueError(
                f"the positions of {place.name!r} do not tell its {len(place.codes)} places apart: "
                "they need more bands, or a higher resolution"
            )
        width = place.codes.shape[1]
        weight, zero = solution[:-1].T.float(), channels - 1 - len(grids)
        weight[:, zero] = 0
        weight[:, zero] = -weight.sum(1)
        layer.weight[row : row + width] = weight
        layer.bias[row : row + width] = solution[-1].float()
        layer.weight[row + width, channels - 1 - number] = 1.0
        layer.weight[row + width, zero] = -1.0
        row += width + 1


def _tokens(grids: Sequence[_Grid], number: int, side: int, channels: int, level: float) -> Tensor:
    """A signal's tokens (0) or queries (1) behind their norm, as bright as `level` before it; and a 1.

    Returns:
        float64 [places, channels + 1].
    """
    place = grids[number].sides[side]
    tokens = torch.zeros(len(place.codes), channels + 1, dtype=torch.float64)
    tokens[:, : place.begin] = level
    tokens[:, place.begin : place.begin + place.features.shape[1]] = place.features
    tokens[:, -1 - len(grids) : -1] = -_tag_size(grids, channels)
    tokens[:, -2 - number] *= -1
    tokens /= _SPREAD
    tokens[:, -1] = 1
    return tokens


def _wanted(grids: Sequence[_Grid], side: int, width: int, latents: int, part: int = 0, parts: int = 1) -> Tensor:
    """[latents, width] the codes that latents ask for (0) or answer with (1), as sharp as it takes.

    With several `parts`, a latent asks for one of as many parts of its cell, if the cell has so many tokens.
    """
    wanted, row = torch.zeros(latents, width), 0
    for grid in grids:
        place, count = grid.sides[side], len(grid.codes)
        asked = grid.codes
        members = torch.argsort(place.cells, stable=True).view(count, -1)
        if side == 0 and 1 < parts <= members.shape[1]:
            members = members.tensor_split(parts, 1)[part]
            asked = place.codes[members].mean(1)
        rows = slice(grid.first, grid.first + count)
        wanted[rows, row : row + asked.shape[1]] = asked * _sharpness(grid, side, asked, members)
        wanted[rows, row + asked.shape[1]] = _TAGS[side]
        row += asked.shape[1] + 1
    return wanted


def _sharpness(grid: _Grid, side: int, asked: Tensor, members: Tensor) -> float:
    """What scores are multiplied by, so that those of other cells are lower by `_MARGIN`."""
    place = grid.sides[side]
    scores = asked @ place.codes.T
    inside = place.cells[None] == torch.arange(len(asked))[:, None]
    if side == 0:  # each latent chooses among tokens
        own, others = scores.gather(1, members).mean(1), scores.masked_fill(inside, -math.inf).amax(1)
    else:  # each query chooses among latents
        own, others = scores.gather(0, place.cells[None])[0], scores.masked_fill(inside, -math.inf).amax(0)
    margin = float((own - others).min())
    if margin == math.inf:  # there is nothing else
        return _MARGIN
    if margin <= 0:
        raise ValueError(f"the places of {place.name!r} are too near each other for {len(asked)} latents")
    return _MARGIN / margin


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


def _solve(places: Tensor, wanted: Tensor, dim: int) -> Tensor:
    """The layer [head, dim] that takes normalised latents to what they want, by their places [latents, width]."""
    known = (places[:, :-1] - places[:, -1:]).double()
    solution = torch.linalg.lstsq(known, wanted.double(), driver="gelsd", rcond=_RCOND).solution.T.float()
    weight = torch.zeros(len(solution), dim)
    weight[:, : solution.shape[1]] = solution
    weight[:, solution.shape[1]] = -solution.sum(1)
    return weight


def _head(layer: AttentionLayer, grids: Sequence[_Grid], role: str) -> int:
    """Width of a head, which must hold the codes of all signals."""
    width = layer.query.out_features // layer.num_heads
    needed = sum(grid.codes.shape[1] + 1 for grid in grids)
    if width < needed:
        raise ValueError(f"{role}.qk_channels gives a head {width} channels; latent_grids need {needed}")
    return width


def _start_encoder(layer: AttentionLayer, grids: Sequence[_Grid], latents: Tensor) -> None:
    head, heads = _head(layer, grids, "encode"), layer.num_heads
    for number in range(heads):
        rows = slice(number * head, (number + 1) * head)
        _codes_of_tokens(grids, 0, layer.key, rows)
        wanted = _wanted(grids, 0, head, len(latents), number, heads)
        layer.query.weight[rows] = _solve(latents, wanted, layer.query.in_features) * math.sqrt(head)


def _start_decoder(layer: AttentionLayer, grids: Sequence[_Grid], latents: Tensor) -> None:
    head, heads = _head(layer, grids, "decode"), layer.num_heads
    for number in range(heads):
        rows = slice(number * head, (number + 1) * head)
        _codes_of_tokens(grids, 1, layer.query, rows)
        wanted = _wanted(grids, 1, head, len(latents))
        layer.key.weight[rows] = _solve(latents, wanted, layer.key.in_features) * math.sqrt(head)
