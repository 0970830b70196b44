"""Every setting of the library, as frozen dataclasses: data only, no behaviour.

A `Recipe` is everything that determines a training run. Recipes are written to `recipe.json` beside each run and each
field can be set from the command line (`anybyte train small/fsdd_wav --optim.learning_rate 1e-3`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to the media inside a training file, before it is encoded again. All off by default.

    A field that does not fit the medium of a file (a flip for audio) is left out for that file.
    """

    crop_padding: int = 0
    """Images: zero-pad by this many pixels on each side, then crop at random back to the size."""
    flip: bool = False
    """Images: mirror left-right with probability 1/2."""
    brightness: float = 0.0
    """Images: scale pixel values by a factor drawn from [1 - b, 1 + b]."""
    erase: float = 0.0
    """Images: probability of overwriting a random rectangle (2% to 20% of the area) with a random value."""
    gain_db: float = 0.0
    """Audio: gain drawn from [-g, g] decibels."""
    shift_seconds: float = 0.0
    """Audio: delay drawn from [-s, s]; the gap is silence, the end is cut, the length stays."""
    speed: float = 0.0
    """Audio: resample by a factor drawn from [1 - s, 1 + s] (pitch and length change together)."""
    noise_db: float | None = None
    """Audio: add white noise at a level drawn from [noise_db - 30, noise_db] dB relative to the clip's peak."""
    time_mask_seconds: float = 0.0
    """Audio: silence one random stretch of up to this length."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where labelled files come from and how they are cut into train, validation and test."""

    path: str = ""
    """Folder, zip, tar shards, manifest (.csv, .jsonl), parquet, or `hf:name` (see docs/guide.md)."""
    format: str | None = None
    """Re-encode every media file to this before the model reads it (`tiff`, `png:0`, `jpeg:q60`, `fhwc`, `wav:s16`).
    None: the bytes as they are stored."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    val_fraction: float = 0.1
    """Share of the training files held out for validation when the source has no `val` part."""
    test_fraction: float = 0.1
    """Share of all files held out for testing when the source has no `test` part."""
    split_seed: int = 0
    max_bytes: int = 256 * 2**20
    """A training file longer than this is an error that names it."""
    on_error: Literal["fail", "skip"] = "fail"
    """What an unreadable or undecodable file does: stop the run, or be left out with a line in the log."""


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay."""

    learning_rate: float = 1e-3
    min_learning_rate: float = 2e-5
    stem_scale: float = 1.0
    """Learning rate of the stem's kernel, relative to the rest. With k * dim inputs its weights are small, and equal
    steps move it much further; where bytes are noisy, less than 1 learns sooner."""
    warmup_steps: int = 200
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    """Not applied to biases, norms, embeddings and positions."""
    clip_norm: float | None = 1.0
    label_smoothing: float = 0.1
    ema_decay: float | None = 0.9999
    """Weights evaluated and saved are the moving average: decay ramps up as (1 + step) / (10 + step). None: off."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How long, how large, where to, and with what seed."""

    out: str = "runs/last"
    seed: int = 0
    epochs: int = 30
    max_minutes: float | None = None
    """Stop cleanly after this much training time. The schedule does not stretch to fit: choose `epochs` to match."""
    max_steps: int | None = None
    batch_files: int = 64
    """Files in one optimiser step over all processes and accumulation steps, at most."""
    batch_bytes: int = 2**22
    """Bytes in one optimiser step, at most (a file longer than this is a step of its own)."""
    accumulation: int = 1
    """Parts that each step's batch is cut into, one after the other."""
    precision: Literal["fp32", "bf16"] = "fp32"
    num_workers: int = 0
    threads: int | None = None
    """CPU threads. None: torch's default."""
    compile: bool = False
    checkpoint_every: int = 200
    """Optimiser steps between checkpoints. Each epoch ends with one as well."""
    evaluate_every: int = 1
    """Epochs between validations."""
    patience: int | None = None
    """Stop when validation has not improved for this many validations."""
    resume: bool = True
    """Go on from the newest checkpoint in `out`, if there is one."""
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run of a byte classifier, from files to a model folder."""

    name: str = "custom"
    model: ByteFormerConfig = field(default_factory=ByteFormerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
