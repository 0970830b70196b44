"""Units on a map: whom should each of ours attack? A set in, an answer for each of its entities."""

from __future__ import annotations

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    DataConfig,
    DeclaredConfig,
    EntityOutputConfig,
    LossConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
)
from anybyte.files.made.entities import SCENES


def entities() -> Recipe:
    """Generated scenes of up to 16 units (`--data made:entities`); the target of each unit of ours, by a known rule.

    The rule looks at all enemies, and 2% of the targets are wrong on purpose: 98% can be reached.
    """
    scenes = SCENES["entities"]
    return Recipe(
        name="small/entities",
        task=DeclaredConfig(losses=(LossConfig(output="target", loss="cross_entropy"),)),
        model=PerceiverConfig(
            inputs=(ArrayInputConfig(name="entities", num_channels=scenes.num_channels),),
            outputs=(EntityOutputConfig(name="target", num_channels=scenes.num_numbers),),
            num_latents=16,
            latent_dim=64,
            num_blocks=1,
            num_layers=2,
            encode=AttentionConfig(num_heads=4, qk_channels=64, v_channels=64),
            process=AttentionConfig(num_heads=4),
            decode=AttentionConfig(num_heads=4, qk_channels=64, v_channels=64),
        ),
        data=DataConfig(path="made:entities"),
        optim=OptimConfig(learning_rate=3e-3, warmup_steps=100, weight_decay=0.01, ema_decay=0.998),
        run=RunConfig(
            out="runs/entities", epochs=2, batch_files=64, batch_bytes=2**24, precision="bf16", checkpoint_every=500
        ),
    )
