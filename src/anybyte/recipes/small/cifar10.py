"""CIFAR-10 as uncompressed TIFF files: 32x32 RGB, 10 kinds of things (`scripts/prepare_data.py cifar10`)."""

from __future__ import annotations

from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, Recipe, RunConfig


def tiff() -> Recipe:
    """Small photographs as TIFF files, as they are stored.

    A row of the picture is 96 bytes, so a kernel of 192 with its stride of 96 reads two whole rows: 33 tokens a
    picture, which leaves time for many epochs.
    """
    return Recipe(
        name="small/cifar10_tiff",
        model=ByteFormerConfig(
            num_classes=10,
            dim=128,
            num_heads=4,
            depth=6,
            kernel_size=192,
            window_sizes=64,
            merge_after=(),
            drop_path=0.05,
            initialisation="smooth",
        ),
        data=DataConfig(augment=AugmentConfig(flip=True, crop_padding=3), val_fraction=0.1),
        optim=OptimConfig(learning_rate=1.2e-3, stem_scale=0.3, warmup_steps=300, ema_decay=0.998),
        run=RunConfig(out="runs/cifar10_tiff", epochs=11, batch_files=64, precision="bf16", checkpoint_every=500),
    )
