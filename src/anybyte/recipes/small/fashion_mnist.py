"""Fashion-MNIST as PNG files: 28x28 grey, 10 kinds of clothing, no compression (`scripts/prepare_data.py
fashion_mnist`)."""

from __future__ import annotations

from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, Recipe, RunConfig


def png() -> Recipe:
    """Pictures of clothes as PNG files, as they are stored.

    A row of the picture is 29 bytes (a filter byte and 28 pixels), so a kernel of 58 with its stride of 29 reads two
    whole rows, and each token means the same place of the picture's width.
    """
    return Recipe(
        name="small/fashion_mnist_png",
        model=ByteFormerConfig(
            num_classes=10,
            dim=96,
            num_heads=3,
            depth=5,
            kernel_size=58,
            window_sizes=64,
            merge_after=(),
            drop_path=0.05,
            initialisation="smooth",
        ),
        data=DataConfig(augment=AugmentConfig(flip=True), val_fraction=0.1),
        optim=OptimConfig(learning_rate=2e-3, warmup_steps=200, ema_decay=0.998),
        run=RunConfig(out="runs/fashion_mnist_png", epochs=12, batch_files=64, precision="bf16", checkpoint_every=500),
    )
