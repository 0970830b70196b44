"""Inputs that are arrays: a stem that leaves features at the places of a grid, and positions behind the features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import (
    ArrayInputConfig,
    AudioInputConfig,
    ConvStemConfig,
    FlowInputConfig,
    ImageInputConfig,
    LabelInputConfig,
    LinearStemConfig,
    MelInputConfig,
    PointsInputConfig,
    VideoInputConfig,
)
from anybyte.models.inputs.patches import Grid, check_array, divide, frame_patches, to_patches
from anybyte.models.positions import GridPositions, num_features, point_features

PlacedConfig = ImageInputConfig | VideoInputConfig | AudioInputConfig | MelInputConfig | ArrayInputConfig
"""Arrays with places that may be cut into patches."""


class ConvStem(nn.Module):
    """7 x 7 convolution (stride 2), batch norm, ReLU, 3 x 3 max-pool (stride 2), channels last."""

    def __init__(self, in_channels: int, config: ConvStemConfig) -> None:
        super().__init__()
        self.same = config.padding == "same"
        self.conv = nn.Conv2d(in_channels, config.num_channels, 7, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(config.num_channels)

    def grid(self, shape: Grid) -> Grid:
        """Height and width of what comes out."""
        if self.same:
            return tuple(-(-size // 4) for size in shape)
        return tuple(((size - 1) // 2 + 1 - 3) // 2 + 1 for size in shape)

    def forward(self, x: Float[Tensor, "batch height width channels"]) -> Float[Tensor, "batch h w c"]:
        x = x.movedim(-1, 1)
        x = F.relu(self.norm(self.conv(F.pad(x, self._same(x, 7) if self.same else (3, 3, 3, 3)))))
        if self.same:
            # No value is below zero here, so that zeros are as good as what a pool should be padded with.
            x = F.pad(x, self._same(x, 3))
        return F.max_pool2d(x, 3, stride=2).movedim(1, -1)

    @staticmethod
    def _same(x: Tensor, kernel: int) -> list[int]:
        """Padding after which ceil(size / 2) kernels fit at stride 2; what is odd goes behind."""
        padding: list[int] = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max(0, (-(-size // 2) - 1) * 2 + kernel - size)
            padding += [total // 2, total - total // 2]
        return padding


class ArrayInput(nn.Module):
    """Images, video, sound, spectrograms, series and sets: patches, a stem, positions.

    Attributes:
        num_channels: width of a token.
        grid: tokens along each axis for an input of the config's own shape; None where the config states no shape.
    """

    def __init__(self, config: PlacedConfig) -> None:
        super().__init__()
        self.config = config
        self.axes, self.channels, shape, self.patch = _layout(config)
        features = self.channels or 1
        if self.patch is not None:
            if min(self.patch) < 1 or len(self.patch) != len(self.axes):
                raise ValueError(f"input {config.name!r} has {len(self.axes)} axes, but patches of {self.patch}")
            for step in self.patch:
                features *= step
        self.grid: Grid | None = shape
        if shape is not None and self.patch is not None:
            self.grid = divide(config.name, shape, self.patch)
        self.stem: nn.Module | None = None
        stem = config.stem if isinstance(config, ImageInputConfig) else None
        if isinstance(stem, LinearStemConfig):
            self.stem, features = nn.Linear(features, stem.num_channels), stem.num_channels
        elif isinstance(stem, ConvStemConfig):
            if self.patch is not None:
                raise ValueError(f"input {config.name!r} has patches of {self.patch} and a convolution: choose one")
            assert shape is not None
            self.stem, features = (conv := ConvStem(features, stem)), stem.num_channels
            self.grid = conv.grid(shape)
        self.positions: GridPositions | None = None
        if config.positions is not None:
            self.positions = GridPositions(f"input {config.name!r}", config.positions, len(self.axes), self.grid)
        self.num_channels = features + (0 if self.positions is None else self.positions.num_channels)

    def forward(self, x: object) -> tuple[Float[Tensor, "batch tokens channels"], Grid, None]:
        """Tokens, and how many of them there are along each axis."""
        channels = () if self.channels is None else (self.channels,)
        check_array(self.config.name, x, ("batch", *self.axes, *channels))
        assert isinstance(x, Tensor)
        x = _floats(self, x if channels else x[..., None])
        if isinstance(self.config, AudioInputConfig) and self.config.scale != 1:
            x = x * self.config.scale
        if self.patch is not None:
            x = to_patches(x, self.config.name, self.patch)
        return _placed(x if self.stem is None else self.stem(x), self.positions)


class FlowInput(nn.Module):
    """Two frames: the pixels around each pixel of both, then a linear layer.

    With `hidden` there is another layer and a GELU before it, and it may read what that one finds around each pixel.
    """

    def __init__(self, config: FlowInputConfig) -> None:
        super().__init__()
        for name in ("patch", "around", "spread"):
            if getattr(config, name) < 1 or (getattr(config, name) % 2 == 0 and name != "spread"):
                raise ValueError(f"input {config.name!r} has {name}={getattr(config, name)}: it must be odd")
        if config.hidden is None and config.around > 1:
            raise ValueError(f"input {config.name!r} has around={config.around}, but no hidden layer to read it from")
        self.config = config
        self.grid: Grid | None = None
        self.pixels = config.patch**2 * 3
        self.hidden = None if config.hidden is None else nn.Linear(2 * self.pixels, config.hidden)
        features = 2 * self.pixels if config.hidden is None else config.hidden * config.around**2
        self.stem = nn.Linear(features, config.num_channels)
        self.positions = GridPositions(f"input {config.name!r}", config.positions, 2, None)
        self.num_channels = config.num_channels + self.positions.num_channels

    def forward(self, x: object) -> tuple[Float[Tensor, "batch tokens channels"], Grid, None]:
        """Tokens, and how many of them there are along each axis."""
        # Patches of one pixel are the frames themselves.
        patched = isinstance(x, Tensor) and x.dim() == 5 and x.shape[-1] == self.pixels
        check_array(self.config.name, x, ("batch", 2, "height", "width", self.pixels if patched else 3))
        assert isinstance(x, Tensor)
        x = _floats(self, x)
        x = (x if patched else frame_patches(x, self.config.patch)).movedim(1, -2).flatten(-2)
        if self.hidden is not None:
            # No convolution: that of torch 2.13 has no finite gradient in bfloat16 on a CPU, where it is spread.
            x = frame_patches(F.gelu(self.hidden(x), approximate="tanh"), self.config.around, self.config.spread)
        return _placed(self.stem(x), self.positions)


class LabelInput(nn.Module):
    """One-hot classes as one token."""

    def __init__(self, config: LabelInputConfig) -> None:
        super().__init__()
        self.config, self.num_channels = config, config.num_classes
        self.grid: Grid | None = (1,)

    def forward(self, x: object) -> tuple[Float[Tensor, "batch 1 channels"], Grid, None]:
        """The token."""
        check_array(self.config.name, x, ("batch", self.config.num_classes))
        assert isinstance(x, Tensor)
        return x[:, None], (1,), None


class PointsInput(nn.Module):
    """Points: their features, then Fourier features of their own coordinates."""

    def __init__(self, config: PointsInputConfig) -> None:
        super().__init__()
        self.config = config
        self.grid: Grid | None = None
        self.num_channels = config.num_channels + num_features(config.positions)

    def forward(self, x: object) -> tuple[Float[Tensor, "batch points channels"], Grid, None]:
        """A token a point."""
        positions = self.config.positions
        axes = len(positions.max_resolution)
        check_array(self.config.name, x, ("batch", "points", axes + self.config.num_channels))
        assert isinstance(x, Tensor)
        # Half precision would lose the place of a point before its sines are known.
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        found = point_features(exact[..., :axes], positions.num_bands, positions.max_resolution)
        return torch.cat([exact[..., axes:], found], dim=-1), (x.shape[1],), None


def _layout(config: PlacedConfig) -> tuple[tuple[str, ...], int | None, Grid | None, Grid | None]:
    """Names of the axes, channels (None: no axis for them), shape, and patch of an input."""
    if isinstance(config, ArrayInputConfig):
        positions = config.positions
        if config.shape is not None:
            axes = len(config.shape)
        elif config.patch is not None:
            axes = len(config.patch)
        else:
            axes = len(getattr(positions, "max_resolution", (0,)))
        is_set = config.shape is None and config.patch is None and positions is None
        names = ("entities",) if is_set else tuple(f"axis{axis}" for axis in range(axes))
        return names, config.num_channels, config.shape, config.patch
    if isinstance(config, ImageInputConfig):
        patch = None if config.patch == (1, 1) else config.patch
        return ("height", "width"), config.num_channels, config.shape, patch
    if isinstance(config, VideoInputConfig):
        return ("frames", "height", "width"), config.num_channels, config.shape, config.patch
    if isinstance(config, MelInputConfig):
        return ("frames", "mels"), None, config.shape, None if config.patch == (1, 1) else config.patch
    return ("samples",), None, (config.num_samples,), (config.patch,)


def _placed(
    x: Float[Tensor, "batch *grid features"], positions: GridPositions | None
) -> tuple[Float[Tensor, "batch tokens channels"], Grid, None]:
    """Features as tokens, with positions behind them."""
    grid = tuple(x.shape[1:-1])
    x = x.flatten(1, -2)
    if positions is not None:
        x = torch.cat([x, positions(grid, x).expand(len(x), -1, -1)], dim=-1)
    return x, grid, None


def _floats(module: nn.Module, x: Tensor) -> Tensor:
    """In the type of the module's weights, if it has any."""
    parameter = next(module.parameters(), None)
    return x if parameter is None else x.to(parameter.dtype)
