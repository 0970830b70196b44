"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from anybyte.config.byteformer import ByteFormerConfig
from anybyte.config.data import AnyReadingConfig, DataConfig, ReadingConfig
from anybyte.config.perceiver import PerceiverConfig
from anybyte.config.tasks import ClassifyConfig, TaskConfig


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW or LAMB, with linear warm-up and a schedule after it."""

    optimizer: Literal["adamw", "lamb"] = "adamw"
    """LAMB (You et al. 2020, arXiv 1904.00962) is the papers' choice for Perceivers."""
    learning_rate: float = 1e-3
    min_learning_rate: float = 2e-5
    schedule: Literal["cosine", "flat_cosine", "steps", "constant"] = "cosine"
    """After warm-up: half a cosine down to the minimum; the same after a flat part; a tenth at each of `drops`; or
    nothing. The minimum is the cosines' alone."""
    flat: float = 0.5
    """With `flat_cosine`: share of the run that is over when the cosine begins."""
    drops: tuple[float, ...] = (0.7, 0.85, 0.95)
    """With `steps`: shares of the run at which the learning rate is divided by ten (Jaegle et al. 2021: epochs 84, 102
    and 114 of 120)."""
    epsilon: float = 1e-8
    """Added to the root of the second moment."""
    stem_scale: float = 1.0
    """Learning rate of the stem's kernel, relative to the rest. With k * dim inputs its weights are small, and equal
    steps move it much further; where bytes are noisy, less than 1 learns sooner."""
    warmup_steps: int = 200
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    """Not applied to biases, norms, embeddings and positions."""
    decay_tables: bool = False
    """Apply weight decay to embeddings and positions as well: to all but biases and norms (Perceiver IO)."""
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
    init_from: str | None = None
    """Folder of a model whose weights this one starts from: tensors of equal name and shape are taken, and the note
    says which were not. None: from nothing."""
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, from data to a model folder."""

    name: str = "custom"
    task: TaskConfig = field(default_factory=ClassifyConfig)
    model: ByteFormerConfig | PerceiverConfig = field(default_factory=ByteFormerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    reading: AnyReadingConfig = field(default_factory=ReadingConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
