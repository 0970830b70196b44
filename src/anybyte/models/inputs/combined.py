"""All inputs of a model as one array of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anybyte.batch import ByteBatch
from anybyte.config import (
    BytesInputConfig,
    FlowInputConfig,
    InputConfig,
    LabelInputConfig,
    PointsInputConfig,
    TokenInputConfig,
)
from anybyte.models.inputs.arrays import ArrayInput, FlowInput, LabelInput, PointsInput
from anybyte.models.inputs.patches import Grid
from anybyte.models.inputs.sequences import BytesInput, TokenInput

Arrays = Tensor | ByteBatch | Mapping[str, Tensor | ByteBatch]
"""The array of a model with one input, or one for each name. Files are a ByteBatch."""
Masks = Tensor | Mapping[str, Tensor]
"""One tensor for a model with one input (or output), or one for each name."""

Part = TokenInput | BytesInput | ArrayInput | FlowInput | LabelInput | PointsInput


@dataclass(frozen=True)
class Tokens:
    """Inputs as a model attends to them.

    Attributes:
        values: all tokens.
        keep: True where they may be attended; None: everywhere.
        grids: the places of each input's tokens, in the order of the tokens.
        masks: `keep` of those inputs that have any.
    """

    values: Float[Tensor, "batch tokens channels"]
    keep: Bool[Tensor, "batch tokens"] | None
    grids: Mapping[str, Grid]
    masks: Mapping[str, Tensor]


class Inputs(nn.Module):
    """All inputs as one array. Several are padded to one width by a learned vector each, in the order of the config."""

    def __init__(self, configs: Sequence[InputConfig], padding: int) -> None:
        super().__init__()
        names = [config.name for config in configs]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"inputs need names of their own, got {', '.join(names) or 'no inputs'}")
        self.parts = nn.ModuleDict({config.name: _part(config) for config in configs})
        self.mask_probability = {config.name: getattr(config, "mask_probability", 0.0) for config in configs}
        self.drop_probability = {config.name: getattr(config, "drop_probability", 0.0) for config in configs}
        widths = {name: part.num_channels for name, part in self._parts()}
        self.num_channels = max(widths.values())
        self.padding = nn.ParameterDict()
        self.mask_tokens = nn.ParameterDict()
        if len(names) > 1:
            self.num_channels += padding
            for name, part in self._parts():
                if widths[name] < self.num_channels:
                    self.padding[name] = nn.Parameter(torch.empty(1, self.num_channels - widths[name]))
                if part.grid is not None:
                    self.mask_tokens[name] = nn.Parameter(torch.empty(1, self.num_channels))
        for field, probabilities in (
            ("mask_probability", self.mask_probability),
            ("drop_probability", self.drop_probability),
        ):
            self._check_probabilities(field, {name: share for name, share in probabilities.items() if share})

    def forward(
        self, arrays: Mapping[str, Tensor | ByteBatch], keep: Mapping[str, Tensor], dtype: torch.dtype
    ) -> Tokens:
        """The tokens of all inputs, one input behind another.

        An input that is left out counts as wholly masked: each of its tokens is its learned mask token.
        """
        self._check_given(arrays)
        for name, array in arrays.items():
            if isinstance(array, Tensor) and not array.dim():
                raise ValueError(f"input {name!r} is a single number, expected a batch of arrays")
        batch = len(next(iter(arrays.values())))
        tokens: list[Tensor] = []
        grids: dict[str, Grid] = {}
        masks: dict[str, Tensor] = {}
        for name, part in self._parts():
            if name in arrays:
                if len(arrays[name]) != batch:
                    raise ValueError(f"input {name!r} has a batch of {len(arrays[name])}, others of {batch}")
                x, grids[name], own = part(arrays[name])
                x = x.to(dtype)
                if own is not None:
                    masks[name] = own
                if name in self.padding:
                    x = torch.cat([x, self.padding[name].expand(*x.shape[:2], -1)], dim=-1)
                x = self._mask(name, x)
            else:
                assert part.grid is not None
                grids[name] = part.grid
                x = self.mask_tokens[name].expand(batch, math.prod(part.grid), -1)
            tokens.append(x)
            if name in keep:
                if isinstance(part, BytesInput):
                    raise ValueError(f"input {name!r} takes no mask: its files say how long they are")
                masks[name] = check_mask(f"the mask of input {name!r}", keep[name], x)
        whole = tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=1)
        if not masks:
            return Tokens(whole, None, grids, masks)
        kept = [
            masks.get(name, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))
            for name, x in zip(grids, tokens, strict=True)
        ]
        return Tokens(whole, torch.cat(kept, dim=1), grids, masks)

    def _parts(self) -> Iterator[tuple[str, Part]]:
        for name, part in self.parts.items():
            assert isinstance(part, Part)
            yield name, part

    def _check_probabilities(self, field: str, shares: Mapping[str, float]) -> None:
        if shares and len(self.parts) == 1:
            raise ValueError(f"{field} is for models of several inputs; {next(iter(shares))!r} is the only one")
        for name, share in shares.items():
            if not 0 <= share <= 1 or name not in self.mask_tokens:
                raise ValueError(f"{field} of input {name!r} must lie in [0, 1] and needs a shape, got {share}")

    def _check_given(self, arrays: Mapping[str, Tensor | ByteBatch]) -> None:
        missing = [name for name, part in self._parts() if name not in arrays and part.grid is None]
        if missing:
            raise ValueError(f"input {missing[0]!r} is missing")
        if not arrays:
            raise ValueError(f"no input given; the model reads {', '.join(map(repr, self.parts))}")

    def _mask(self, name: str, x: Tensor) -> Tensor:
        """Tokens after random masking, of some or of all those of an example (training), or after whole masking."""
        probability, drop = self.mask_probability[name], self.drop_probability[name]
        if probability == 1:
            masked: Tensor = self.mask_tokens[name].expand_as(x)
            return masked
        if not self.training:
            return x
        if probability:
            hidden = torch.rand(*x.shape[:2], 1, device=x.device) < probability
            x = torch.where(hidden, self.mask_tokens[name], x)
        if drop:
            absent = torch.rand(len(x), 1, 1, device=x.device) < drop
            x = torch.where(absent, self.mask_tokens[name], x)
        return x


def _part(config: InputConfig) -> Part:
    if isinstance(config, TokenInputConfig):
        return TokenInput(config)
    if isinstance(config, BytesInputConfig):
        return BytesInput(config)
    if isinstance(config, FlowInputConfig):
        return FlowInput(config)
    if isinstance(config, LabelInputConfig):
        return LabelInput(config)
    return PointsInput(config) if isinstance(config, PointsInputConfig) else ArrayInput(config)


def check_mask(what: str, mask: Tensor, x: Tensor) -> Tensor:
    """A mask over the rows of x as booleans; ValueError if it does not fit."""
    if mask.shape != x.shape[:2] or mask.is_floating_point():
        raise ValueError(
            f"{what} must be [{', '.join(map(str, x.shape[:2]))}] of booleans or integers (1: keep), got {mask.dtype} "
            f"of shape {tuple(mask.shape)}"
        )
    return mask.bool()
