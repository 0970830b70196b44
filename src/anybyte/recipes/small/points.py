"""Which of ten shapes is a point cloud? A classifier of files, whose reading gives points."""

from __future__ import annotations

from anybyte.config import (
    AttentionConfig,
    AverageOutputConfig,
    DataConfig,
    FourierPositionsConfig,
    OptimConfig,
    PerceiverConfig,
    PointsConfig,
    PointsInputConfig,
    Recipe,
    RunConfig,
)


def points() -> Recipe:
    """Generated clouds of ten shapes (`--data made:shapes`), 256 points of each; 96% can be reached.

    A fifth of two of the classes is drawn as two others are.
    """
    return Recipe(
        name="small/points",
        model=PerceiverConfig(
            inputs=(PointsInputConfig(positions=FourierPositionsConfig(num_bands=6, max_resolution=(12,) * 3)),),
            outputs=(AverageOutputConfig(num_classes=10),),
            num_latents=32,
            latent_dim=96,
            num_blocks=2,
            num_layers=2,
            num_cross_attends=2,
            distinct_cross_attends=2,
            encode=AttentionConfig(num_heads=2, qk_channels=64, v_channels=64),
            process=AttentionConfig(num_heads=3),
        ),
        data=DataConfig(path="made:shapes"),
        reading=PointsConfig(num_points=256),
        optim=OptimConfig(
            learning_rate=2e-3, warmup_steps=200, weight_decay=0.01, label_smoothing=0.0, ema_decay=0.998
        ),
        run=RunConfig(
            out="runs/points", epochs=1, batch_files=64, batch_bytes=2**24, precision="bf16", checkpoint_every=500
        ),
    )
