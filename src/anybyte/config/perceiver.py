"""Settings of a Perceiver: its inputs, its outputs, and what is between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
