"""Attention and the transformer block of ByteFormer (Horton et al. 2023, section 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.models.windows import WindowPlan, from_windows, to_windows


class WindowAttention(nn.Module):
    """Multi-head self-attention inside the windows of a plan, through `scaled_dot_product_attention`."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not divisible by num_heads {num_heads}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "tokens dim"], plan: WindowPlan) -> Float[Tensor, "tokens dim"]:
        qkv = to_windows(self.qkv(x), plan)
        boundary = plan.num_full * plan.window
        parts = []
        if plan.num_full:
            parts.append(self._attend(qkv[:boundary], plan.window, None))
        if boundary < len(qkv):
            parts.append(self._attend(qkv[boundary:], plan.short_length, plan.short_keys))
        attended = parts[0] if len(parts) == 1 else torch.cat(parts)
        out: Tensor = self.out(from_windows(attended, plan))
        return out

    def _attend(self, qkv: Tensor, window: int, keys: Tensor | None) -> Tensor:
        """Attention in windows of equal size: [slots, 3 dim] -> [slots, dim]; `keys` is True at keys to look at."""
        slots, channels = qkv.shape
        dtype = qkv.dtype
        if qkv.requires_grad and qkv.device.type == "cpu":
            # The gradient of bfloat16 attention is three times as slow on a CPU as that of float32.
            qkv = qkv.to(torch.promote_types(dtype, torch.float32))
        q, k, v = qkv.view(slots // window, window, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        with torch.autocast(qkv.device.type, enabled=False):
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        return out.transpose(1, 2).reshape(slots, channels // 3).to(dtype)


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Pre-norm transformer block: x + Attention(LN x), then x + MLP(LN x).

    `keep` scales both branches token by token: stochastic depth drops a branch for whole files at a time.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, dropout: float, layer_norm_eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=layer_norm_eps)
        self.attention = WindowAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=layer_norm_eps)
        self.mlp = Mlp(dim, round(dim * mlp_ratio))
        self.dropout = dropout

    def forward(
        self,
        x: Float[Tensor, "tokens dim"],
        plan: WindowPlan,
        keep: tuple[Float[Tensor, "tokens 1"], Float[Tensor, "tokens 1"]] | None = None,
    ) -> Float[Tensor, "tokens dim"]:
        x = x + self._branch(self.attention(self.norm1(x), plan), keep and keep[0])
        return x + self._branch(self.mlp(self.norm2(x)), keep and keep[1])

    def _branch(self, x: Tensor, keep: Tensor | None) -> Tensor:
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        return x if keep is None else x * keep


class TokenMerge(nn.Module):
    """Two neighbouring tokens of a file become one: Linear(2 dim -> dim, no bias), then LayerNorm.

    The weight reads the pair as [first token, second token]. A last token without a partner is paired with zeros.
    """

    def __init__(self, dim: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.reduction = nn.Linear(2 * dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim, eps=layer_norm_eps)

    def forward(self, pairs: Float[Tensor, "pairs two_dim"]) -> Float[Tensor, "pairs dim"]:
        out: Tensor = self.norm(self.reduction(pairs))
        return out
