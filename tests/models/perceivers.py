"""Small Perceivers of every kind, and what they read."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from anybyte.batch import ByteBatch
from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    AverageOutputConfig,
    BytesInputConfig,
    ClassOutputConfig,
    FlowInputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LabelInputConfig,
    MelInputConfig,
    PerceiverConfig,
    PointsInputConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import model_config

SMALL_FIELDS: dict[type, dict[str, Any]] = {
    BytesInputConfig: {"num_channels": 16, "kernel_size": 4},
    TokenInputConfig: {"num_channels": 16, "max_length": 20},
    ImageInputConfig: {"shape": (8, 12)},
    VideoInputConfig: {"shape": (2, 8, 8)},
    AudioInputConfig: {"num_samples": 64},
    MelInputConfig: {"shape": (5, 4)},
    LabelInputConfig: {"num_classes": 5},
    ArrayInputConfig: {"num_channels": 6},
    ClassOutputConfig: {"num_classes": 7, "query_channels": 24},
    AverageOutputConfig: {"num_classes": 7},
    TokenOutputConfig: {"max_length": 20, "query_channels": 16},
}


def shrink(config: PerceiverConfig) -> PerceiverConfig:
    """The config at a size that a test can afford; how it is composed stays."""
    return dataclasses.replace(
        config,
        inputs=tuple(_shrink_part(part) for part in config.inputs),
        outputs=tuple(_shrink_part(part) for part in config.outputs),
        num_latents=6,
        latent_dim=16,
        num_layers=1 if config.num_blocks > 2 else 2,
        encode=_shrink_attention(config.encode),
        process=_shrink_attention(config.process),
        decode=_shrink_attention(config.decode),
        decoder_channels=config.decoder_channels and 12,
    )


def _shrink_part(part: Any) -> Any:
    changes = dict(SMALL_FIELDS.get(type(part), {}))
    if isinstance(part, AudioInputConfig):
        changes["num_samples"] = 4 * part.patch
    if isinstance(part, TokenInputConfig):
        changes["vocabulary"] = min(part.vocabulary, 300)
    if isinstance(part, ClassOutputConfig) and part.hidden:
        changes["hidden"] = 12
    if isinstance(part, GridOutputConfig):
        changes["shape"] = (4,) if len(part.shape) == 1 else (2, 8, 8)
    positions = getattr(part, "positions", None)
    if isinstance(positions, FourierPositionsConfig):
        changes["positions"] = dataclasses.replace(positions, num_bands=3)
    return dataclasses.replace(part, **changes)


def _shrink_attention(config: AttentionConfig) -> AttentionConfig:
    wide = {"qk_channels": 8, "v_channels": 16} if config.qk_channels else {}
    return dataclasses.replace(config, num_heads=1 if config.num_heads == 1 else 4, **wide)


def small(name: str, seed: int = 0, **changes: Any) -> Perceiver:
    """A small model of a zoo entry in evaluation mode, whose every tensor matters."""
    torch.manual_seed(seed)
    model = Perceiver(dataclasses.replace(shrink(model_config(name)), **changes))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.trunc_normal_(parameter, std=0.3)
    return model.eval()


def example(config: PerceiverConfig, batch: int = 2, seed: int = 0) -> Any:
    """Arrays for a model, drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    arrays = {part.name: _example(part, batch, generator) for part in config.inputs}
    return arrays if len(arrays) > 1 else arrays[config.inputs[0].name]


def first(arrays: Any, count: int = 1) -> Any:
    """The first examples of a batch."""
    if isinstance(arrays, dict):
        return {name: first(x, count) for name, x in arrays.items()}
    if isinstance(arrays, ByteBatch):
        return files(arrays.lengths[:count].tolist(), arrays.values)
    return arrays[:count]


def files(lengths: list[int], values: torch.Tensor | None = None, seed: int = 0) -> ByteBatch:
    """Files of these lengths, end to end in `values` or drawn with a seed."""
    if values is None:
        generator = torch.Generator().manual_seed(seed)
        values = torch.randint(0, 256, (sum(lengths),), dtype=torch.uint8, generator=generator)
    return ByteBatch(values[: sum(lengths)], torch.tensor(lengths, dtype=torch.int64))


def _example(part: Any, batch: int, generator: torch.Generator) -> torch.Tensor | ByteBatch:
    if isinstance(part, BytesInputConfig):
        return files([7 + 16 * index for index in range(batch)])
    if isinstance(part, TokenInputConfig):
        return torch.randint(0, part.vocabulary, (batch, 13), generator=generator)
    if isinstance(part, FlowInputConfig):
        shape: tuple[int, ...] = (2, 5, 6, 3)
    elif isinstance(part, ImageInputConfig | VideoInputConfig):
        shape = (*part.shape, part.num_channels)
    elif isinstance(part, AudioInputConfig):
        shape = (part.num_samples,)
    elif isinstance(part, MelInputConfig):
        shape = part.shape
    elif isinstance(part, LabelInputConfig):
        shape = (part.num_classes,)
    elif isinstance(part, PointsInputConfig):
        shape = (9, len(part.positions.max_resolution) + part.num_channels)
    else:
        assert isinstance(part, ArrayInputConfig)
        shape = (*(part.shape or (9,)), part.num_channels)
    return torch.rand(batch, *shape, generator=generator)
