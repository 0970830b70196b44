"""A block where no gradient is wanted, on a processor: the same sums in the forms that are fastest there.

What differs from `Block.forward`:
- weights are cast once for all pieces of tokens that go through, and the products are oneDNN's;
- GELU is computed on the results of the first product while they are in registers;
- the residual sums go where the result belongs, so that nothing is copied or concatenated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.models.attention import Block, TokenMerge, WindowAttention
from anybyte.models.products import is_plain, pointwise
from anybyte.models.windows import WindowPlan, spans

TOKENS_AT_ONCE = 2048
"""Tokens that a thread works on at a time: what a block makes of them stays in the cache of its core."""

TOKENS_TOGETHER = 2**15
"""Tokens of a batch that go through the network together: as many as the cache of a processor holds."""

ROWS = 64
"""Numbers of tokens that are a multiple of this get code of their own: those of whole windows are, as a rule."""


class Product:
    """A linear layer ready for many products: `product(x) = x W^T + b`, with the numbers that the layer has now."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        self.weight = linear.weight.to(dtype)
        self.bias = None if linear.bias is None else linear.bias.to(dtype)
        self.onednn = _onednn_computes(dtype)

    def __call__(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens out"]:
        if not self._fits(x):
            return F.linear(x, self.weight, self.bias)
        return pointwise(x, self.weight, self.bias)

    def with_gelu(
        self, x: Float[Tensor, "tokens dim"], approximate: Literal["none", "tanh"]
    ) -> Float[Tensor, "tokens out"]:
        """`gelu(product(x))`."""
        if not self._fits(x):
            return F.gelu(F.linear(x, self.weight, self.bias), approximate=approximate)
        return pointwise(x, self.weight, self.bias, approximate)

    def _fits(self, x: Tensor) -> bool:
        # oneDNN writes code for each number of rows that it meets: only numbers that come again are worth that.
        return self.onednn and len(x) % ROWS == 0


class ReadyBlock(ABC):
    """A block whose weights are ready: `ready(x, plan, out)` writes `block(x, plan)` to out, which may be x itself."""

    attention: WindowAttention
    out: Product

    def __call__(
        self, x: Float[Tensor, "tokens dim"], plan: WindowPlan, out: Float[Tensor, "tokens dim"]
    ) -> Float[Tensor, "tokens dim"]:
        x = self.out(self.attention.attend(self.read(x), plan)).add_(x)
        return torch.add(x, self.mlp(x), out=out)

    @abstractmethod
    def read(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens three_dim"]:
        """Queries, keys and values side by side."""

    @abstractmethod
    def mlp(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens dim"]:
        """What the MLP adds."""


class FloatBlock(ReadyBlock):
    """A block of floating-point weights."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.block, self.attention = block, block.attention
        self.qkv = Product(block.attention.qkv, dtype)
        self.out = Product(block.attention.out, dtype)
        self.fc1 = Product(block.mlp.fc1, dtype)
        self.fc2 = Product(block.mlp.fc2, dtype)

    def read(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens three_dim"]:
        return self.qkv(_norm(self.block.norm1, x))

    def mlp(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens dim"]:
        return self.fc2(self.fc1.with_gelu(_norm(self.block.norm2, x), self.block.mlp.approximate))


class ReadyMerge:
    """A token merging whose weight is ready: `ready(x)` is `merge(x)`."""

    def __init__(self, merge: TokenMerge, dtype: torch.dtype) -> None:
        self.norm = merge.norm
        self.reduction = Product(merge.reduction, dtype)

    def __call__(self, pairs: Float[Tensor, "pairs two_dim"]) -> Float[Tensor, "pairs dim"]:
        return _norm(self.norm, self.reduction(pairs))


@overload
def ready(part: Block, x: Tensor) -> ReadyBlock | None: ...


@overload
def ready(part: TokenMerge, x: Tensor) -> ReadyMerge | None: ...


def ready(part: Block | TokenMerge, x: Float[Tensor, "rows channels"]) -> ReadyBlock | ReadyMerge | None:
    """A part made ready for x, piece by piece; None where only `part(...)` itself will do.

    That is where a gradient is wanted, on other devices, where dropout is to act, in a compiler's hands, and where the
    layers are not plain ones of the dtype that is computed in (but have hooks or sharded weights, for example).
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return None
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    layers = _linears(part)
    weight = layers[0].weight
    if (
        (isinstance(part, Block) and part.dropout and part.training)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or not all(map(is_plain, layers))
        or x.dtype != dtype
        or (weight.dtype != dtype and not autocast)
    ):
        return None
    if isinstance(part, TokenMerge):
        return ReadyMerge(part, dtype)
    if part.quantized is not None and dtype == torch.bfloat16:
        return part.quantized
    return FloatBlock(part, dtype)


def _linears(part: Block | TokenMerge) -> tuple[nn.Linear, ...]:
    if isinstance(part, TokenMerge):
        return (part.reduction,)
    return part.attention.qkv, part.attention.out, part.mlp.fc1, part.mlp.fc2


def group_files(batch: ByteBatch, stride: int) -> list[ByteBatch]:
    """The batch in groups of whole files, in order, of about `TOKENS_TOGETHER` tokens at most; on a processor."""
    lengths = batch.lengths.numpy()
    most = TOKENS_TOGETHER * stride
    if batch.device.type != "cpu" or lengths.sum() <= most:
        return [batch]
    groups = [lengths[first:end] for first, end in spans(lengths, most)]
    parts = batch.values.split([int(group.sum()) for group in groups])
    return [ByteBatch(values, torch.from_numpy(group)) for values, group in zip(parts, groups, strict=True)]


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    dtype = x.dtype
    return F.layer_norm(x, norm.normalized_shape, norm.weight.to(dtype), norm.bias.to(dtype), norm.eps)


@cache
def _onednn_computes(dtype: torch.dtype) -> bool:
    """Whether oneDNN has a kernel of its own for products in a dtype on this processor."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
