"""Linear layers give the same by either library, and torch's own where the other cannot."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.models import products
from anybyte.models.products import linear, linear_gelu


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 7), (50, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = nn.Linear(7, 5, bias=bias), torch.randn(shape)
    torch.testing.assert_close(linear(layer, x), layer(x), atol=1e-6, rtol=1e-5)
    for kind in ("none", "tanh"):
        expected = F.gelu(layer(x), approximate=kind)
        torch.testing.assert_close(linear_gelu(layer, x, kind), expected, atol=1e-6, rtol=1e-5)
    apart = torch.randn(*shape[:-1], 14)[..., ::2]  # not side by side in memory
    torch.testing.assert_close(linear(layer, apart), layer(apart), atol=1e-6, rtol=1e-5)


def test_gradients_and_other_types_go_torchs_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.Linear(7, 5), torch.randn(4, 7)
    assert linear_gelu(layer, x, "none").requires_grad
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            assert linear(layer, x).dtype == torch.bfloat16
        assert linear(layer.double(), x.double()).dtype == torch.float64
    layer.float()

    def refuse(x: Tensor, weight: Tensor) -> bool:
        return False

    with torch.inference_mode():
        by_onednn = linear(layer, x)
        monkeypatch.setattr(products, "_onednn_is_quicker", refuse)
        torch.testing.assert_close(linear(layer, x), by_onednn, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_hooks_and_adapters_are_not_passed_over() -> None:
    class Adapted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    x = torch.randn(3, 7)
    adapted = Adapted(7, 5)
    torch.testing.assert_close(linear(adapted, x), adapted(x))
    torch.testing.assert_close(linear_gelu(adapted, x, "none"), F.gelu(adapted(x)))
    hooked, seen = nn.Linear(7, 5), []
    hooked.register_forward_hook(lambda *_: seen.append(1))
    linear(hooked, x)
    linear_gelu(hooked, x, "none")
    assert len(seen) == 2
