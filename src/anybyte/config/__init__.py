"""Every setting of the library, as frozen dataclasses: data only, no behaviour.

A `Recipe` is everything that determines a training run. Recipes are written to `recipe.json` beside each run and each
field can be set from the command line (`anybyte train small/fsdd_wav --optim.learning_rate 1e-3`).
"""

from __future__ import annotations

from anybyte.config.byteformer import ByteFormerConfig
from anybyte.config.data import AugmentConfig, DataConfig, PrivacyConfig, ReadingConfig
from anybyte.config.perceiver import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    AverageOutputConfig,
    BytesInputConfig,
    ClassOutputConfig,
    ConvStemConfig,
    EntityOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    InputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    MelInputConfig,
    OutputConfig,
    PerceiverConfig,
    PointsInputConfig,
    PooledOutputConfig,
    PositionsConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.config.tasks import ClassifyConfig, DeclaredConfig, LossConfig, TaskConfig
from anybyte.config.training import OptimConfig, Recipe, RunConfig

__all__ = [
    "ArrayInputConfig",
    "AttentionConfig",
    "AudioInputConfig",
    "AugmentConfig",
    "AverageOutputConfig",
    "ByteFormerConfig",
    "BytesInputConfig",
    "ClassOutputConfig",
    "ClassifyConfig",
    "ConvStemConfig",
    "DataConfig",
    "DeclaredConfig",
    "EntityOutputConfig",
    "FlowInputConfig",
    "FlowOutputConfig",
    "FourierPositionsConfig",
    "GridOutputConfig",
    "ImageInputConfig",
    "InputConfig",
    "LabelInputConfig",
    "LearnedPositionsConfig",
    "LinearStemConfig",
    "LossConfig",
    "MelInputConfig",
    "OptimConfig",
    "OutputConfig",
    "PerceiverConfig",
    "PointsInputConfig",
    "PooledOutputConfig",
    "PositionsConfig",
    "PrivacyConfig",
    "ReadingConfig",
    "Recipe",
    "RunConfig",
    "TaskConfig",
    "TokenInputConfig",
    "TokenOutputConfig",
    "VideoInputConfig",
]
