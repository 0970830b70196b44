"""The numbers of the paper's released code (apple/corenet), so that its published weights give its published accuracy.

What it does that the paper does not say, reproduced here and nowhere else (`numerics="corenet"`):
- no attention mask is ever applied: windows that are shifted wrap around the end of the file, and padding is attended
  to;
- each block pads its tokens with zeros to a multiple of the window before it shifts them, and these pass through
  LayerNorm;
- the batch is padded to its longest file, and the mean runs over tokens made of padding too;
- trailing bytes that do not fill a kernel are dropped;
- LayerNorm normalises over axis 1, with eps added to the standard deviation, whenever that axis is as long as `dim`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch

if TYPE_CHECKING:
    from anybyte.models.attention import Block
    from anybyte.models.byteformer import ByteFormer

Tap = Callable[[str, Tensor], None]
"""Called with the name and value of each activation, for tests of parity."""


def features(model: ByteFormer, batch: ByteBatch, tap: Tap | None = None) -> Float[Tensor, "files dim"]:
    """`ByteFormer.features` as the released code computes it.

    Raises:
        ValueError: a file is shorter than a kernel, or the longest has more tokens than the position table.
    """
    stem, kernel = model.stem, model.config.kernel_size
    shortest = int(batch.lengths.min())
    if shortest < kernel:
        raise ValueError(f"numerics='corenet' needs files of at least kernel_size={kernel} bytes, one has {shortest}")
    padded = batch.padded()
    indices = padded.unfold(1, kernel, stem.stride)
    x = stem.tokens(indices.flatten(0, 1).to(torch.int32)).unflatten(0, indices.shape[:2])
    return features_from_stem(model, x, tap)


def features_from_stem(
    model: ByteFormer, x: Float[Tensor, "files tokens dim"], tap: Tap | None = None
) -> Float[Tensor, "files dim"]:
    """The same from the tokens that the stem made."""
    tap = tap or (lambda name, value: None)
    tap("conv", x)
    if model.positions is not None:
        x = x + model.positions.table(0, x.shape[1]).to(x.dtype)
    tap("stem", x)
    for index, block in enumerate(model.blocks):
        window, shift = model.windows[index]
        x = _block(block, x, window, shift)  # type: ignore[arg-type]
        tap(f"layer_{index}", x)
        if str(index) in model.merges:
            merge = model.merges[str(index)]
            pairs = F.pad(x, (0, 0, 0, x.shape[1] % 2)).unflatten(1, (-1, 2)).flatten(2)
            x = _layer_norm(merge.norm, merge.reduction(pairs))  # type: ignore[arg-type, operator]
            tap(f"downsample_{index}", x)
    x = _layer_norm(model.norm, x)
    tap("post_norm", x)
    x = x.mean(dim=1)
    tap("pooled", x)
    return x


def _block(block: Block, x: Tensor, window: int, shift: int) -> Tensor:
    """One block over zero-padded, rolled windows without masks: [files, tokens, dim] -> the same."""
    files, count, dim = x.shape
    x = F.pad(x, (0, 0, 0, -count % window)).roll(-shift, dims=1)
    x = x.reshape(-1, window, dim)
    heads = block.attention.num_heads
    q, k, v = block.attention.qkv(_layer_norm(block.norm1, x)).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    x = x + block.attention.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    x = x + block.mlp(_layer_norm(block.norm2, x))
    return x.reshape(files, -1, dim).roll(shift, dims=1)[:, :count]


def _layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """LayerNorm over the last axis, except where the released code mistakes axis 1 for the channels."""
    if x.shape[1] != norm.normalized_shape[0]:
        normalised: Tensor = norm(x)
        return normalised
    std, mean = torch.std_mean(x, dim=1, keepdim=True, correction=0)
    x = (x - mean) / (std + norm.eps)
    return x * norm.weight[:, None] + norm.bias[:, None]
