"""Linear layers by the quicker of torch's two libraries for matrix products on processors.

Outside of training and in float32, oneDNN is a tenth faster here than what `F.linear` calls, more where a width is no
multiple of a vector's, and it applies GELU while numbers are in registers.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def is_plain(layer: nn.Linear) -> bool:
    """Whether a layer is its weight and bias and nothing else: no subclass, hook or sharded tensor."""
    return (
        type(layer) is nn.Linear
        and type(layer.weight) in (nn.Parameter, Tensor)
        and not (layer._forward_hooks or layer._forward_pre_hooks)
    )


def pointwise(
    x: Float[Tensor, "*rows dim"],
    weight: Float[Tensor, "out dim"],
    bias: Tensor | None,
    gelu: Literal["none", "tanh"] | None = None,
) -> Float[Tensor, "*rows out"]:
    """`F.linear` by oneDNN, and GELU (exact, or by tanh) behind it; for plain tensors of one dtype on a processor."""
    name, algorithm = ("none", "") if gelu is None else ("gelu", gelu)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)
    return out


def product(x: Float[Tensor, "*rows dim"], weight: Float[Tensor, "out dim"], bias: Tensor | None) -> Tensor:
    """`F.linear`: x times the transposed weight, plus the bias."""
    return pointwise(x, weight, bias) if _onednn_is_quicker(x, weight) else F.linear(x, weight, bias)


def linear(layer: nn.Linear, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows out"]:
    """`layer(x)`."""
    if is_plain(layer) and _onednn_is_quicker(x, layer.weight):
        return pointwise(x, layer.weight, layer.bias)
    out: Tensor = layer(x)
    return out


def linear_gelu(
    layer: nn.Linear, x: Float[Tensor, "*rows dim"], approximate: Literal["none", "tanh"]
) -> Float[Tensor, "*rows out"]:
    """`F.gelu(layer(x), approximate=approximate)`."""
    if is_plain(layer) and _onednn_is_quicker(x, layer.weight):
        return pointwise(x, layer.weight, layer.bias, approximate)
    return F.gelu(layer(x), approximate=approximate)


def _onednn_is_quicker(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )
