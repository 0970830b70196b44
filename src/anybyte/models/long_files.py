"""Files of any length in bounded memory: a Perceiver reads a long file's tokens a stretch at a time.

A latent attends to all tokens of a file, so that its softmax needs all scores. It is built up as the tokens come: the
largest score so far, the sum of weights relative to it, and the weighted sum of values, all rescaled when a larger
score turns up (Milakov and Gimelshein 2018, arXiv 1805.02867). The same sums are made in other batches: nothing is
approximated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from anybyte.batch import ByteBatch
from anybyte.models.attention import AttentionLayer
from anybyte.models.inputs import BytesInput

if TYPE_CHECKING:
    from anybyte.models.perceiver import Perceiver

LONG_TOKENS = 2**16
"""Files of more tokens than this are read in stretches when no gradient is wanted."""

STRETCH_TOKENS = 2**14
"""Tokens of a stretch."""


def are_long(part: BytesInput, batch: ByteBatch) -> bool:
    """Whether some file of a batch is to be read in stretches."""
    return len(batch) > 0 and _is_long(part, int(batch.lengths.max()))


def latents_of_long_files(
    model: Perceiver, name: str, batch: ByteBatch
) -> Float[Tensor, "files num_latents latent_dim"]:
    """The latents of a batch in which some files are long; input `name` is the model's only one."""
    part = model.inputs.parts[name]
    assert isinstance(part, BytesInput)
    found = []
    for data in batch.split():
        if not _is_long(part, len(data)):
            found.append(model.encode(ByteBatch(data, torch.tensor([len(data)]))).latents)
            continue

        def read(layer: AttentionLayer, x: Tensor, data: Tensor = data) -> Tensor:
            return attend_in_stretches(layer, x, part.stretches(data, STRETCH_TOKENS))

        found.append(model.process(model.latents[None], read))
    return torch.cat(found)


def attend_in_stretches(
    layer: AttentionLayer,
    x: Float[Tensor, "1 queries dim"],
    stretches: Iterable[Float[Tensor, "1 tokens channels"]],
) -> Float[Tensor, "1 queries dim"]:
    """`layer(x, layer.read(tokens))` for tokens that come in pieces."""
    queries = layer.queries(x)
    scale = queries.shape[-1] ** -0.5
    largest = total = found = torch.zeros(())
    for number, tokens in enumerate(stretches):
        keys, values = layer.read(tokens.to(x.dtype))
        scores = (queries @ keys.mT).to(torch.promote_types(x.dtype, torch.float32)) * scale
        peak = scores.amax(dim=-1, keepdim=True)
        peak = torch.maximum(largest, peak) if number else peak
        weights = (scores - peak).exp_()
        fading = (largest - peak).exp() if number else peak.new_zeros(())
        total = total * fading + weights.sum(dim=-1, keepdim=True)
        found = found * fading + (weights.to(values.dtype) @ values).to(weights.dtype)
        largest = peak
    return layer.finish(x, (found / total).to(x.dtype))


def _is_long(part: BytesInput, num_bytes: int) -> bool:
    return num_bytes > (LONG_TOKENS + 1) * part.stem.stride
