"""Inputs of a Perceiver: arrays -> tokens [batch, tokens, channels] with positions (Jaegle et al. 2022, appendix).

Arrays have their channels last: images [batch, height, width, 3], frames [batch, 2, height, width, 3].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import (
    ArrayInputConfig,
    AudioInputConfig,
    ConvStemConfig,
    FlowInputConfig,
    FourierPositionsConfig,
    ImageInputConfig,
    InputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    PositionsConfig,
    TokenInputConfig,
    VideoInputConfig,
)
from anybyte.models.positions import LearnedPositions, fourier_features

Grid = tuple[int, ...]

FLOW_PATCH = 3
"""Pixels on each side of the patch that stands for a pixel of a frame."""


def check_array(name: str, x: Tensor, expected: Sequence[int | str]) -> None:
    """Raises ValueError unless x is a floating array of the expected sizes; a word stands for any size."""
    fits = x.dim() == len(expected)
    fits = fits and all(isinstance(e, str) or size == e for size, e in zip(x.shape, expected, strict=True))
    if not fits:
        wanted = ", ".join(map(str, expected))
        raise ValueError(f"input {name!r} must be [{wanted}], got shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"input {name!r} must be a floating tensor, scaled as its config says, got {x.dtype}")


def frame_patches(frames: Float[Tensor, "*batch height width 3"]) -> Float[Tensor, "*batch height width 27"]:
    """The 3 x 3 pixels around each pixel, zero beyond the edge, ordered (dy, dx, colour)."""
    height, width = frames.shape[-3:-1]
    padded = F.pad(frames, (0, 0, 1, 1, 1, 1))
    steps = range(FLOW_PATCH)
    return torch.cat([padded[..., y : y + height, x : x + width, :] for y in steps for x in steps], dim=-1)


class Positions(nn.Module):
    """Positions of the places of a grid, made for `shape` and given for any."""

    def __init__(self, config: PositionsConfig, shape: Grid | None) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.table: LearnedPositions | None = None
        self.projection: nn.Linear | None = None
        if isinstance(config, LearnedPositionsConfig):
            assert shape is not None
            self.num_channels = config.num_channels
            self.table = LearnedPositions(config.num_channels, math.prod(shape))
            if config.projected:
                self.projection = nn.Linear(config.num_channels, config.num_channels)
        else:
            self.num_channels = len(config.max_resolution) * (2 * config.num_bands + 1)

    def forward(self, grid: Grid, like: Tensor) -> Float[Tensor, "places channels"]:
        if self.table is None:
            assert isinstance(self.config, FourierPositionsConfig)
            return fourier_features(grid, self.config.num_bands, self.config.max_resolution, device=like.device).to(
                like.dtype
            )
        assert self.shape is not None
        rows: Tensor = self.table.rows
        if grid != self.shape:
            image = rows.unflatten(0, self.shape).movedim(-1, 0)[None]
            rows = F.interpolate(image, size=grid, mode="bicubic", align_corners=False)[0].flatten(1).T
        return rows if self.projection is None else self.projection(rows)


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


class TokenInput(nn.Module):
    """Ids -> embedding + learned position."""

    def __init__(self, config: TokenInputConfig) -> None:
        super().__init__()
        self.config, self.num_channels = config, config.num_channels
        self.grid: Grid | None = None
        self.embedding = nn.Embedding(config.vocabulary, config.num_channels)
        self.positions = LearnedPositions(config.num_channels, config.max_length)

    def forward(self, x: Shaped[Tensor, "..."]) -> tuple[Float[Tensor, "batch tokens channels"], Grid]:
        name, longest = self.config.name, self.config.max_length
        if x.dim() != 2 or x.is_floating_point() or x.dtype == torch.bool:
            raise ValueError(
                f"input {name!r} must be [batch, length] of integer ids, got {x.dtype} of shape {tuple(x.shape)}"
            )
        length = x.shape[1]
        if not 0 < length <= longest:
            raise ValueError(f"input {name!r} has {length} tokens; its position table takes 1 to max_length={longest}")
        # Looking at the values would make a GPU wait; there, the lookup itself complains.
        if x.device.type == "cpu" and x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.config.vocabulary:
            raise ValueError(
                f"input {name!r} has ids {int(x.min())} to {int(x.max())}, not 0 to {self.config.vocabulary - 1}"
            )
        return self.embedding(x.long()) + self.positions.table(0, length), (length,)


class ArrayInput(nn.Module):
    """Every other array: a stem that leaves features at the places of a grid, and positions behind the features."""

    def __init__(
        self,
        config: ImageInputConfig
        | FlowInputConfig
        | VideoInputConfig
        | AudioInputConfig
        | LabelInputConfig
        | ArrayInputConfig,
    ) -> None:
        super().__init__()
        self.config = config
        self.grid: Grid | None = None
        """Places of an input of the config's own shape; None where the config states no shape."""
        self.stem: nn.Module | None = None
        positions: PositionsConfig | None = None
        if isinstance(config, ImageInputConfig):
            features, self.grid = config.num_channels, config.shape
            if isinstance(config.stem, LinearStemConfig):
                features = config.stem.num_channels
                self.stem = nn.Linear(config.num_channels, features)
            elif isinstance(config.stem, ConvStemConfig):
                features = config.stem.num_channels
                self.stem = conv = ConvStem(config.num_channels, config.stem)
                self.grid = conv.grid(config.shape)
        elif isinstance(config, FlowInputConfig):
            features = config.num_channels
            self.stem = nn.Linear(2 * FLOW_PATCH**2 * 3, features)
        elif isinstance(config, VideoInputConfig):
            features = math.prod(config.patch) * config.num_channels
            self.grid = _divide(config.name, config.shape, config.patch)
        elif isinstance(config, AudioInputConfig):
            features = config.patch
            self.grid = _divide(config.name, (config.num_samples,), (config.patch,))
        elif isinstance(config, LabelInputConfig):
            features, self.grid = config.num_classes, (1,)
        else:
            features = config.num_channels
        if not isinstance(config, LabelInputConfig):
            positions = config.positions
        axes = 2 if isinstance(config, FlowInputConfig) else len(self.grid or ())
        if axes and isinstance(positions, FourierPositionsConfig) and len(positions.max_resolution) != axes:
            raise ValueError(
                f"input {config.name!r} has {axes} axes, its positions {len(positions.max_resolution)}: "
                f"max_resolution {positions.max_resolution}"
            )
        self.positions = None if positions is None else Positions(positions, self.grid)
        self.num_channels = features + (self.positions.num_channels if self.positions is not None else 0)

    def forward(self, x: Shaped[Tensor, "..."]) -> tuple[Float[Tensor, "batch tokens channels"], Grid]:
        x = self._features(x)
        grid = tuple(x.shape[1:-1])
        x = x.flatten(1, -2)
        if self.positions is not None:
            rows = self.positions(grid, x)
            x = torch.cat([x, rows.expand(len(x), -1, -1)], dim=-1)
        return x, grid

    def _features(self, x: Tensor) -> Tensor:
        """[batch, *grid, features]."""
        config = self.config
        if isinstance(config, FlowInputConfig):
            patched = x.dim() == 5 and x.shape[-1] == FLOW_PATCH**2 * 3
            check_array(config.name, x, ("batch", 2, "height", "width", x.shape[-1] if patched else 3))
            x = self._floats(x)
            x = x if patched else frame_patches(x)
            x = x.movedim(1, -2).flatten(-2)
        elif isinstance(config, VideoInputConfig):
            check_array(config.name, x, ("batch", "frames", "height", "width", config.num_channels))
            x = _to_patches(x, config.name, config.patch)
        elif isinstance(config, AudioInputConfig):
            check_array(config.name, x, ("batch", "samples"))
            x = _to_patches(x[..., None], config.name, (config.patch,))
        elif isinstance(config, LabelInputConfig):
            check_array(config.name, x, ("batch", config.num_classes))
            x = x[:, None]
        elif isinstance(config, ImageInputConfig):
            check_array(config.name, x, ("batch", "height", "width", config.num_channels))
        else:
            axes = (
                [f"axis{i}" for i in range(len(config.positions.max_resolution))] if config.positions else ["entities"]
            )
            check_array(config.name, x, ("batch", *axes, config.num_channels))
        x = self._floats(x)
        return x if self.stem is None else self.stem(x)

    def _floats(self, x: Tensor) -> Tensor:
        """In the type of the weights, if there are any."""
        parameter = next(self.parameters(), None)
        return x if parameter is None else x.to(parameter.dtype)


class Inputs(nn.Module):
    """All inputs as one array. Several are padded to one width by a learned vector each, in the order of the config."""

    def __init__(self, configs: Sequence[InputConfig], padding: int) -> None:
        super().__init__()
        names = [config.name for config in configs]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"inputs need names of their own, got {', '.join(names) or 'no inputs'}")
        self.parts = nn.ModuleDict(
            {c.name: TokenInput(c) if isinstance(c, TokenInputConfig) else ArrayInput(c) for c in configs}
        )
        self.mask_probability = {config.name: getattr(config, "mask_probability", 0.0) for config in configs}
        widths = {name: part.num_channels for name, part in self._parts()}
        self.num_channels = max(widths.values())
        self.padding = nn.ParameterDict()
        self.mask_tokens = nn.ParameterDict()
        if len(names) > 1:
            self.num_channels += padding
            for name, width in widths.items():
                self.padding[name] = nn.Parameter(torch.empty(1, self.num_channels - width))
                self.mask_tokens[name] = nn.Parameter(torch.empty(1, self.num_channels))
        elif any(self.mask_probability.values()):
            raise ValueError(f"mask_probability is for models of several inputs; {names[0]!r} is the only one")

    def forward(
        self, arrays: Mapping[str, Tensor], keep: Mapping[str, Tensor], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "batch tokens channels"], Tensor | None, dict[str, Grid]]:
        """Tokens, which of them may be attended (None: all), and the grid of each input.

        An input that is left out counts as wholly masked: each of its tokens is its learned mask token.
        """
        self._check_given(arrays)
        batch = len(next(iter(arrays.values())))
        tokens, kept, grids = [], [], {}
        for name, part in self._parts():
            if name in arrays:
                if len(arrays[name]) != batch:
                    raise ValueError(f"input {name!r} has a batch of {len(arrays[name])}, others of {batch}")
                x, grids[name] = part(arrays[name])
                x = x.to(dtype)
                if name in self.padding:
                    x = torch.cat([x, self.padding[name].expand(*x.shape[:2], -1)], dim=-1)
                    x = self._mask(name, x)
            else:
                assert part.grid is not None
                grids[name] = part.grid
                x = self.mask_tokens[name].expand(batch, math.prod(part.grid), -1)
            tokens.append(x)
            kept.append(check_mask(f"the mask of input {name!r}", keep[name], x) if name in keep else None)
        if all(mask is None for mask in kept):
            return torch.cat(tokens, dim=1) if len(tokens) > 1 else tokens[0], None, grids
        whole = [
            torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
            for x, mask in zip(tokens, kept, strict=True)
        ]
        return torch.cat(tokens, dim=1), torch.cat(whole, dim=1), grids

    def _parts(self) -> Iterator[tuple[str, TokenInput | ArrayInput]]:
        for name, part in self.parts.items():
            assert isinstance(part, TokenInput | ArrayInput)
            yield name, part

    def _check_given(self, arrays: Mapping[str, Tensor]) -> None:
        missing = [name for name, part in self._parts() if name not in arrays and part.grid is None]
        if missing:
            raise ValueError(f"input {missing[0]!r} is missing")
        if not arrays:
            raise ValueError(f"no input given; the model reads {', '.join(map(repr, self.parts))}")

    def _mask(self, name: str, x: Tensor) -> Tensor:
        """Tokens after random (training) or whole masking."""
        probability = self.mask_probability[name]
        if probability == 1:
            masked: Tensor = self.mask_tokens[name].expand_as(x)
            return masked
        if not self.training or not probability:
            return x
        hidden = torch.rand(*x.shape[:2], 1, device=x.device) < probability
        return torch.where(hidden, self.mask_tokens[name], x)


def check_mask(what: str, mask: Tensor, x: Tensor) -> Tensor:
    """A mask over the rows of x as booleans; ValueError if it does not fit."""
    if mask.shape != x.shape[:2] or mask.is_floating_point():
        raise ValueError(
            f"{what} must be [{', '.join(map(str, x.shape[:2]))}] of booleans or integers (1: keep), got {mask.dtype} "
            f"of shape {tuple(mask.shape)}"
        )
    return mask.bool()


def _divide(name: str, shape: Grid, patch: Grid) -> Grid:
    if any(size % step or not size for size, step in zip(shape, patch, strict=True)):
        raise ValueError(f"input {name!r} of shape {shape} cannot be cut into patches of {patch}")
    return tuple(size // step for size, step in zip(shape, patch, strict=True))


def _to_patches(x: Tensor, name: str, patch: Grid) -> Tensor:
    """Space to depth: [batch, *shape, c] -> [batch, *grid, *patch * c], the place in the patch before the channel."""
    grid = _divide(name, tuple(x.shape[1:-1]), patch)
    axes = len(patch)
    for axis in reversed(range(axes)):
        x = x.unflatten(axis + 1, (grid[axis], patch[axis]))
    # [batch, g1, p1, g2, p2, .., c] -> [batch, g1, g2, .., p1, p2, .., c]
    order = [0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1]
    return x.permute(order).flatten(1 + axes)
