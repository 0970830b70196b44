"""Attention, the transformer block of ByteFormer (Horton et al. 2023, section 3) and the attention layer of the
Perceiver (Jaegle et al. 2022, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import AttentionConfig
from anybyte.models.products import linear, linear_gelu
from anybyte.models.windows import WindowPlan, from_windows, to_windows

if TYPE_CHECKING:
    from anybyte.models.inference import ReadyBlock

_LONG = 2**20
"""Scores of one head beyond which the form of attention must be one that never holds all of them."""

_MOST_KEYS, _LEAST_WIDTH, _MOST_SCORES = 512, 32, 2**24
"""Limits within which bfloat16 attention by plain products is quicker on a CPU than torch's own kernel."""

_STEP = 32
"""Numbers of queries and keys must be multiples of this for it: oneDNN writes code for each number that it meets."""

_KEYS_TO_WIDTH = 6
"""Keys for which the scores that a gradient needs take as much memory as queries, keys and values in float32."""


def attend(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(width)) v over [batch, heads, tokens, width]; `keys` is True at keys to look at.

    `dropout` is the share of weights that are dropped. On a CPU any of it takes the form that holds all scores.
    """
    dtype = v.dtype
    with torch.autocast(v.device.type, enabled=False):
        if keys is None and not dropout and _products_pay(q, k, v):
            return attend_holding_scores(q, k, v)
        if v.requires_grad and v.device.type == "cpu":
            # The gradient of torch's own bfloat16 attention is twice as slow on a CPU as that of float32.
            q, k, v = (x.to(torch.promote_types(dtype, torch.float32)) for x in (q, k, v))
        out: Tensor = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout).to(dtype)
        return out


def _products_pay(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether to hold all scores: in bfloat16 on a CPU, if they are few."""
    queries, keys, width = q.shape[2], k.shape[2], min(q.shape[3], v.shape[3])
    if v.device.type != "cpu" or v.dtype != torch.bfloat16 or queries % _STEP or keys % _STEP:
        return False
    if v.requires_grad:
        return width >= _LEAST_WIDTH and keys <= _KEYS_TO_WIDTH * width
    return width >= _LEAST_WIDTH and keys <= _MOST_KEYS and q.shape[:3].numel() * keys <= _MOST_SCORES


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
        out: Tensor = self.out(self.attend(self.qkv(x), plan))
        return out

    def attend(self, qkv: Float[Tensor, "tokens three_dim"], plan: WindowPlan) -> Float[Tensor, "tokens dim"]:
        """What tokens find in their windows: queries, keys and values side by side -> the sums of values."""
        slots = to_windows(qkv, plan)
        parts = slots.split([count * length for count, length in plan.runs])
        last = len(parts) - 1
        found = [
            self._attend(part, length, plan.last_keys if number == last else None)
            for number, (part, (_, length)) in enumerate(zip(parts, plan.runs, strict=True))
        ]
        return from_windows(found[0] if len(found) == 1 else torch.cat(found), plan)

    def _attend(self, qkv: Tensor, window: int, keys: Tensor | None) -> Tensor:
        """Attention in windows of equal size: [slots, 3 dim] -> [slots, dim]; `keys` is True at keys to look at."""
        slots, channels = qkv.shape
        q, k, v = qkv.view(slots // window, window, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return attend(q, k, v, keys).transpose(1, 2).reshape(slots, channels // 3)


class Mlp(nn.Module):
    """Two linear layers with a GELU between them: the exact one (`none`) or its `tanh` approximation."""

    def __init__(self, dim: int, hidden: int, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))
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
        self.quantized: ReadyBlock | None = None
        """Its form in 8-bit integers, where one was made (quantize.py)."""

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


@runtime_checkable
class OtherSource(Protocol):
    """An array that is attended to in a way of its own (`models/one_head.py`)."""

    def found(self, layer: AttentionLayer, x: Tensor) -> Tensor:
        """What x finds in it, behind the layer's output projection: [batch, queries, dim]."""
        ...


Source = tuple[Tensor, Tensor]
"""Keys and values, each [batch, heads, tokens, width]: an array as it is attended to."""


class AttentionLayer(nn.Module):
    """Pre-norm attention and MLP of the Perceiver, for all three of its roles.

    x = [x +] Out(Attention(LN x, source)), then x + MLP(LN x). Queries and keys may be narrower than values, and the
    source is another array (`key_dim`, with a norm of its own) or x itself (`key_dim` None).
    """

    def __init__(
        self,
        dim: int,
        key_dim: int | None,
        config: AttentionConfig,
        gelu: Literal["tanh", "erf"],
        masked_rows: Literal["zero", "uniform"],
        dropout: float = 0.0,
    ) -> None:
        """`dropout` acts in training on the weights of attention, on what it found, and on what the MLP adds."""
        super().__init__()
        self.dropout = dropout
        source_dim = dim if key_dim is None else key_dim
        qk = source_dim if config.qk_channels is None else config.qk_channels
        v = qk if config.v_channels is None else config.v_channels
        for name, width in (("qk_channels", qk), ("v_channels", v)):
            if config.num_heads < 1 or width % config.num_heads:
                raise ValueError(f"{name} {width} is not divisible by num_heads {config.num_heads}")
        self.num_heads, self.query_residual, self.masked_rows = config.num_heads, config.query_residual, masked_rows
        self.norm = nn.LayerNorm(dim)
        self.norm_source = None if key_dim is None else nn.LayerNorm(key_dim)
        self.query = nn.Linear(dim, qk)
        self.key = nn.Linear(source_dim, qk)
        self.value = nn.Linear(source_dim, v)
        self.out = nn.Linear(v, dim)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, dim * config.widening, "tanh" if gelu == "tanh" else "none")

    def read(self, array: Float[Tensor, "batch tokens source_dim"]) -> Source:
        """Another array as a source; compute it once where many queries follow in pieces."""
        if self.norm_source is None:
            raise ValueError("a self-attention layer reads no other array")
        array = self.norm_source(array)
        return self._heads(linear(self.key, array)), self._heads(linear(self.value, array))

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        source: Source | OtherSource | None = None,
        keep: Bool[Tensor, "batch tokens"] | None = None,
        keep_queries: Bool[Tensor, "batch queries"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        """x after one layer.

        Args:
            source: what `read` returned, or another form of an array, which takes no masks. None: x itself.
            keep: True at tokens of the source that may be attended.
            keep_queries: True at rows of x that may attend.
        """
        if source is not None and not isinstance(source, tuple):
            return self._add_found(x, source.found(self, x))
        normed = self.norm(x)
        if source is None:
            source = self._heads(linear(self.key, normed)), self._heads(linear(self.value, normed))
        queries = self._heads(linear(self.query, normed))
        return self.finish(x, self._attend(queries, *source, keep, keep_queries))

    def queries(self, x: Float[Tensor, "batch queries dim"]) -> Float[Tensor, "batch heads queries width"]:
        """What x looks for."""
        return self._heads(linear(self.query, self.norm(x)))

    def finish(
        self, x: Float[Tensor, "batch queries dim"], found: Float[Tensor, "batch heads queries width"]
    ) -> Float[Tensor, "batch queries dim"]:
        """x after the layer, from what its queries found."""
        return self._add_found(x, linear(self.out, found.transpose(1, 2).flatten(2)))

    def _add_found(self, x: Tensor, out: Tensor) -> Tensor:
        """x, what it found, and the MLP."""
        out = self._drop(out)
        x = x + out if self.query_residual else out
        hidden = linear_gelu(self.mlp.fc1, self.norm_mlp(x), self.mlp.approximate)
        return x + self._drop(linear(self.mlp.fc2, hidden))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, tokens, heads * width] -> [batch, heads, tokens, width]."""
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        return heads

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, keep_queries: Tensor | None) -> Tensor:
        """Attention where rows without any key give zero, or the mean of all values."""
        masked = None
        keys = None
        if keep is not None:
            masked = ~keep.any(dim=1, keepdim=True)
            keys = (keep | masked)[:, None, None]
        if keep_queries is not None:
            masked = ~keep_queries if masked is None else masked | ~keep_queries
        out = _attend_widths(q, k, v, keys, self.dropout if self.training else 0.0)
        if masked is None:
            return out
        instead = v.mean(dim=2, keepdim=True) if self.masked_rows == "uniform" else out.new_zeros(())
        return torch.where(masked[:, None, :, None], instead, out)


def _attend_widths(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None, dropout: float = 0.0) -> Tensor:
    """`attend` for values of another width than keys.

    The form that holds no matrix of scores wants equal widths on a CPU, so that long arrays are padded by zeros, which
    change no score; short ones are quicker as they are.
    """
    qk, width = q.shape[-1], v.shape[-1]
    if qk == width:
        return attend(q, k, v, keys, dropout)
    if q.shape[2] * k.shape[2] < _LONG:
        on_cpu = v.device.type == "cpu" and not torch.is_grad_enabled() and not dropout
        return attend_holding_scores(q, k, v, keys) if on_cpu else attend(q, k, v, keys, dropout)
    wide = max(qk, width)
    # The scale follows the padded width: make up for it.
    q = F.pad(q * (wide / qk) ** 0.5, (0, wide - qk))
    return attend(q, F.pad(k, (0, wide - qk)), F.pad(v, (0, wide - width)), keys, dropout)[..., :width]


def attend_holding_scores(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None = None) -> Tensor:
    """`attend` as two products with all scores between them; each query has a key to look at.

    torch's own form of that also looks for queries that have none, in three passes over the scores.
    """
    batch, heads = q.shape[:2]
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    scores = torch.baddbmm(q.new_zeros(()), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5).unflatten(0, (batch, heads))
    if keys is not None:
        scores = scores.masked_fill(~keys, -torch.inf)
    out: Tensor = torch.bmm(scores.softmax(dim=-1).flatten(0, 1).to(v.dtype), v).unflatten(0, (batch, heads))
    return out
