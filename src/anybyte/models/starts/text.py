"""A text: positions, latents and queries begin as sines of places, and attention begins near by.

Learned tables know nothing of places at first. A masked language model then spends its first hours on learning where
its latents should look, and until it knows, it can learn nothing but how often each byte occurs. Here tables of
positions, of latents and of queries begin as sines and cosines of the place in the text, in channels of their own, and
linear layers of queries and keys begin as rotations: turned by an angle a frequency, the sines of one place are those
of a place some bytes away. So each head begins at an offset of its own, like a tap of a convolution:

    encoder     heads read the bytes around a latent, `_TAP` bytes apart
    blocks      heads read the latent itself and its neighbours on both sides; the last one starts at random
    decoder     heads read the latents around a byte; the last ones start at random; queries of classes read all alike

From there on everything is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anybyte.config import ClassOutputConfig, LatentGridConfig
from anybyte.models.attention import AttentionLayer
from anybyte.models.inputs.sequences import TokenInput
from anybyte.models.positions import LearnedPositions
from anybyte.models.queries import Output

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver

_AMPLITUDE = 0.7
"""Of the sines, in all three tables."""
_EMBEDDING = 0.3
"""Of the bytes, as a standard deviation, in the channels that hold no place."""
_SHORTEST = 8.0
"""Bytes of the shortest wave; the longest is twice the text."""
_SHARPNESS = 4.0
"""Of attention at the start; blocks begin half as sharp."""
_TAP = 2.0
"""Bytes between the taps of the encoder's heads, unless there are so many heads that they would reach too far."""
_MOST_FREQUENCIES = 16


def start_in_text(model: Perceiver, grid: LatentGridConfig) -> None:
    """Gives latents, positions and queries of a masked language model their places.

    Raises:
        ValueError: the model is none, or a head is too narrow; the message says what would fit.
    """
    part = model.inputs.parts[grid.input]
    assert isinstance(part, TokenInput)
    table = _query_table(model, grid.output)
    if not isinstance(part.positions, LearnedPositions) or table is None:
        raise ValueError("latent_grids of tokens need learned positions, and an output of tokens")
    rows, latents = part.positions.rows, model.latents
    if len(table) != len(rows) or grid.shape != (len(latents),):
        raise ValueError(
            f"latent_grids of tokens lie over the whole text: shape {grid.shape} is not all {len(latents)} latents, or "
            f"the output has {len(table)} places and the input {len(rows)}"
        )
    assert model.decoder is not None
    encoders = [layer for layer in model.encoders if isinstance(layer, AttentionLayer)]
    blocks = [layer for layer in model.blocks.modules() if isinstance(layer, AttentionLayer)]
    decoder = model.decoder.layer
    frequencies = _frequencies([*encoders, *blocks, decoder], min(rows.shape[1], latents.shape[1]), len(rows))
    width, step = 2 * len(frequencies), len(rows) / len(latents)
    places = _sines(torch.arange(len(rows)) + 0.5, frequencies)
    for tensor in (rows, table):
        tensor.zero_()
        tensor[:, :width] = places
    latents[:, :width] = _sines((torch.arange(len(latents)) + 0.5) * step, frequencies)
    part.embedding.weight.mul_(_EMBEDDING)
    part.embedding.weight[:, :width] = 0
    for output in model.decoder.outputs.values():
        if isinstance(output, Output) and isinstance(output.config, ClassOutputConfig) and output.table is not None:
            # What is said of the whole text has no place in it. Any other query than none would look at one latent.
            output.table.rows.zero_()
    for layer in encoders:
        heads = layer.num_heads
        tap = min(_TAP, 2 * step / heads)
        _point(layer, [(head - (heads - 1) / 2) * tap for head in range(heads)], frequencies, _SHARPNESS)
    for layer in blocks:
        _point(layer, _neighbours(layer.num_heads - 1, step), frequencies, _SHARPNESS / 2)
    _point(decoder, _neighbours((decoder.num_heads + 1) // 2, step / 2), frequencies, _SHARPNESS)


def _query_table(model: Perceiver, name: str) -> Tensor | None:
    """The learned queries of an output; None if it has none."""
    if model.decoder is None or name not in model.decoder.outputs:
        return None
    found = model.decoder.output(name).table
    return None if found is None else found.rows


def _frequencies(layers: Sequence[AttentionLayer], channels: int, length: int) -> Tensor:
    """Radians a byte, from waves of `_SHORTEST` bytes to waves of twice the text."""
    head = min(layer.query.out_features // layer.num_heads for layer in layers)
    count = min(_MOST_FREQUENCIES, head // 2, channels // 4)
    if count < 4:
        raise ValueError(
            f"latent_grids of tokens need heads of 8 channels of queries and keys or more, and 16 channels of tokens "
            f"and latents; the narrowest head has {head}, tokens and latents {channels}"
        )
    waves = torch.logspace(math.log10(_SHORTEST), math.log10(2 * length), count, dtype=torch.float64)
    return 2 * math.pi / waves


def _sines(places: Tensor, frequencies: Tensor) -> Tensor:
    """[places, 2 frequencies] sines, then cosines."""
    angles = places.double()[:, None] * frequencies
    return (_AMPLITUDE * torch.cat([angles.sin(), angles.cos()], dim=1)).float()


def _turn(offset: float, frequencies: Tensor) -> Tensor:
    """The layer that takes the sines of a place to those of the place `offset` bytes further."""
    sine, cosine = (torch.diag(f(frequencies * offset)) for f in (torch.sin, torch.cos))
    return torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)]).float()


def _neighbours(count: int, step: float) -> list[float]:
    """Offsets 0, -step, step, 0, -2 step, 2 step and so on: near ones first."""
    offsets = [0.0, -step, step, 0.0, -2 * step, 2 * step]
    return [offsets[index % len(offsets)] for index in range(count)]


def _point(layer: AttentionLayer, offsets: Sequence[float], frequencies: Tensor, sharpness: float) -> None:
    """Has the first heads of a layer attend at first to what lies `offsets` bytes from them."""
    width, head = 2 * len(frequencies), layer.query.out_features // layer.num_heads
    # The score is a sum over the frequencies, divided by the root of a head's width.
    gain = math.sqrt(sharpness * math.sqrt(head) / len(frequencies))
    for number, offset in enumerate(offsets):
        rows = slice(number * head, (number + 1) * head)
        for linear, turned in ((layer.query, _turn(offset, frequencies)), (layer.key, torch.eye(width))):
            linear.weight[rows] = 0
            linear.weight[number * head : number * head + width, :width] = gain * turned
            nn.init.zeros_(linear.bias[rows])
