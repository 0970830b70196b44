"""Fashion-MNIST as PNG files for a Perceiver IO, which answers the same files as the ByteFormer of
`fashion_mnist.py`."""

from __future__ import annotations

from anybyte.config import (
    AttentionConfig,
    AugmentConfig,
    BytesInputConfig,
    ClassOutputConfig,
    DataConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
)


def png() -> Recipe:
    """Pictures of clothes as PNG files, read byte by byte into 32 latents.

    As in `small/fashion_mnist_png`, a kernel of 58 with its stride of 29 reads two whole rows of a picture.
    """
    return Recipe(
        name="small/fashion_mnist_perceiver",
        model=PerceiverConfig(
            inputs=(BytesInputConfig(num_channels=96, kernel_size=58, initialisation="smooth"),),
            outputs=(ClassOutputConfig(num_classes=10, query_channels=96),),
            num_latents=32,
            latent_dim=96,
            num_blocks=1,
            num_layers=4,
            encode=AttentionConfig(num_heads=3),
            process=AttentionConfig(num_heads=3),
            decode=AttentionConfig(num_heads=1, query_residual=False),
        ),
        data=DataConfig(augment=AugmentConfig(flip=True), val_fraction=0.1),
        optim=OptimConfig(learning_rate=1.5e-3, warmup_steps=300, ema_decay=0.998),
        run=RunConfig(
            out="runs/fashion_mnist_perceiver", epochs=12, batch_files=64, precision="bf16", checkpoint_every=500
        ),
    )
