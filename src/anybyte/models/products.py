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


def product(x: Float[Tensor, "*rows dim"], weight: Float[Tensor, "out dim"], bias: Tensor | None) -> Tensor:
    """`F.linear`: x times the transposed weight, plus the bias."""
    if not _onednn_is_quicker(x, weight):
        return F.linear(x, weight, bias)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def linear(layer: nn.Linear, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows out"]:
    """`layer(x)`."""
    return product(x, layer.weight, layer.bias)


def linear_gelu(
    layer: nn.Linear, x: Float[Tensor, "*rows dim"], approximate: Literal["none", "tanh"]
) -> Float[Tensor, "*rows out"]:
    """`F.gelu(layer(x), approximate=approximate)`."""
    if not _onednn_is_quicker(x, layer.weight):
        return F.gelu(F.linear(x, layer.weight, layer.bias), approximate=approximate)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "gelu", [], approximate)
    return out


def _onednn_is_quicker(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
