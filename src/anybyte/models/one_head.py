"""Cross-attention of a single head, without keys and values of the longer side.

With one head nothing but matrix products stands between an array and its scores, or between its values and what
becomes of them, so that they may be done in another order:

    (x Q) (y K)^T = (x Q K^T) y^T        softmax(..) (y V) O = softmax(..) y (V O)

A Perceiver has few latents and long arrays. Where an array is read, its keys and values are never made: the latents'
queries are sent through K, and V acts on what they found. Where queries read the latents, neither queries nor what
they find are made: the latents' keys are sent through Q and their values through O. That is exact, biases included, and
spares two projections of each element; the scores' inner width becomes that of the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from anybyte.models import attention
from anybyte.models.attention import AttentionLayer, OtherSource, Source
from anybyte.models.products import is_plain, linear, product

_SCORES = 2**20
"""Scores that are held at once where queries read: about what a processor's cache holds."""


def as_array(layer: AttentionLayer, x: Tensor, tokens: Float[Tensor, "batch tokens dim"]) -> Source | OtherSource:
    """`tokens` as a source for a few rows x, in the form that takes fewer products."""
    if not _is_cheaper(layer, x.shape[1], tokens.shape[1], layer.key.in_features):
        return layer.read(tokens)
    assert layer.norm_source is not None
    return ArraySource(layer.norm_source(tokens))


def as_latents(
    layer: AttentionLayer, latents: Float[Tensor, "batch latents dim"], num_queries: int
) -> Source | OtherSource:
    """`latents` as a source for `num_queries` in all, in the form that takes fewer products.

    The other form would hold all scores for the gradient. It is for inference alone.
    """
    if torch.is_grad_enabled() or not _is_cheaper(layer, latents.shape[1], num_queries, layer.query.in_features):
        return layer.read(latents)
    assert layer.norm_source is not None
    array = layer.norm_source(latents)
    keys = linear(layer.key, array) * layer.query.out_features**-0.5
    return LatentSource(
        keys @ layer.query.weight, keys @ layer.query.bias, layer.out.weight @ linear(layer.value, array).mT
    )


@dataclass(frozen=True)
class ArraySource:
    """A long array, as few latents read it: itself, normalised. Gradients go through it."""

    array: Float[Tensor, "batch tokens dim"]

    def found(self, layer: AttentionLayer, x: Float[Tensor, "batch latents dim"]) -> Float[Tensor, "batch latents dim"]:
        """What x finds, behind the output layer."""
        queries = linear(layer.query, layer.norm(x))
        array = self.array[:, None].to(queries.dtype)
        # Attention divides by the root of the width that it sees.
        scale = (array.shape[-1] / queries.shape[-1]) ** 0.5
        queries = (queries @ layer.key.weight * scale).to(array.dtype)
        if torch.is_grad_enabled():
            # The keys' bias adds the same to all scores of a row, which a softmax does not see: its gradient is zero,
            # and training on many devices wants to be told so.
            queries = queries + 0 * layer.key.bias.sum()
        found = attention.attend(queries[:, None], array, array)
        return linear(layer.out, linear(layer.value, found[:, 0]))


@dataclass(frozen=True)
class LatentSource:
    """Latents, as many queries read them.

    Attributes:
        keys, bias: scores are `queries @ keys.mT + bias`.
        values: what the latents add to a query that they are all of the weight of.
    """

    keys: Float[Tensor, "batch latents width"]
    bias: Float[Tensor, "batch latents"]
    values: Float[Tensor, "batch width latents"]

    def found(
        self, layer: AttentionLayer, x: Float[Tensor, "batch queries width"]
    ) -> Float[Tensor, "batch queries width"]:
        """What x finds, behind the output layer."""
        found = torch.empty_like(x)
        rows = max(1, _SCORES // self.keys.shape[1])
        for example, queries in enumerate(x):
            for first in range(0, len(queries), rows):
                piece = slice(first, first + rows)
                scores = product(layer.norm(queries[piece]), self.keys[example], self.bias[example])
                found[example, piece] = product(scores.softmax(dim=-1), self.values[example], layer.out.bias)
        return found


def _is_cheaper(layer: AttentionLayer, latents: int, others: int, width: int) -> bool:
    """Whether scores as wide as the longer side cost less than its projections; `others` is how long it is."""
    drops = layer.training and layer.dropout > 0
    if layer.num_heads > 1 or drops or not all(map(is_plain, (layer.query, layer.key, layer.value, layer.out))):
        return False
    inner = layer.key.out_features + layer.value.out_features
    return latents * width * (2 * others + inner) < others * (latents + width) * inner
