"""Free Spoken Digit Dataset: 3,000 spoken digits as 8 kHz 16-bit WAV files (`scripts/prepare_data.py fsdd`)."""

from __future__ import annotations

from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, Recipe, RunConfig


def wav() -> Recipe:
    """Spoken digits as WAV files, as they are stored.

    The official split: recordings 0 to 4 of each speaker and digit are the test.
    A kernel of 64 bytes reads 4 ms of sound, every 2 ms. Every second byte is the low half of a 16-bit sample, which is
    noise to begin with: bytes start as signed samples near zero, and the kernel learns slowly.
    """
    return Recipe(
        name="small/fsdd_wav",
        model=ByteFormerConfig(
            num_classes=10,
            dim=96,
            num_heads=3,
            depth=5,
            kernel_size=64,
            window_sizes=32,
            merge_after=(0, 1, 2),
            drop_path=0.05,
            initialisation="samples",
        ),
        data=DataConfig(
            augment=AugmentConfig(gain_db=8.0, shift_seconds=0.04, speed=0.12, noise_db=-28.0, time_mask_seconds=0.04),
            val_fraction=0.1,
        ),
        optim=OptimConfig(learning_rate=6e-4, stem_scale=0.2, warmup_steps=200, ema_decay=0.999),
        run=RunConfig(
            out="runs/fsdd_wav", epochs=64, batch_files=32, precision="bf16", checkpoint_every=500, evaluate_every=2
        ),
    )
