"""A block where no gradient is wanted, on a processor: the same sums in the forms that are fastest there.

What differs from `Block.forward`:
- weights are cast, and laid out as oneDNN wants them, once for all pieces of tokens that go through;
- GELU is computed on the results of the first product while they are in registers;
- the residual sums go where the result belongs, so that nothing is copied or concatenated.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.models.attention import Block
from anybyte.models.windows import WindowPlan

TOKENS_AT_ONCE = 1024
"""Tokens that a thread works on at a time: what a block makes of them stays in the cache of its core."""

_WORTH_PACKING = 4096
"""Tokens from which on the time to lay a float32 weight out anew is made up for."""


class Product:
    """A linear layer ready for many products: `product(x) = x W^T + b`.

    Args:
        linear: the layer; its numbers are those of now.
        dtype: of the arithmetic.
        tokens: rows that it will be given in all.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, tokens: int) -> None:
        self.weight = linear.weight.to(dtype)
        self.bias = None if linear.bias is None else linear.bias.to(dtype)
        self.fused = _onednn_computes(dtype)
        if self.fused and dtype == torch.float32 and tokens >= _WORTH_PACKING:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, TOKENS_AT_ONCE)

    def __call__(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens out"]:
        if not self.fused:
            return F.linear(x, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out

    def with_gelu(
        self, x: Float[Tensor, "tokens dim"], approximate: Literal["none", "tanh"]
    ) -> Float[Tensor, "tokens out"]:
        """`gelu(product(x))`."""
        if not self.fused:
            return F.gelu(F.linear(x, self.weight, self.bias), approximate=approximate)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], approximate)
        return out


class ReadyBlock:
    """A block whose weights are ready for `tokens` tokens in all: `ready(x, plan, out)` writes `block(x, plan)`."""

    def __init__(self, block: Block, dtype: torch.dtype, tokens: int) -> None:
        self.block = block
        self.qkv = Product(block.attention.qkv, dtype, tokens)
        self.out = Product(block.attention.out, dtype, tokens)
        self.fc1 = Product(block.mlp.fc1, dtype, tokens)
        self.fc2 = Product(block.mlp.fc2, dtype, tokens)

    def __call__(
        self, x: Float[Tensor, "tokens dim"], plan: WindowPlan, out: Float[Tensor, "tokens dim"]
    ) -> Float[Tensor, "tokens dim"]:
        found = self.block.attention.attend(self.qkv(_norm(self.block.norm1, x)), plan)
        x = self.out(found).add_(x)
        hidden = self.fc1.with_gelu(_norm(self.block.norm2, x), self.block.mlp.approximate)
        return torch.add(x, self.fc2(hidden), out=out)


def ready(block: Block, x: Float[Tensor, "tokens dim"]) -> ReadyBlock | None:
    """The block made ready for all of x; None where only `block(...)` itself will do.

    That is where a gradient is wanted, on other devices, where dropout is to act, in a compiler's hands, and where the
    weights are not plain tensors of the dtype that is computed in (sharded ones, for example).
    """
    dtype = computing_dtype(x)
    weight = block.mlp.fc1.weight
    if (
        torch.is_grad_enabled()
        or x.device.type != "cpu"
        or (block.dropout and block.training)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or type(weight) not in (nn.Parameter, Tensor)
        or x.dtype != dtype
        or (weight.dtype != dtype and not torch.is_autocast_enabled("cpu"))
    ):
        return None
    return ReadyBlock(block, dtype, len(x))


def computing_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which products with x are computed."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


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
