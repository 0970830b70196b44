"""One small model for pictures and sounds, and the two that know one of them each: three runs to compare.

All three have the same shape and read each of their training files equally often. Clothes are cut down to as many files
as there are digits.
"""

from __future__ import annotations

from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, ReadingConfig, Recipe, RunConfig

CLOTHES, DIGITS = "fashion_mnist_2700_png.zip", "fsdd.zip"
BATCH = 32


def both() -> Recipe:
    """2,700 pictures of clothes (bare pixels) and 2,700 spoken digits (8-bit WAV, 4 kHz) in one space of 20 classes.

    Data: `--data clothes=fashion_mnist_2700_png.zip+digits=fsdd.zip`.
    """
    return _recipe("both", 20)


def clothes() -> Recipe:
    """The pictures of `small/joint/both` alone: 10 classes (`--data clothes=fashion_mnist_2700_png.zip`)."""
    return _recipe("clothes", 10)


def digits() -> Recipe:
    """The sounds of `small/joint/both` alone: 10 classes (`--data digits=fsdd.zip`).

    At the learning rate of the others this one does not begin to learn.
    """
    return _recipe("digits", 10, learning_rate=1e-3)


def _recipe(name: str, num_classes: int, learning_rate: float = 2e-3) -> Recipe:
    return Recipe(
        name=f"small/joint/{name}",
        model=ByteFormerConfig(
            num_classes=num_classes,
            dim=64,
            num_heads=2,
            depth=4,
            kernel_size=32,
            merge_after=(0, 1),
            window_sizes=64,
            initialisation="smooth",
        ),
        data=DataConfig(
            val_fraction=0.05,
            augment=AugmentConfig(crop_padding=2, flip=True, gain_db=6, shift_seconds=0.04, speed=0.1, noise_db=-28),
        ),
        reading=ReadingConfig(format="fhwc,wav:u8", rate=4_000),
        optim=OptimConfig(learning_rate=learning_rate, warmup_steps=100, ema_decay=0.99),
        run=RunConfig(out=f"runs/joint_{name}", epochs=30, batch_files=BATCH, precision="bf16", evaluate_every=5),
    )
