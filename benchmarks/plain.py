"""ByteFormer as one would first write it: what the model in `anybyte` is measured against.

The same weights and the same answers, computed the usual way: a padded int64 batch, `nn.Embedding` and `nn.Conv1d`,
windows made by rolling the tokens, masks, and attention as softmax(q k^T) v with its scores in memory. Nothing is done
badly on purpose: a mask is applied only to the windows that need one, and what needs no roll is not copied.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import PADDING, VOCABULARY, ByteBatch
from anybyte.models.attention import Block, TokenMerge
from anybyte.models.byteformer import ByteFormer


class PlainByteFormer(nn.Module):
    """The plain form of `model`: `plain(batch)` is `model(batch)`. It shares every layer of the model but the stem."""

    def __init__(self, model: ByteFormer) -> None:
        super().__init__()
        dim, kernel_size = model.config.dim, model.config.kernel_size
        self.stem, self.windows = model.stem, model.windows
        self.embedding = nn.Embedding(VOCABULARY, dim, padding_idx=PADDING)
        self.convolution = nn.Conv1d(dim, dim, kernel_size, stride=kernel_size // 2, bias=False)
        with torch.no_grad():
            self.embedding.weight[:PADDING] = model.stem.embedding[:PADDING]
            self.convolution.weight.copy_(model.stem.kernel)
        self.positions, self.blocks, self.merges = model.positions, model.blocks, model.merges
        self.norm, self.classifier = model.norm, model.classifier

    def forward(self, batch: ByteBatch) -> Float[Tensor, "files classes"]:
        """Logits of each file."""
        counts = torch.from_numpy(np.asarray(self.stem.num_tokens(batch.lengths.numpy()))).to(batch.device)
        x = self._embed(batch.padded(), int(counts.max()))
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            is_token = _is_token(x, counts)
            x = _run_block(block, x, is_token, *self.windows[index])
            if str(index) in self.merges:
                pairs = F.pad(_clear(x, is_token), (0, 0, 0, x.shape[1] % 2)).unflatten(1, (-1, 2)).flatten(2)
                merge = self.merges[str(index)]
                assert isinstance(merge, TokenMerge)
                x, counts = merge.norm(merge.reduction(pairs)), (counts + 1) // 2
        total = _clear(self.norm(x), _is_token(x, counts)).sum(dim=1, dtype=torch.float32)
        logits: Tensor = self.classifier(total / counts[:, None])
        return logits

    def _embed(self, values: Int64[Tensor, "files bytes"], count: int) -> Float[Tensor, "files count dim"]:
        """Bytes -> embedding -> convolution -> + positions."""
        missing = (count + 1) * self.stem.stride - values.shape[1]
        values = F.pad(values, (0, missing), value=PADDING)
        x: Tensor = self.convolution(self.embedding(values).transpose(1, 2)).transpose(1, 2)
        return x if self.positions is None else x + self.positions.table(0, count).to(x.dtype)


def _is_token(x: Tensor, counts: Int64[Tensor, "files"]) -> Bool[Tensor, "files count"]:
    """True where a file has a token, False where it is padded to the longest."""
    return torch.arange(x.shape[1], device=x.device) < counts[:, None]


def _clear(x: Tensor, is_token: Tensor) -> Tensor:
    """x with zeros where there is no token."""
    return x if is_token.all() else x * is_token[:, :, None]


def _run_block(
    block: Block, x: Float[Tensor, "files count dim"], is_token: Bool[Tensor, "files count"], window: int, shift: int
) -> Float[Tensor, "files count dim"]:
    """x + Attention(LN x), then x + MLP(LN x), attention in windows of the rolled tokens."""
    files, count, dim = x.shape
    shift %= window
    windows = _roll(F.pad(block.norm1(x), (0, 0, 0, -count % window)), -shift).reshape(-1, window, dim)
    attended = _attend(block, windows, *_masks(is_token, window, shift))
    x = x + _roll(attended.reshape(files, -1, dim), shift)[:, :count]
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


def _roll(x: Tensor, shift: int) -> Tensor:
    return x.roll(shift, dims=1) if shift else x


def _masks(
    is_token: Bool[Tensor, "files count"], window: int, shift: int
) -> tuple[Bool[Tensor, "windows"], Bool[Tensor, "masked window window"]]:
    """Which windows need a mask, and for these what each query may look at: tokens on its own side of the wrap."""
    files, count = is_token.shape
    is_key = _roll(F.pad(is_token, (0, -count % window)), -shift).reshape(-1, window)
    from_start = torch.arange(count + -count % window, device=is_token.device) < shift
    side = _roll(from_start[None], -shift).expand(files, -1).reshape(-1, window)
    needs = ~is_key.all(dim=1) | (side.any(dim=1) & ~side.all(dim=1))
    side = side[needs]
    return needs, is_key[needs][:, None, :] & (side[:, :, None] == side[:, None, :])


def _attend(
    block: Block,
    x: Float[Tensor, "windows window dim"],
    needs: Bool[Tensor, "windows"],
    visible: Bool[Tensor, "masked window window"],
) -> Float[Tensor, "windows window dim"]:
    """softmax(q k^T / sqrt(d)) v in each window, then the output layer."""
    attention = block.attention
    q, k, v = attention.qkv(x).unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if len(visible):
        scores[needs] = scores[needs].masked_fill(~visible[:, None], torch.finfo(scores.dtype).min)
    out: Tensor = attention.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
    return out
