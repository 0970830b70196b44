"""An initialisation in which a model of latent grids begins as a block transform: values this time, not places.

Where each latent stands for one patch of the input and of the output, the linear layers between them may begin as a
cosine transform of the patch and its inverse, of as many low frequencies as a latent has channels left beside its
place. So the model starts from a blurred copy of its input, and learns what else there is.

The channels of different signals overlap in the layers that all tokens share. Each signal has channels of the latents
to itself, and is read from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anybyte.config import GridOutputConfig, VideoInputConfig
from anybyte.models.inputs.arrays import ArrayInput

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver


def cosines(size: int) -> Tensor:
    """The orthonormal cosine transform of an axis: float64 [places, frequencies]."""
    frequencies, along = torch.arange(size, dtype=torch.float64), torch.arange(size, dtype=torch.float64) + 0.5
    basis = torch.cos(math.pi / size * along[:, None] * frequencies) * math.sqrt(2 / size)
    basis[:, 0] /= math.sqrt(2)
    return basis


def low_frequencies(shape: Sequence[int], count: int) -> Tensor:
    """The patterns of a patch that matter most in smooth signals: float64, orthonormal [count or all, values].

    Amplitudes are taken to fall as one over frequency along each axis.

    Args:
        shape: of the patch, its channels last.
        count: how many patterns, at most.
    """
    patterns, order = torch.ones(1, 1, dtype=torch.float64), torch.ones(1)
    for size in shape:
        patterns = torch.kron(patterns, cosines(size).T.contiguous())
        order = torch.kron(order, torch.arange(1.0, size + 1))
    return patterns[torch.argsort(order, stable=True)[:count]]


def start_transform(model: Perceiver, width: int, token_scale: float, latent_scale: float) -> None:
    """Begins as the transform of each signal of `config.latent_grids`, laid into the latents behind `width` channels.

    Args:
        model: whose latents have places, in their first channels.
        width: channels of places.
        token_scale, latent_scale: what the norms of tokens and of latents divide by, about.

    Raises:
        ValueError: a latent stands for more than one patch, or a layer is too narrow; the message says which.
    """
    config, decoder = model.config, model.decoder
    assert decoder is not None
    encoder, reader = model.encoders[0], decoder.layer
    grids = config.latent_grids
    values = [_patch(model, grid.input, grid.output, grid.shape) for grid in grids]
    # One channel of the latents stays 0: behind a norm it is what the norm took from all of them.
    ground, width = width, width + 1
    free = config.latent_dim - width
    shares = [free * math.prod(shape) // sum(map(math.prod, values)) for shape in values]
    first_query = max(output.num_channels for output in decoder.outputs.values())  # type: ignore[misc]
    room = reader.query.in_features - len(grids) - 1 - first_query  # type: ignore[operator]
    hidden = decoder.projection.out_features if decoder.projection is not None else 0
    for what, size in (
        ("encode.v_channels", encoder.value.out_features),
        ("decode.v_channels", reader.value.out_features),
        ("query_padding", room),
        ("decoder_channels", hidden),
    ):
        if size < sum(shares):
            raise ValueError(f"latent_grids with transform carry {sum(shares)} values; {what} has room for {size}")
    layers = (encoder.out, reader.value, reader.out, reader.mlp.fc2, decoder.projection)
    for weight in (layer.weight for layer in layers):  # type: ignore[union-attr]
        torch.nn.init.zeros_(weight)  # type: ignore[arg-type]
    zero_channel = encoder.key.in_features - 1 - len(grids)  # type: ignore[operator]
    row = 0
    for grid, shape, share in zip(grids, values, shares, strict=True):
        patterns = low_frequencies(shape, share)
        count, size = len(patterns), math.prod(shape)
        scale, answer, middle = _range(model, grid.input, grid.output)
        rows = slice(row, row + count)
        encoder.value.weight[rows] = 0  # type: ignore[index]
        encoder.value.weight[rows, :size] = patterns.float()  # type: ignore[index]
        encoder.value.weight[rows, zero_channel] = -patterns.sum(1).float()  # type: ignore[index]
        encoder.value.bias[rows] = -scale * middle / token_scale * patterns.sum(1).float()  # type: ignore[index]
        for number in range(count):
            channel = row + number
            encoder.out.weight[width + channel, channel] = 1  # type: ignore[index]
            reader.value.weight[channel, width + channel] = 1
            reader.value.weight[channel, ground] = -1
            reader.out.weight[first_query + channel, channel] = 1
            decoder.projection.weight[channel, first_query + channel] = 1  # type: ignore[union-attr]
        if grid.output in decoder.padding:
            begin = first_query - decoder.output(grid.output).num_channels
            decoder.padding[grid.output][:, begin : begin + sum(shares)] = 0
        head = decoder.output(grid.output).projection
        assert head is not None
        torch.nn.init.zeros_(head.weight)
        head.weight[:, rows] = patterns.T.float() * (token_scale * latent_scale / (scale * answer))
        head.bias.fill_(middle / answer)
        row += count


def _patch(model: Perceiver, source: str, target: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a patch with its channels, which is the same on both sides and belongs to one latent."""
    part, output = model.inputs.parts[source], model.decoder.output(target)  # type: ignore[union-attr]
    assert isinstance(part, ArrayInput)
    assert isinstance(output.config, GridOutputConfig)
    read = (*(part.patch or (1,) * len(shape)), part.channels or 1)
    answered = (*(output.config.patch or (1,) * len(shape)), output.config.num_channels)
    if part.grid != shape or output.grid != shape or read != answered or part.stem is not None:
        raise ValueError(
            f"latent_grids with transform need a latent for each patch: {shape} latents, {part.grid} patches of {read} "
            f"in {source!r} and {output.grid} of {answered} in {target!r}"
        )
    return read


def _range(model: Perceiver, source: str, target: str) -> tuple[float, float, float]:
    """What an input and its output are multiplied by, and the middle of the signal's values."""
    part, output = model.inputs.parts[source], model.decoder.output(target)  # type: ignore[union-attr]
    middle = 0.5 if isinstance(part.config, VideoInputConfig) else 0.0
    return getattr(part.config, "scale", 1.0), getattr(output.config, "scale", 1.0), middle
