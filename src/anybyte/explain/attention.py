"""Scores from attention: how much of each byte reaches the pooled answer if attention alone carried it (rollout,
Abnar and Zuidema 2020, arXiv 2005.00928).

A layer's output is taken to be half its input (the residual) and half what its heads, averaged, attend to. Going back
from the answer, the weight of a token is dealt out over the tokens that it was made from; a token of a merged pair has
half of the pair's. Nothing here knows of the label, and no score is below zero: it says where the model looks, not what
it makes of what it sees.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anybyte.config import AverageOutputConfig
from anybyte.explain.target import Target
from anybyte.models.attention import AttentionLayer, Block
from anybyte.models.byteformer import ByteFormer
from anybyte.models.inputs import BytesInput
from anybyte.models.perceiver import Perceiver
from anybyte.models.windows import Lengths, cut_windows

MAX_TOKENS = 2**17
"""Tokens of the stem beyond which the activations of all layers would need too much memory."""


@torch.no_grad()
def attention_rollout(target: Target) -> Float[Tensor, "bytes"]:
    """The share that each byte has in the answer, float64; all shares add up to 1.

    Raises:
        ValueError: the file is too long, or the model computes what the released code does, whose windows wrap around.
    """
    if target.num_tokens > MAX_TOKENS:
        raise ValueError(
            f"{target.length:,} bytes are {target.num_tokens:,} tokens, and attention is followed through "
            f"{MAX_TOKENS:,} at most: use the method occlusion"
        )
    if isinstance(target.model, ByteFormer):
        if target.model.config.numerics == "corenet":
            raise ValueError(
                "attention is not followed through numerics='corenet', whose windows wrap around the end of a file: "
                "use the method integrated_gradients"
            )
        weights = _through_byteformer(target.model, target.tokens(), target.check)
    else:
        weights = _through_perceiver(target.model, target.tokens(), target.check)
    return target.spread(weights)


def _through_byteformer(model: ByteFormer, tokens: Tensor, check: Callable[[], None]) -> Float[Tensor, "tokens"]:
    """The weight of each of the stem's tokens in the mean over the last ones; `check` may end the work at any layer."""
    counts = np.array([len(tokens)], dtype=np.int64)
    x = tokens if model.positions is None else tokens + model.positions.table(0, len(tokens)).to(tokens.dtype)
    inputs: list[tuple[Tensor, Lengths]] = []
    for index in range(model.config.depth):
        check()
        inputs.append((x, counts))
        x, counts = model.run_merge(index, model.run_block(index, x, counts), counts)
    weights = torch.full((len(x),), 1 / len(x), dtype=torch.float64, device=x.device)
    for index, (before, counts) in reversed(list(enumerate(inputs))):
        check()
        if str(index) in model.merges:
            weights = _unmerge(weights, len(before))
        block = model.blocks[index]
        assert isinstance(block, Block)
        window, shift = model.windows[index]
        weights = _through_windows(block, before, cut_windows(counts, window, shift), weights)
    return weights


def _unmerge(weights: Tensor, count: int) -> Tensor:
    """Half of a pair's weight for each of the two; all of it for a last token without a partner."""
    halves = weights.repeat_interleave(2)[:count] / 2
    if count % 2:
        halves[-1] *= 2
    return halves


def _through_windows(block: Block, x: Tensor, lengths: Lengths, weights: Tensor) -> Tensor:
    """The weights before a block, of those behind it: half stays where it is, half goes where it looked."""
    attention = block.attention
    q, k, _ = attention.qkv(block.norm1(x)).unflatten(1, (3, attention.num_heads, -1)).unbind(1)
    looked = []
    parts = (part.split(lengths.tolist()) for part in (q, k, weights))
    for queries, keys, weight in zip(*parts, strict=True):
        looked.append(_looked(queries.transpose(0, 1), keys.transpose(0, 1), weight))
    return (weights + torch.cat(looked)) / 2


def _looked(q: Float[Tensor, "heads queries width"], k: Float[Tensor, "heads keys width"], weights: Tensor) -> Tensor:
    """The weight of each key: that of each query times how much it attends to the key, in the mean of the heads."""
    scores = (q.float() @ k.float().mT) * q.shape[-1] ** -0.5
    found: Tensor = weights @ scores.softmax(dim=-1).mean(dim=0).double()
    return found


def _through_perceiver(model: Perceiver, tokens: Tensor, check: Callable[[], None]) -> Float[Tensor, "tokens"]:
    """The weight of each of the stem's tokens in what the output reads of the latents; `check` may end the work."""
    part = next(iter(model.inputs.parts.values()))
    assert isinstance(part, BytesInput)
    array = part.arrange(tokens, np.array([len(tokens)], dtype=np.int64))[0].to(model.latents.dtype)
    steps: list[tuple[AttentionLayer, Tensor, bool]] = []
    """Layer, latents before it, and whether it reads the tokens."""
    x = model.latents[None]
    for index in range(model.config.num_blocks):
        check()
        if index < model.config.num_cross_attends:
            encoder = model.encoders[min(index, len(model.encoders) - 1)]
            assert isinstance(encoder, AttentionLayer)
            steps.append((encoder, x, True))
            x = encoder(x, encoder.read(array))
        for layer in model.blocks[min(index, len(model.blocks) - 1)].children():
            assert isinstance(layer, AttentionLayer)
            steps.append((layer, x, False))
            x = layer(x)
    weights = _read_by_output(model, x)
    total = torch.zeros(len(tokens), dtype=torch.float64, device=x.device)
    for layer, before, reads in reversed(steps):
        check()
        looked = _looked(*_queries_and_keys(layer, before, array if reads else None), weights)
        kept = 0.5 if layer.query_residual else 0.0
        if reads:
            total += (1 - kept) * looked
            weights = kept * weights
        else:
            weights = kept * weights + (1 - kept) * looked
    return total / total.sum()  # what is left lies with the latents, which are the same for every file


def _read_by_output(model: Perceiver, latents: Tensor) -> Float[Tensor, "latents"]:
    """The weight of each latent in the answer."""
    count = latents.shape[1]
    output = model.config.outputs[0]
    if isinstance(output, AverageOutputConfig) or model.decoder is None:
        return torch.full((count,), 1 / count, dtype=torch.float64, device=latents.device)
    queries = model.decoder.output(output.name).queries(slice(None), latents, None)
    whole = torch.ones(1, dtype=torch.float64, device=latents.device)
    return _looked(*_queries_and_keys(model.decoder.layer, queries, latents), whole)


def _queries_and_keys(layer: AttentionLayer, x: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of the only example, each [heads, tokens, width]; `source` None: x attends to itself."""
    normed = layer.norm(x)
    array = normed
    if source is not None:
        assert layer.norm_source is not None
        array = layer.norm_source(source)
    q, k = (y[0].unflatten(-1, (layer.num_heads, -1)).transpose(0, 1) for y in (layer.query(normed), layer.key(array)))
    return q, k
