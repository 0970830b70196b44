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
from torch import Tensor, nn

from anybyte.config import GridOutputConfig, VideoInputConfig
from anybyte.models.attention import AttentionLayer
from anybyte.models.inputs.arrays import ArrayInput
from anybyte.models.queries import Output

if TYPE_CHECKING:
    from anybyte.models.decoder import Decoder
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
        width: channels of places; the last one is 0.
        token_scale, latent_scale: what norms divide tokens and latents by, about.

    Raises:
        ValueError: a latent stands for more than one patch, or a layer is too narrow; the message says which.
    """
    layers = _layers(model)
    encoder, decoder, projection = layers
    grids = model.config.latent_grids
    shapes = [_patch(model, grid.input, grid.output, grid.shape) for grid in grids]
    ground = width - 1
    free, values = model.config.latent_dim - width, [math.prod(shape) for shape in shapes]
    shares = [free * count // sum(values) for count in values]
    outputs = [_output(model, name) for name in _decoder(model).outputs]
    beside = max(output.num_channels for output in outputs)
    _check_room(layers, beside + len(grids) + 1, sum(shares))
    for layer in (encoder.out, decoder.value, decoder.out, decoder.mlp.fc2, projection):
        nn.init.zeros_(layer.weight)
    zero = encoder.key.in_features - 1 - len(grids)
    row = 0
    for grid, shape, share in zip(grids, shapes, shares, strict=True):
        patterns = low_frequencies(shape, share).float()
        scale, answer, middle = _range(model, grid.input, grid.output)
        rows = slice(row, row + len(patterns))
        encoder.value.weight[rows] = 0
        encoder.value.weight[rows, : patterns.shape[1]] = patterns
        encoder.value.weight[rows, zero] = -patterns.sum(1)
        encoder.value.bias[rows] = -scale * middle / token_scale * patterns.sum(1)
        for channel in range(rows.start, rows.stop):
            encoder.out.weight[width + channel, channel] = 1
            decoder.value.weight[channel, width + channel] = 1
            decoder.value.weight[channel, ground] = -1
            decoder.out.weight[beside + channel, channel] = 1
            projection.weight[channel, beside + channel] = 1
        head = _output(model, grid.output)
        if grid.output in _decoder(model).padding:
            begin = beside - head.num_channels
            _decoder(model).padding[grid.output][:, begin : begin + sum(shares)] = 0
        assert head.projection is not None
        nn.init.zeros_(head.projection.weight)
        head.projection.weight[:, rows] = patterns.T * (token_scale * latent_scale / (scale * answer))
        nn.init.constant_(head.projection.bias, middle / answer)
        row = rows.stop


def _layers(model: Perceiver) -> tuple[AttentionLayer, AttentionLayer, nn.Linear]:
    encoder, decoder = model.encoders[0], _decoder(model)
    assert isinstance(encoder, AttentionLayer)
    if decoder.projection is None:
        raise ValueError("latent_grids with transform need decoder_channels, which carry the values")
    return encoder, decoder.layer, decoder.projection


def _check_room(layers: tuple[AttentionLayer, AttentionLayer, nn.Linear], taken: int, needed: int) -> None:
    encoder, decoder, projection = layers
    for what, size in (
        ("encode.v_channels", encoder.value.out_features),
        ("decode.v_channels", decoder.value.out_features),
        ("query_padding", decoder.query.in_features - taken),
        ("decoder_channels", projection.out_features),
    ):
        if size < needed:
            raise ValueError(f"latent_grids with transform carry {needed} values; {what} has room for {size}")


def _decoder(model: Perceiver) -> Decoder:
    assert model.decoder is not None
    return model.decoder


def _output(model: Perceiver, name: str) -> Output:
    return _decoder(model).output(name)


def _patch(model: Perceiver, source: str, target: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a patch with its channels, which is the same on both sides and belongs to one latent."""
    part, output = model.inputs.parts[source], _output(model, target)
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
    part, output = model.inputs.parts[source].config, _output(model, target).config
    middle = 0.5 if isinstance(part, VideoInputConfig) else 0.0
    return getattr(part, "scale", 1.0), getattr(output, "scale", 1.0), middle
