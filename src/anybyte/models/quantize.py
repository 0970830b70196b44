"""A ByteFormer whose blocks compute in 8-bit integers, for processors with AVX-512 VNNI.

Three of the four products of a block take integers on both sides and add them up in 32 bits: queries, keys and values,
and both layers of the MLP. The fourth is a tenth of the work and stays in bfloat16, as do attention and what is between
the blocks. Weights are rounded with a scale for each output. What they are multiplied with is rounded with scales that
follow from the weights alone, so that no file's answer depends on another's and no data is needed:

- LayerNorm gives numbers of variance 1 before its own scale, which is folded into the weight; what is beyond
  `NORMED_RANGE` is cut off;
- a hidden unit of the MLP is the sum of such numbers, each times a weight: its standard deviation is the norm of these
  weights if they are independent, and the range reaches `HIDDEN_SIGMAS` of them beyond the bias.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.models.attention import Block
from anybyte.models.byteformer import ByteFormer
from anybyte.models.inference import ROWS, Product, ReadyBlock

Precision: TypeAlias = Literal["fp32", "bf16", "int8"]
"""How a model in use computes: `bf16` under autocast, `int8` under autocast as well, and `quantized`."""

NORMED_RANGE = 8.0
"""Numbers after a LayerNorm, in standard deviations, that have an integer of their own."""

HIDDEN_SIGMAS = 6.0
"""Standard deviations of a hidden unit above its bias that have an integer of their own."""

_LOWEST_GELU = -0.17
"""GELU is nowhere less."""


def quantized(model: ByteFormer) -> ByteFormer:
    """A copy of a model that computes in 8-bit integers, under bfloat16 autocast and without gradients.

    Everywhere else (training, other devices, float32) it is the model that it was. Its integers are made from the
    weights of now: change these, and quantize anew.

    Raises:
        ValueError: this processor cannot, the model is elsewhere, or it computes the released code's numerics.
    """
    device = model.norm.weight.device
    if device.type != "cpu":
        raise ValueError(f"int8 is for processors, and this model is on {device}: use bf16 or fp32")
    if not _has_vnni():
        raise ValueError("int8 needs a processor with AVX-512 VNNI, which this one has not: use bf16 or fp32")
    if model.config.numerics != "anybyte":
        raise ValueError(f"int8 is not for numerics={model.config.numerics!r}: use bf16 or fp32")
    model = copy.deepcopy(model).eval()
    for block in model.blocks:
        assert isinstance(block, Block)
        block.quantized = Int8Block(block)
    return model


class Int8Block(ReadyBlock):
    """A block of 8-bit integers; it takes and gives bfloat16."""

    def __init__(self, block: Block) -> None:
        self.attention = block.attention
        self.out = Product(block.attention.out, torch.bfloat16)
        self.into_qkv = _Normed(block.norm1, block.attention.qkv)
        self.into_hidden = _Normed(block.norm2, block.mlp.fc1)
        self.approximate = block.mlp.approximate
        self.hidden = _Steps.between(_LOWEST_GELU, max(self.into_hidden.highest(HIDDEN_SIGMAS), 1.0))
        self.from_hidden = _IntegerProduct(block.mlp.fc2.weight, block.mlp.fc2.bias)

    def read(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens three_dim"]:
        return self.into_qkv.product(self.into_qkv.integers(x), _NORMED)[: len(x)]

    def mlp(self, x: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens dim"]:
        hidden = self.into_hidden.product.gelu(self.into_hidden.integers(x), _NORMED, self.hidden, self.approximate)
        return self.from_hidden(hidden, self.hidden)[: len(x)]


@dataclass(frozen=True)
class _Steps:
    """What unsigned integers mean: `number = (integer - zero) * size`."""

    size: float
    zero: int

    @classmethod
    def between(cls, lowest: float, highest: float) -> _Steps:
        size = (highest - lowest) / 255
        return cls(size, round(-lowest / size))


_NORMED = _Steps(NORMED_RANGE / 127, 128)


class _IntegerProduct:
    """A linear layer with an 8-bit weight, one scale for each output."""

    def __init__(self, weight: Float[Tensor, "out dim"], bias: Float[Tensor, "out"] | None) -> None:
        weight = weight.detach().float()
        self.scales = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        integers = (weight / self.scales[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(integers, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = None if bias is None else bias.detach().float()

    def __call__(self, x: UInt8[Tensor, "rows dim"], steps: _Steps) -> Float[Tensor, "rows out"]:
        return self._compute(x, steps, 1.0, 0, torch.bfloat16, "none", [], "")

    def gelu(
        self, x: UInt8[Tensor, "rows dim"], steps: _Steps, out: _Steps, approximate: str
    ) -> UInt8[Tensor, "rows out"]:
        """`gelu(product(x))` in integers that mean what `out` says."""
        return self._compute(x, steps, out.size, out.zero, torch.uint8, "gelu", [], approximate)

    def _compute(self, x: Tensor, steps: _Steps, *out_and_function: object) -> Tensor:
        # Unsigned numbers times signed ones: without AMX, oneDNN has slow code for anything else.
        integers = (x, steps.size, steps.zero, self.weight, self.scales, self.zeros, self.bias)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(*integers, *out_and_function)
        return out


class _Normed:
    """LayerNorm and the linear layer behind it, the norm's own scale and bias folded into the layer."""

    def __init__(self, norm: nn.LayerNorm, linear: nn.Linear) -> None:
        weight = linear.weight.detach().double()
        folded = weight * norm.weight.detach().double()
        bias = linear.bias.detach().double() + weight @ norm.bias.detach().double()
        self.product = _IntegerProduct(folded, bias)
        self.spread, self.bias = folded.norm(dim=1), bias
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.to_steps = torch.full(self.shape, 1 / _NORMED.size)

    def highest(self, sigmas: float) -> float:
        """The most that any output is expected to be."""
        return float((self.bias + sigmas * self.spread).max())

    def integers(self, x: Float[Tensor, "tokens dim"]) -> UInt8[Tensor, "rows dim"]:
        """x normalised, in `_NORMED` steps; rows of zeros behind it fill up a multiple of `ROWS`."""
        steps = F.layer_norm(x.float(), self.shape, self.to_steps, None, self.eps)
        # Signed integers first: torch converts to these with vector instructions, to unsigned ones without.
        signed = steps.clamp_(-127, 127).round_().to(torch.int8)
        if len(x) % ROWS:
            signed = F.pad(signed, (0, 0, 0, -len(x) % ROWS))
        return signed.view(torch.uint8).bitwise_xor_(_NORMED.zero)


def _has_vnni() -> bool:
    return torch.backends.mkldnn.is_available() and bool(
        torch.cpu._is_avx512_supported() and torch.cpu._is_vnni_supported()
    )
