"""Optical flow, small: pairs made of pictures, learnt on one processor core.

The model is the paper's in kind: patches of both frames with Fourier positions are read into latents, and the queries
are the tokens themselves. What differs, so that little training is enough:

- it sees frames at half their size and less, in several passes from coarse to fine (`FramesConfig.scales`), by tiles of
  the size that it learnt from; each pass is smoothed and checked (`FramesConfig.median`, `FramesConfig.check`);
- a hidden layer before the tokens, which compares pixels of both frames from the start (models/starts/matching.py);
- the query is added to what the decoder finds (`query_residual`), so that a token's own comparison reaches the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anybyte.config import (
    AttentionConfig,
    FlowConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    FramesConfig,
    MadeFlowConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
)

MODEL = PerceiverConfig(
    inputs=(
        FlowInputConfig(
            patch=7,
            hidden=52,
            around=5,
            spread=2,
            initialisation="matching",
            reach=2,
            num_channels=46,
            positions=FourierPositionsConfig(num_bands=4, max_resolution=(48, 64)),
        ),
    ),
    outputs=(FlowOutputConfig(),),
    num_latents=32,
    latent_dim=64,
    num_blocks=1,
    num_layers=2,
    encode=AttentionConfig(num_heads=1, qk_channels=64, v_channels=64),
    process=AttentionConfig(num_heads=4),
    decode=AttentionConfig(num_heads=1, qk_channels=64, v_channels=64, widening=2),
)
"""0.2 million parameters."""

MADE = MadeFlowConfig(
    size=(48, 64),
    pairs=256,
    val_pairs=48,
    layers=(1, 5),
    texture_side=160,
    texture_zoom=(0.4, 1.5),
    shift=(0.1, 6.0),
    bend=1.5,
    bend_length=(24.0, 96.0),
    brightness=0.1,
    noise=0.02,
    begin=0.5,
)
"""Frames as the model sees them: a quarter of a film's size and less. Motion is as far as two passes reach."""

FINER = replace(
    MADE,
    size=(96, 128),
    val_pairs=24,
    texture_side=320,
    texture_zoom=(0.3, 1.5),
    shift=(0.1, 12.0),
    bend=3.0,
    bend_length=(48.0, 192.0),
    plain=0.0,
    grow=0.0,
)
"""Larger frames, of textures from blurred to sharp: what a last pass meets in a tile of them is mostly small motion."""

READING = FramesConfig(
    scales=(1 / 32, 1 / 32, 1 / 16, 1 / 16, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 2),
    median=11,
    check=5,
)
"""Chosen on made pairs; see docs/results/flow.md."""


def made() -> Recipe:
    """Optical flow from pairs that are made of any pictures, minutes on one processor core."""
    return Recipe(
        name="small/flow",
        # What a pass meets in use: frames as they are, what is left after a pass over frames of half the size, and what
        # is left after one more.
        task=FlowConfig(made=MADE, passes=((1.0,), (0.5,), (0.5, 1.0), (0.5, 1.0, 1.0))),
        model=MODEL,
        reading=READING,
        optim=OptimConfig(
            learning_rate=2e-4,
            min_learning_rate=0.0,
            warmup_steps=20,
            weight_decay=0.01,
            ema_decay=0.99,
        ),
        run=RunConfig(
            out="runs/flow_small",
            epochs=39,
            batch_files=2,
            evaluate_every=3,
            precision="bf16",
            checkpoint_every=500,
        ),
    )


def finer() -> Recipe:
    """`small/flow` goes on (`--run.init_from`): what coarse passes leave in larger frames, tile by tile.

    On pairs of its own size the error falls; on large made pairs, in all passes, 28 minutes of it changed nothing
    (docs/results/flow.md), so that `small/flow` alone is the model to use.
    """
    recipe = made()
    return replace(
        recipe,
        name="small/flow/finer",
        task=FlowConfig(
            made=FINER,
            passes=((0.25,), (0.25, 0.25), (0.25, 0.5), (0.25, 0.5, 1.0)),
            median=7,
            check=5,
        ),
        optim=replace(recipe.optim, learning_rate=4e-4),
        run=replace(recipe.run, out="runs/flow_finer", epochs=24, evaluate_every=8),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"small/flow": made, "small/flow/finer": finer}
"""Name -> the function that returns the recipe."""
