"""One table of models: name -> (class, config). Every entry can be built with random weights and any field changed."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import os
from typing import Any

from anybyte.config import (
    AttentionConfig,
    AudioInputConfig,
    AverageOutputConfig,
    ByteFormerConfig,
    ClassOutputConfig,
    ConvStemConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.pretrained import Pretrained, read_architecture, read_labels

_PIXELS = PerceiverConfig(
    inputs=(ImageInputConfig(positions=FourierPositionsConfig(num_bands=64, max_resolution=(224, 224))),),
    outputs=(ClassOutputConfig(),),
)
_AUDIO = FourierPositionsConfig(num_bands=192, max_resolution=(30_720,))
_VIDEO = FourierPositionsConfig(num_bands=32, max_resolution=(16, 56, 56))

_ZOO: dict[str, tuple[type[Pretrained], Any]] = {
    # Sizes of the paper (section 3). Its released runs use kernel sizes 4 to 32 and windows 128 or 32.
    "byteformer_tiny": (ByteFormer, ByteFormerConfig()),
    "byteformer_small": (ByteFormer, ByteFormerConfig(dim=384, num_heads=6)),
    "byteformer_base": (ByteFormer, ByteFormerConfig(dim=768, num_heads=12)),
    "byteformer_huge": (
        ByteFormer,
        ByteFormerConfig(dim=1280, num_heads=20, depth=32),
    ),
    # For a few thousand files of a few kilobytes on a laptop's processor: minutes instead of days.
    "byteformer_nano": (
        ByteFormer,
        ByteFormerConfig(dim=96, num_heads=3, depth=6, merge_after=(0, 1, 2, 3)),
    ),
    # Perceiver IO (Jaegle et al. 2022), as DeepMind released it. Names follow what the model reads.
    "perceiver_io_language": (
        Perceiver,
        PerceiverConfig(
            inputs=(TokenInputConfig(),),
            outputs=(TokenOutputConfig(),),
            num_latents=256,
            latent_dim=1280,
            num_blocks=1,
            num_layers=26,
            encode=AttentionConfig(num_heads=8, qk_channels=256, v_channels=1280),
            process=AttentionConfig(num_heads=8, qk_channels=256, v_channels=1280),
            decode=AttentionConfig(num_heads=8, qk_channels=256, v_channels=768, query_residual=False),
        ),
    ),
    "perceiver_io_pixels": (Perceiver, _PIXELS),
    "perceiver_io_learned": (
        Perceiver,
        dataclasses.replace(
            _PIXELS,
            inputs=(
                ImageInputConfig(
                    stem=LinearStemConfig(), positions=LearnedPositionsConfig(num_channels=256, projected=True)
                ),
            ),
            decode=AttentionConfig(query_residual=False),
        ),
    ),
    "perceiver_io_conv": (
        Perceiver,
        dataclasses.replace(
            _PIXELS,
            inputs=(
                ImageInputConfig(
                    stem=ConvStemConfig(), positions=FourierPositionsConfig(num_bands=64, max_resolution=(56, 56))
                ),
            ),
        ),
    ),
    "perceiver_io_flow": (
        Perceiver,
        PerceiverConfig(
            inputs=(FlowInputConfig(positions=FourierPositionsConfig(num_bands=64, max_resolution=(368, 496))),),
            outputs=(FlowOutputConfig(),),
            num_latents=2048,
            latent_dim=512,
            num_blocks=1,
            num_layers=24,
            process=AttentionConfig(num_heads=16),
            decode=AttentionConfig(query_residual=False),
        ),
    ),
    "perceiver_io_multimodal": (
        Perceiver,
        PerceiverConfig(
            inputs=(
                AudioInputConfig(positions=_AUDIO),
                VideoInputConfig(positions=_VIDEO),
                LabelInputConfig(mask_probability=1.0),
            ),
            outputs=(
                GridOutputConfig(name="audio", shape=(1920,), num_channels=16, positions=_AUDIO, flatten=True),
                GridOutputConfig(name="image", shape=(16, 224, 224), num_channels=3, positions=_VIDEO),
                ClassOutputConfig(name="label", num_classes=700),
            ),
            num_latents=784,
            latent_dim=512,
            num_blocks=1,
            num_layers=8,
            decode=AttentionConfig(query_residual=False),
            decoder_channels=512,
        ),
    ),
    # The original Perceiver (Jaegle et al. 2021, table 7): it reads the pixels before each block and averages.
    "perceiver_pixels": (
        Perceiver,
        dataclasses.replace(_PIXELS, outputs=(AverageOutputConfig(),), num_cross_attends=8, distinct_cross_attends=2),
    ),
}

_CLASSES: dict[str, type[Pretrained]] = {cls.__name__: cls for cls, _ in _ZOO.values()}
"""Architecture name, as a model folder states it -> class."""


def list_models(pattern: str = "*") -> list[str]:
    """Names in the zoo that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(_ZOO, pattern))


def model_config(name: str) -> Any:
    """The config dataclass of a zoo entry.

    Raises:
        ValueError: no such name; the message suggests near ones.
    """
    if name not in _ZOO:
        near = difflib.get_close_matches(name, _ZOO, n=3) or list_models()
        raise ValueError(f"no model named {name!r}; did you mean {', '.join(near)}?")
    return _ZOO[name][1]


def create_model(name: str, **overrides: Any) -> Pretrained:
    """A model with random weights, in training mode.

    Args:
        name: an entry of `list_models()`.
        overrides: fields of its config, for example `num_classes=10`.

    Raises:
        ValueError: no such name or field, or a contradiction between fields.
    """
    config = model_config(name)
    fields = [field.name for field in dataclasses.fields(config)]
    for field in overrides:
        if field not in fields:
            near = difflib.get_close_matches(field, fields, n=3) or fields
            raise ValueError(f"{name} has no field {field!r}; did you mean {', '.join(near)}?")
    values = {field: tuple(value) if isinstance(value, list) else value for field, value in overrides.items()}
    return _ZOO[name][0](dataclasses.replace(config, **values))


def class_of(config: Any) -> type[Pretrained]:
    """The model class that a config is of."""
    for cls in _CLASSES.values():
        if isinstance(config, cls.config_class):
            return cls
    known = ", ".join(cls.config_class.__name__ for cls in _CLASSES.values())
    raise ValueError(f"no model has a config of type {type(config).__name__}; known: {known}")


def config_class_of(architecture: str, where: str) -> type:
    """The config class of an architecture, by the name that model folders give it; `where` it is named.

    Raises:
        ValueError: no such architecture.
    """
    if architecture not in _CLASSES:
        raise ValueError(f"{where} names a {architecture}; known architectures: {', '.join(_CLASSES)}")
    return _CLASSES[architecture].config_class


def load_pretrained(folder: str | os.PathLike[str]) -> tuple[Pretrained, tuple[str, ...] | None]:
    """The model in a folder, of whichever class its config names, and the names of its classes if it has them.

    Raises:
        ValueError: not a model folder, or a broken one; the message names the file.
    """
    architecture = read_architecture(folder)
    if architecture not in _CLASSES:
        raise ValueError(f"{folder} holds a {architecture}; known architectures: {', '.join(_CLASSES)}")
    model = _CLASSES[architecture].from_pretrained(folder)
    labels = read_labels(folder)
    classes = getattr(model.config, "num_classes", None)
    if labels is not None and classes is not None and len(labels) != classes:
        raise ValueError(f"{folder} has {len(labels)} labels for a model with num_classes={classes}")
    return model, labels
