"""Settings of a ByteFormer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ByteFormerConfig:
    """Shape and numerics of a ByteFormer (Horton et al. 2023, arXiv 2306.00238). Defaults: the paper's tiny size."""

    num_classes: int = 1000
    dim: int = 192
    """Width of a token."""
    num_heads: int = 3
    depth: int = 12
    mlp_ratio: float = 4.0
    kernel_size: int = 16
    """Bytes a token reads (k, even). Neighbouring tokens start k / 2 bytes apart."""
    window_sizes: int | tuple[int, ...] = 128
    """Tokens in an attention window: one number for all blocks, or one a block."""
    window_shifts: tuple[int, ...] | None = None
    """Offset of the windows of each block in tokens. None: 0, w/2, 0, w/2, ... as in the paper."""
    merge_after: tuple[int, ...] = (0, 1, 3, 5, 7, 9)
    """Blocks after which pairs of tokens are merged into one."""
    positions: Literal["learned", "sinusoidal", "none"] = "sinusoidal"
    """Learned is the paper's table and ends at `max_num_tokens`; sinusoidal takes files of any length."""
    max_num_tokens: int = 50_000
    """Rows of the learned position table. Unused otherwise."""
    position_scale: float | None = None
    """Amplitude of sinusoidal positions. None: dim ** -0.5, the scale of the byte embedding."""
    dropout: float = 0.0
    drop_path: float = 0.0
    """Stochastic depth: rate of the last block; it grows linearly from 0 at the first."""
    layer_norm_eps: float = 1e-5
    initialisation: Literal["paper", "smooth", "samples"] = "paper"
    """What bytes mean before training. paper: nothing, each starts anywhere. smooth: bytes of near values start near
    each other (pixels). samples: as signed numbers near zero, all others alike (the high bytes of 16-bit sound, which
    carry the signal; low bytes then start as little noise). The latter two also start linear layers at a scale that
    suits narrow models. With few files this is the difference between minutes and hours (docs/design.md)."""
    numerics: Literal["anybyte", "corenet"] = "anybyte"
    """`corenet` reproduces the released code of the paper, its missing masks included (docs/design.md)."""
