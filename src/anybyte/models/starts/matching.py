"""An initialisation in which a model of flow begins by comparing pixels.

In the paper, that two patches show the same thing a little apart has to be found out from random weights, by some
hundreds of millions of pairs. Here a model begins with it, in the parts that it has anyway, and learns from there on:

    input     a hidden unit of the stem is a difference: a pixel of the first frame less one of the second, moved by one
              of the displacements up to `reach`. A GELU of it and of its opposite add up to how different they are. The
              linear layer behind adds these up over the pixels around (`around`): one channel a displacement.
    latents   the first ones stand for the displacements, one each, told apart by orthogonal codes.
    decoder   a query looks for the latents of the displacements by which its own patches differ least, and finds the
              displacement: softmax makes a mean of them, so that answers lie between whole pixels.
    output    reads that, and nothing else at first, as the paper's reads nothing.

What the latents read and the MLP of the decoder say is small or unused at first, and all of it is learned.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from anybyte.config import FlowInputConfig, FlowOutputConfig
from anybyte.models.inputs.arrays import FlowInput
from anybyte.models.queries import Output

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver

GAIN = 16.0
"""Of the differences, which are a tenth or so between unlike pixels: by it a GELU and its mirror make an absolute
value."""
SHARPNESS = 10.0
"""How much less a latent is found where its displacement fits worse by one standard deviation of a token's channels."""
STILLNESS = 0.6
"""By how much a displacement's scores are lower for each square pixel of it: where nothing tells, nothing moves."""
_AMPLITUDE = 2.0
"""Of the codes in the latents."""
_QUIET = 0.1
"""What layers add to latents, and the stem's other channels, are this much smaller than in the paper at first."""
_REFUSED = 20.0
"""By how much the scores of latents without a displacement are lower."""


@torch.no_grad()
def start_matching(model: Perceiver) -> None:
    """Initialises a model of flow whose input asks for it.

    Raises:
        ValueError: some part of the model is too small; the message names it and what it needs.
    """
    parts = [part for part in model.inputs.parts.values() if isinstance(part, FlowInput)]
    assert model.decoder is not None
    outputs = [part for part in model.decoder.outputs.values() if isinstance(part, Output)]
    if len(parts) != 1 or len(outputs) != 1 or not isinstance(outputs[0].config, FlowOutputConfig):
        raise ValueError("initialisation 'matching' is for models of flow: one input of frames, one output of flow")
    part, layer = parts[0], model.decoder.layer
    shifts = displacements(part.config)
    _check(model, len(shifts), part.num_channels - part.positions.num_channels)
    _start_stem(part, shifts)
    codes = _start_latents(model)
    head = layer.query.out_features // layer.num_heads
    seen = F.layer_norm(codes, codes.shape[1:])
    wanted = torch.zeros(len(codes), head)
    wanted[: len(shifts), : len(shifts)] = torch.eye(len(shifts))
    wanted[: len(shifts), len(shifts)] = -STILLNESS * shifts.square().sum(dim=1)
    wanted[len(shifts) :, len(shifts)] = -_REFUSED
    values = torch.zeros(len(codes), 2)
    values[: len(shifts)] = shifts * (100 / outputs[0].config.scale)
    for number in range(layer.num_heads):
        rows = slice(number * head, (number + 1) * head)
        layer.query.weight[rows] = 0
        layer.query.weight[rows][: len(shifts), : len(shifts)] = -SHARPNESS * math.sqrt(head) * torch.eye(len(shifts))
        layer.query.bias[rows][len(shifts)] = math.sqrt(head)
        layer.key.weight[rows] = _solve(seen, wanted)
    layer.value.weight[:2] = _solve(seen, values)
    slots = slice(len(shifts), len(shifts) + 2)
    layer.out.weight[slots] = 0
    layer.out.weight[slots][:, :2] = torch.eye(2)
    layer.mlp.fc2.weight[slots] = 0
    assert outputs[0].projection is not None
    outputs[0].projection.weight[:, slots] = torch.eye(2)


def displacements(config: FlowInputConfig) -> Tensor:
    """[count, 2]: all (x, y) of whole pixels up to `reach` along each axis, from the top left."""
    steps = torch.arange(-config.reach, config.reach + 1)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1).float()


def _check(model: Perceiver, count: int, channels: int) -> None:
    (part,) = (part.config for part in model.inputs.parts.values() if isinstance(part, FlowInput))
    assert model.decoder is not None
    layer = model.decoder.layer
    head = layer.query.out_features // layer.num_heads
    needs = [
        ("hidden", part.hidden or 0, 2 * count),
        ("num_channels", channels, count + 2),
        ("num_latents", model.config.num_latents, count),
        ("latent_dim", model.config.latent_dim, count),
        ("decode.qk_channels of a head", head, count + 1),
    ]
    for name, has, least in needs:
        if has < least:
            raise ValueError(f"initialisation 'matching' of {count} displacements: {name} is {has}, below {least}")
    if part.patch // 2 < part.reach or not layer.query_residual or layer.num_heads > 1:
        raise ValueError(
            f"initialisation 'matching' needs a patch of at least {2 * part.reach + 1} pixels a side, "
            "decode.query_residual and one head of the decoder"
        )


def _start_stem(part: FlowInput, shifts: Tensor) -> None:
    """Differences of pixels, and their sums by displacement over the neighbourhood of each pixel."""
    config, radius = part.config, part.config.patch // 2
    assert part.hidden is not None
    weight = torch.zeros(part.hidden.out_features, 2, config.patch, config.patch, 3)
    steps = torch.arange(config.around) - config.around // 2
    window = torch.exp(-0.5 * (steps / (config.around / 4)) ** 2)
    window = window[:, None] * window / window.sum() ** 2
    sums = _QUIET * part.stem.weight.view(config.num_channels, config.around, config.around, -1)
    sums[: len(shifts) + 2] = 0
    for number, (dx, dy) in enumerate(shifts.long().tolist()):
        for unit, sign in ((2 * number, GAIN / 3), (2 * number + 1, -GAIN / 3)):
            # Less the mean of each patch: one frame may be brighter than the other.
            weight[unit, 0] = -sign / config.patch**2
            weight[unit, 1] = sign / config.patch**2
            weight[unit, 0, radius, radius] += sign
            weight[unit, 1, radius + dy, radius + dx] -= sign
            sums[number, :, :, unit] = window
    rest = 2 * len(shifts)
    weight[rest:] = part.hidden.weight[rest:].view_as(weight[rest:])
    part.hidden.weight.copy_(weight.flatten(1))
    part.stem.weight.copy_(sums.view_as(part.stem.weight))


def _start_latents(model: Perceiver) -> Tensor:
    """The latents [num_latents, latent_dim] as codes, orthogonal while there is room; layers are quiet."""
    dim = model.config.latent_dim
    codes = torch.randn_like(model.latents)
    orthogonal = min(len(codes), dim)
    codes[:orthogonal] = torch.linalg.qr(torch.randn(dim, orthogonal)).Q.T * math.sqrt(dim)
    model.latents.copy_(_AMPLITUDE * codes)
    for name, layer in model.named_modules():
        if name.startswith(("encoders.", "blocks.")) and name.endswith((".out", ".mlp.fc2")):
            layer.weight.mul_(_QUIET)
    return model.latents.detach()


def _solve(seen: Tensor, wanted: Tensor) -> Tensor:
    """The layer [wanted, dim] that takes normalised latents to what is wanted of them."""
    solution: Tensor = torch.linalg.lstsq(seen.double(), wanted.double(), driver="gelsd", rcond=1e-3).solution
    return solution.T.float()
