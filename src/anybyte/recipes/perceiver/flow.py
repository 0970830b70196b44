"""Optical flow (Jaegle et al. 2022, section 4.2 and appendix H).

The paper trains on AutoFlow: 400,000 pairs, 480 epochs, 512 pairs a step, LAMB at 4e-4 with a cosine; AutoFlow's
curriculum after a first phase without changes of colour, blur and noise; each pair also backwards in time.

Data: a folder of pictures, the more and the more varied the better. AutoFlow's own 400,000 pairs are not used: pairs
are made anew in each epoch here. What the paper leaves open: weight decay, clipping and epsilon are those of its
ImageNet recipe, without warm-up.
"""

from __future__ import annotations

from collections.abc import Callable

from anybyte.config import (
    DataConfig,
    FlowConfig,
    FramesConfig,
    MadeFlowConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
)
from anybyte.models.perceivers import PERCEIVERS

PAIRS, EPOCHS, BATCH = 400_000, 480, 512
_TILE = (368, 496)


def autoflow() -> Recipe:
    """Optical flow from pairs made of any pictures, at the paper's size: 400,000 pairs an epoch, 480 epochs."""
    model = PERCEIVERS["perceiver_io_flow"]
    assert isinstance(model, PerceiverConfig)
    return Recipe(
        name="perceiver/flow/autoflow",
        task=FlowConfig(made=MadeFlowConfig(size=_TILE, pairs=PAIRS, val_pairs=256, reverse=True)),
        model=model,
        data=DataConfig(on_error="skip"),
        reading=FramesConfig(),
        optim=_OPTIM,
        run=RunConfig(
            out="runs/flow",
            epochs=EPOCHS,
            # Each pair counts twice, forwards and backwards: 512 examples a step.
            batch_files=BATCH // 2,
            batch_bytes=2**33,
            precision="bf16",
            num_workers=8,
        ),
    )


def stored() -> Recipe:
    """Optical flow from stored pairs with their flow, such as FlyingChairs, at the same settings."""
    recipe = autoflow()
    return Recipe(
        name="perceiver/flow/stored",
        task=FlowConfig(pairs="stored"),
        model=recipe.model,
        data=DataConfig(val_fraction=0.03, test_fraction=0.03),
        reading=recipe.reading,
        optim=recipe.optim,
        run=RunConfig(
            out="runs/flow_stored",
            epochs=EPOCHS,
            batch_files=BATCH,
            batch_bytes=2**33,
            precision="bf16",
            num_workers=8,
        ),
    )


_OPTIM = OptimConfig(
    optimizer="lamb",
    learning_rate=4e-4,
    min_learning_rate=0.0,
    schedule="cosine",
    epsilon=1e-6,
    warmup_steps=0,
    weight_decay=0.1,
    clip_norm=10.0,
    ema_decay=None,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "perceiver/flow/autoflow": autoflow,
    "perceiver/flow/stored": stored,
}
"""Name -> the function that returns the recipe."""
