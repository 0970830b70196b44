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
    """A trained table, one row a place of the input's own shape; interpolated for others."""

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
class BytesInputConfig:
    """Files, as a `ByteBatch`: ByteFormer's stem, a byte embedding and a strided convolution, plus positions.

    Files of a batch may have any lengths; what pads their tokens is masked.
    """

    kind: Literal["bytes"] = field(default="bytes", init=False)
    name: str = "file"
    num_channels: int = 256
    """Width of a token."""
    kernel_size: int = 16
    """Bytes a token reads (k, even). Neighbouring tokens start k / 2 bytes apart."""
    positions: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    """Sinusoidal takes files of any length; a learned table ends at `max_num_tokens`."""
    max_num_tokens: int = 50_000
    """Rows of the learned position table. Unused otherwise."""
    position_scale: float | None = None
    """Amplitude of sinusoidal positions. None: num_channels ** -0.5, the scale of the byte embedding."""
    initialisation: Literal["paper", "smooth", "samples"] = "paper"
    """What bytes mean before training, as for `ByteFormerConfig`."""


@dataclass(frozen=True, kw_only=True)
class TokenInputConfig:
    """Token ids [batch, length]: an embedding plus a position."""

    kind: Literal["tokens"] = field(default="tokens", init=False)
    name: str = "tokens"
    vocabulary: int = 262
    num_channels: int = 768
    max_length: int = 2048
    """Longer texts are refused."""
    positions: Literal["learned", "sinusoidal", "none"] = "learned"


@dataclass(frozen=True, kw_only=True)
class ImageInputConfig:
    """Images [batch, height, width, channels], normalised: a token a patch, or what the stem leaves of them."""

    kind: Literal["image"] = field(default="image", init=False)
    name: str = "image"
    shape: tuple[int, int] = (224, 224)
    """Height and width that the model is made for; others are allowed."""
    patch: tuple[int, int] = (1, 1)
    """Pixels of a patch, which become channels of its token."""
    num_channels: int = 3
    stem: LinearStemConfig | ConvStemConfig | None = None
    """Behind the patches (linear) or instead of them (conv)."""
    positions: PositionsConfig | None


@dataclass(frozen=True, kw_only=True)
class FlowInputConfig:
    """Two frames [batch, 2, height, width, 3] in [-1, 1]: the patch around each pixel of both, then a linear layer.

    Patches that are already there [batch, 2, height, width, patch * patch * 3] are taken as they are.
    """

    kind: Literal["flow"] = field(default="flow", init=False)
    name: str = "frames"
    patch: int = 3
    """Pixels on each side of a patch (odd)."""
    hidden: int | None = None
    """Width of a layer with a GELU before the linear one. None: there is none, as in the paper."""
    around: int = 1
    """With `hidden`: values on each side of the neighbourhood that the linear layer reads (odd)."""
    spread: int = 1
    """With `around`: pixels from each of these values to the next."""
    initialisation: Literal["paper", "matching"] = "paper"
    """matching: the model begins by comparing pixels of both frames (models/starts/matching.py)."""
    reach: int = 2
    """With `matching`: the largest displacement that is compared, in pixels along each axis."""
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
    positions: PositionsConfig | None
    mask_probability: float = 0.0
    """Share of tokens that a learned one replaces in training. Nothing is random outside: 1 hides all, less none."""
    drop_probability: float = 0.0
    """Probability that an example's input is replaced as a whole in training, as if it were absent (0.3 for the video
    of AudioSet)."""


@dataclass(frozen=True, kw_only=True)
class AudioInputConfig:
    """Samples [batch, length], cut into patches."""

    kind: Literal["audio"] = field(default="audio", init=False)
    name: str = "audio"
    num_samples: int = 30_720
    patch: int = 16
    positions: PositionsConfig | None
    mask_probability: float = 0.0
    """As for video."""
    drop_probability: float = 0.0
    """As for video."""
    scale: float = 1.0
    """Samples are multiplied by this before anything else: quiet sound is small beside its positions."""


@dataclass(frozen=True, kw_only=True)
class MelInputConfig:
    """A mel spectrogram [batch, frames, mels], cut into patches; (1, mels) makes each frame a token."""

    kind: Literal["mel"] = field(default="mel", init=False)
    name: str = "audio"
    shape: tuple[int, int]
    """Frames and mel bands that the model is made for."""
    patch: tuple[int, int] = (1, 1)
    positions: PositionsConfig | None
    mask_probability: float = 0.0
    """As for video."""
    drop_probability: float = 0.0
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
class PointsInputConfig:
    """Points [batch, points, coordinates and features]: Fourier features of the coordinates themselves.

    Coordinates come first, one for each number of `positions.max_resolution`, and lie in [-1, 1].
    """

    kind: Literal["points"] = field(default="points", init=False)
    name: str = "points"
    num_channels: int = 0
    """Features of a point besides its coordinates."""
    positions: FourierPositionsConfig


@dataclass(frozen=True, kw_only=True)
class ArrayInputConfig:
    """Any array [batch, *places, channels]: a series, a grid. Without shape and positions it is a set of entities."""

    kind: Literal["array"] = field(default="array", init=False)
    name: str = "array"
    num_channels: int
    shape: tuple[int, ...] | None = None
    """Places along each axis that the model is made for. None: as many axes as the positions have, or a set."""
    patch: tuple[int, ...] | None = None
    """Places of a patch along each axis, which become channels of its token. None: each place is a token."""
    positions: PositionsConfig | None = None
    mask_probability: float = 0.0
    """As for video; needs a shape."""


InputConfig = (
    BytesInputConfig
    | TokenInputConfig
    | ImageInputConfig
    | FlowInputConfig
    | VideoInputConfig
    | AudioInputConfig
    | MelInputConfig
    | LabelInputConfig
    | PointsInputConfig
    | ArrayInputConfig
)


@dataclass(frozen=True, kw_only=True)
class ClassOutputConfig:
    """Logits [batch, classes] from one query: a learned one, or that of a token."""

    kind: Literal["class"] = field(default="class", init=False)
    name: str = "classes"
    num_classes: int = 1000
    query_channels: int = 1024
    """Width of the learned query."""
    query_of: str | None = None
    """Name of a token output whose query at `position` is taken, instead of one learned for this output alone: what the
    model answers at a token of its input, such as one that stands for the task."""
    position: int = 0
    """See `query_of`; unused otherwise."""
    hidden: int | None = None
    """Width of a layer with a tanh before the logits. None: there is none."""
    several: bool = False
    """Whether there may be several classes at once (or none): each logit is one of yes against no, by itself."""


@dataclass(frozen=True, kw_only=True)
class TokenOutputConfig:
    """Logits [batch, length, vocabulary] from a learned query a position, through the embedding of the token input."""

    kind: Literal["tokens"] = field(default="tokens", init=False)
    name: str = "tokens"
    max_length: int = 2048
    query_channels: int = 768


@dataclass(frozen=True, kw_only=True)
class FlowOutputConfig:
    """Optical flow [batch, height, width, 2]; the queries are the tokens of an input that is a grid."""

    kind: Literal["flow"] = field(default="flow", init=False)
    name: str = "flow"
    input: str | None = None
    """Name of the input. None: the only one."""
    scale: float = 20.0
    """Pixels a unit of flow, as DeepMind's model is used. transformers answers in units: 1."""


@dataclass(frozen=True, kw_only=True)
class GridOutputConfig:
    """Values [batch, *shape, channels] from Fourier features of each place, or from a learned query for each.

    The Fourier coordinate of place i of n is -1 + 2 i / n: the grid of the released autoencoder's queries, not of its
    inputs.
    """

    kind: Literal["grid"] = field(default="grid", init=False)
    name: str
    shape: tuple[int, ...]
    num_channels: int
    positions: PositionsConfig
    flatten: bool = False
    """Whether the channels are consecutive values of a signal: [batch, places * channels]."""
    patch: tuple[int, ...] | None = None
    """Places that one query answers, along each axis; the grid of queries is as much smaller. None: each has its own,
    as in the paper."""
    scale: float = 1.0
    """Answers are multiplied by this: for signals that are much smaller or larger than 1."""


@dataclass(frozen=True, kw_only=True)
class AverageOutputConfig:
    """Logits [batch, classes] from the mean of the latents, without a decoder: the original Perceiver's."""

    kind: Literal["average"] = field(default="average", init=False)
    name: str = "classes"
    num_classes: int = 1000
    several: bool = False
    """As for `ClassOutputConfig`."""


@dataclass(frozen=True, kw_only=True)
class EntityOutputConfig:
    """Values for each token of an input: [batch, entities, channels], or in the form of the input's grid.

    The queries are the input's tokens. Masked entities get zeros.
    """

    kind: Literal["entities"] = field(default="entities", init=False)
    name: str = "entities"
    input: str | None = None
    """Name of the input. None: the only one."""
    num_channels: int
    activation: Literal["none", "relu"] = "none"
    """What comes before the linear layer."""


@dataclass(frozen=True, kw_only=True)
class PooledOutputConfig:
    """One vector [batch, channels] of all entities: the mean of what they decode, masked ones aside; linear, ReLU."""

    kind: Literal["pooled"] = field(default="pooled", init=False)
    name: str = "pooled"
    input: str | None = None
    """Name of the input. None: the only one."""
    num_channels: int


OutputConfig = (
    ClassOutputConfig
    | TokenOutputConfig
    | FlowOutputConfig
    | GridOutputConfig
    | EntityOutputConfig
    | PooledOutputConfig
    | AverageOutputConfig
)


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
class LatentGridConfig:
    """Latents that start at the places of a grid, laid over an input and the output of the same signal.

    Each reads at first the tokens in its cell of the input, and is read by the queries in its cell of the output. Both
    have Fourier positions, and as many axes.
    """

    input: str
    output: str
    shape: tuple[int, ...]
    """Latents along each axis: it divides the input's tokens and the output's queries."""
    transform: bool = False
    """Whether the model also begins as a cosine transform of each patch and its inverse (models/starts/transform.py);
    for all grids or none, with a latent for each patch."""


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
    """Learned channels that the widest of several inputs gets; those less wide get as many more as they lack."""
    query_padding: int = 2
    """Learned channels that the widest queries of several outputs get. Nothing is padded where it is 0 and all are
    equally wide."""
    dropout: float = 0.0
    """In training: of the weights of attention, of what it found, and of what an MLP adds."""
    gelu: Literal["tanh", "erf"] = "tanh"
    """DeepMind's approximation, or the exact form that transformers computes."""
    masked_rows: Literal["zero", "uniform"] = "zero"
    """Attention where nothing may be attended: zero (DeepMind), or the mean of all values (transformers)."""
    latent_grids: tuple[LatentGridConfig, ...] = ()
    """Initialisation: latents that start with a place (models/starts/places.py); the others start as in the papers,
    where all of them have to find one. All grids together have `num_latents` at most."""
    activation_checkpointing: bool = False
    """Keep only the input of each layer for the backward pass and compute the rest again."""
