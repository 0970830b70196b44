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
class FourierPositionsConfig:
    """Coordinates in [-1, 1] with sines and cosines of them: d (2 K + 1) channels for d axes and K bands."""

    kind: Literal["fourier"] = field(default="fourier", init=False)
    num_bands: int
    max_resolution: tuple[int, ...]
    """One number an axis: frequencies run evenly from 1 to half of it. A constant of the model: arrays of other sizes
    only change the spacing of the coordinates."""


@dataclass(frozen=True, kw_only=True)
class LearnedPositionsConfig:
    """A trained table, one row a place of the input's own shape; resized bicubically for others."""

    kind: Literal["learned"] = field(default="learned", init=False)
    num_channels: int
    projected: bool = False
    """Whether rows pass a linear layer of the same width first."""


PositionsConfig = FourierPositionsConfig | LearnedPositionsConfig


@dataclass(frozen=True, kw_only=True)
class LinearStemConfig:
    """A linear layer on each pixel (a 1 x 1 convolution)."""

    kind: Literal["linear"] = field(default="linear", init=False)
    num_channels: int = 256


@dataclass(frozen=True, kw_only=True)
class ConvStemConfig:
    """7 x 7 convolution of stride 2, batch norm, ReLU, 3 x 3 max-pool of stride 2: a quarter of the size."""

    kind: Literal["conv"] = field(default="conv", init=False)
    num_channels: int = 64
    padding: Literal["same", "transformers"] = "same"
    """same: 224 pixels make 56 tokens, as DeepMind published. transformers: 55."""


@dataclass(frozen=True, kw_only=True)
class TokenInputConfig:
    """Token ids [batch, length]: an embedding plus a learned position."""

    kind: Literal["tokens"] = field(default="tokens", init=False)
    name: str = "tokens"
    vocabulary: int = 262
    num_channels: int = 768
    max_length: int = 2048


@dataclass(frozen=True, kw_only=True)
class ImageInputConfig:
    """Images [batch, height, width, channels], normalised; one token a pixel, or what the stem leaves of them."""

    kind: Literal["image"] = field(default="image", init=False)
    name: str = "image"
    shape: tuple[int, int] = (224, 224)
    """Height and width that the model is made for; others are allowed."""
    num_channels: int = 3
    stem: LinearStemConfig | ConvStemConfig | None = None
    positions: PositionsConfig


@dataclass(frozen=True, kw_only=True)
class FlowInputConfig:
    """Two frames [batch, 2, height, width, 3] in [-1, 1]: 3 x 3 patches of both, then a linear layer.

    Patches that are already there [batch, 2, height, width, 27] are taken as they are.
    """

    kind: Literal["flow"] = field(default="flow", init=False)
    name: str = "frames"
    num_channels: int = 64
    positions: FourierPositionsConfig


@dataclass(frozen=True, kw_only=True)
class VideoInputConfig:
    """Video [batch, frames, height, width, channels] in [0, 1], cut into patches."""

    kind: Literal["video"] = field(default="video", init=False)
    name: str = "image"
    shape: tuple[int, int, int] = (16, 224, 224)
    patch: tuple[int, int, int] = (1, 4, 4)
    num_channels: int = 3
    positions: FourierPositionsConfig
    mask_probability: float = 0.0
    """Share of tokens that a learned one replaces in training. Nothing is random outside: 1 hides all, less none."""


@dataclass(frozen=True, kw_only=True)
class AudioInputConfig:
    """Samples [batch, length], cut into patches."""

    kind: Literal["audio"] = field(default="audio", init=False)
    name: str = "audio"
    num_samples: int = 30_720
    patch: int = 16
    positions: FourierPositionsConfig
    mask_probability: float = 0.0
    """As for video."""


@dataclass(frozen=True, kw_only=True)
class LabelInputConfig:
    """One-hot classes [batch, classes]: one token without a position."""

    kind: Literal["label"] = field(default="label", init=False)
    name: str = "label"
    num_classes: int = 700
    mask_probability: float = 0.0
    """As for video."""


@dataclass(frozen=True, kw_only=True)
class ArrayInputConfig:
    """Any array [batch, *places, channels]: with positions, or without any as a set [batch, entities, channels]."""

    kind: Literal["array"] = field(default="array", init=False)
    name: str = "array"
    num_channels: int
    positions: FourierPositionsConfig | None = None


InputConfig = (
    TokenInputConfig
    | ImageInputConfig
    | FlowInputConfig
    | VideoInputConfig
    | AudioInputConfig
    | LabelInputConfig
    | ArrayInputConfig
)


@dataclass(frozen=True, kw_only=True)
class ClassOutputConfig:
    """Logits [batch, classes] from one learned query."""

    kind: Literal["class"] = field(default="class", init=False)
    name: str = "classes"
    num_classes: int = 1000
    query_channels: int = 1024


@dataclass(frozen=True, kw_only=True)
class TokenOutputConfig:
    """Logits [batch, length, vocabulary] from a learned query a position, through the embedding of the token input."""

    kind: Literal["tokens"] = field(default="tokens", init=False)
    name: str = "tokens"
    max_length: int = 2048
    query_channels: int = 768


@dataclass(frozen=True, kw_only=True)
class FlowOutputConfig:
    """Optical flow [batch, height, width, 2]; the queries are the tokens of the frames."""

    kind: Literal["flow"] = field(default="flow", init=False)
    name: str = "flow"
    scale: float = 20.0
    """Pixels a unit of flow, as DeepMind's model is used. transformers answers in units: 1."""


@dataclass(frozen=True, kw_only=True)
class GridOutputConfig:
    """Values [batch, *shape, channels] from Fourier features of each place.

    The coordinate of place i of n is -1 + 2 i / n: the grid of the released autoencoder's queries, not of its inputs.
    """

    kind: Literal["grid"] = field(default="grid", init=False)
    name: str
    shape: tuple[int, ...]
    num_channels: int
    positions: FourierPositionsConfig
    flatten: bool = False
    """Whether the channels are consecutive values of a signal: [batch, places * channels]."""


@dataclass(frozen=True, kw_only=True)
class AverageOutputConfig:
    """Logits [batch, classes] from the mean of the latents, without a decoder: the original Perceiver's."""

    kind: Literal["average"] = field(default="average", init=False)
    name: str = "classes"
    num_classes: int = 1000


OutputConfig = ClassOutputConfig | TokenOutputConfig | FlowOutputConfig | GridOutputConfig | AverageOutputConfig


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """One role of attention in a Perceiver: encode, process or decode."""

    num_heads: int = 1
    qk_channels: int | None = None
    """Width of queries and keys over all heads. None: the width of the array that is read."""
    v_channels: int | None = None
    """Width of values over all heads. None: that of the keys."""
    widening: int = 1
    """Hidden width of the MLP, relative to the array's."""
    query_residual: bool = True
    """Whether what attends is added to what it found."""


@dataclass(frozen=True, kw_only=True)
class PerceiverConfig:
    """A Perceiver (Jaegle et al. 2021, arXiv 2103.03206) or Perceiver IO (2022, arXiv 2107.14795)."""

    inputs: tuple[InputConfig, ...]
    """One, or several that are read as one array: each padded by a learned vector to the width of the widest."""
    outputs: tuple[OutputConfig, ...] = ()
    """None: the model answers with its latents."""
    num_latents: int = 512
    latent_dim: int = 1024
    num_blocks: int = 8
    num_layers: int = 6
    """Self-attention layers of a block."""
    distinct_blocks: int = 1
    """Blocks with weights of their own; the last of them is used for all that follow."""
    num_cross_attends: int = 1
    """Blocks that begin by reading the inputs: 1 in Perceiver IO, all in the original."""
    distinct_cross_attends: int = 1
    """Cross-attends with weights of their own; the last of them is used for all that follow."""
    encode: AttentionConfig = field(default_factory=AttentionConfig)
    process: AttentionConfig = field(default_factory=lambda: AttentionConfig(num_heads=8))
    decode: AttentionConfig = field(default_factory=AttentionConfig)
    decoder_channels: int | None = None
    """Width of a projection that all outputs share before their own. None: there is none."""
    input_padding: int = 4
    """Learned channels that the widest of several inputs gets."""
    query_padding: int = 2
    """Learned channels that the widest queries of several outputs get."""
    gelu: Literal["tanh", "erf"] = "tanh"
    """DeepMind's approximation, or the exact form that transformers computes."""
    masked_rows: Literal["zero", "uniform"] = "zero"
    """Attention where nothing may be attended: zero (DeepMind), or the mean of all values (transformers)."""
    activation_checkpointing: bool = False
    """Keep only the input of each layer for the backward pass and compute the rest again."""


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
