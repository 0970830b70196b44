"""Sets: ModelNet40's shapes (Jaegle et al. 2021, section 4.3) and StarCraft's units (2022, section 4.4).

ModelNet40: `--data ModelNet40/` is the folder as it is distributed, a mesh a file (`chair/train/chair_0001.off`). The
paper gives points, positions, batch, optimiser, learning rate and random changes. Its decay, clipping, epsilon and 120
epochs are those of its ImageNet.

StarCraft: the paper's Perceiver IO stands in the place of the entity encoder of AlphaStar, whose games are not public.
Sizes of inputs, latents and outputs are the paper's; heads, the width of latents, and all of the training are ours. Its
output for a unit learns whom the unit should attack (`made:entities_512`, or a folder of arrays: `entities`, their
`entities.mask` and `target`). Its pooled output has no loss here: in AlphaStar it serves the rest of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anybyte.config import (
    AugmentConfig,
    DataConfig,
    DeclaredConfig,
    EntityOutputConfig,
    LossConfig,
    OptimConfig,
    PointsConfig,
    Recipe,
    RunConfig,
)
from anybyte.models.perceivers import PERCEIVERS

_LAMB = OptimConfig(
    optimizer="lamb",
    learning_rate=1e-3,
    schedule="constant",
    epsilon=1e-6,
    warmup_steps=0,
    weight_decay=0.1,
    decay_tables=True,
    clip_norm=10.0,
    label_smoothing=0.0,
    ema_decay=None,
)


def modelnet40() -> Recipe:
    """ModelNet40 from 2,048 points of each mesh, by the original Perceiver: 512 shapes a step."""
    return Recipe(
        name="perceiver/modelnet40",
        model=PERCEIVERS["perceiver_modelnet40"],
        data=DataConfig(augment=AugmentConfig(point_scale=0.01)),
        reading=PointsConfig(num_points=2048),
        optim=_LAMB,
        run=RunConfig(
            out="runs/perceiver_modelnet40", epochs=120, batch_files=512, batch_bytes=2**24, precision="bf16"
        ),
    )


def starcraft() -> Recipe:
    """Up to 512 units of 128 channels through 32 latents; the target of each unit. `--data made:entities_512` works."""
    model = PERCEIVERS["perceiver_io_starcraft"]
    units, pooled = model.outputs
    assert isinstance(units, EntityOutputConfig)
    return Recipe(
        name="perceiver/starcraft",
        task=DeclaredConfig(losses=(LossConfig(output="target", loss="cross_entropy"),)),
        model=replace(model, outputs=(replace(units, name="target"), pooled)),
        data=DataConfig(path="made:entities_512"),
        optim=replace(_LAMB, schedule="cosine", min_learning_rate=0.0, warmup_steps=1_000),
        run=RunConfig(out="runs/perceiver_starcraft", epochs=100, batch_files=512, batch_bytes=2**28, precision="bf16"),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "perceiver/modelnet40": modelnet40,
    "perceiver/starcraft": starcraft,
}
"""Name -> the function that returns the recipe."""
