"""The recipe for a folder of one's own: any files, one sub-folder a class."""

from __future__ import annotations

from anybyte.config import ByteFormerConfig, OptimConfig, Recipe, RunConfig


def folder() -> Recipe:
    """A small ByteFormer (1.4 million parameters) on files as they are stored: a start for data of one's own.

    Kernels of 16 bytes and three quick mergings bring a 50 kB file down to 800 tokens for most of the blocks.
    For raw pixels or 8-bit sound set `--model.initialisation smooth`, for 16-bit sound `samples`.
    """
    return Recipe(
        name="folder",
        model=ByteFormerConfig(
            dim=96, num_heads=3, depth=9, kernel_size=16, window_sizes=64, merge_after=(0, 1, 2, 4, 6), drop_path=0.1
        ),
        optim=OptimConfig(learning_rate=1e-3, warmup_steps=100, weight_decay=0.05, ema_decay=0.999),
        run=RunConfig(epochs=30, batch_files=32, batch_bytes=2**21, patience=8),
    )
