"""Small masked language models, on bytes and on SentencePiece pieces, for a few megabytes of text and one core."""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    AttentionConfig,
    MaskedConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    TokenInputConfig,
    TokenOutputConfig,
)

_MODEL = PerceiverConfig(
    inputs=(TokenInputConfig(num_channels=192, max_length=512),),
    outputs=(TokenOutputConfig(query_channels=192, max_length=512),),
    num_latents=128,
    latent_dim=256,
    num_blocks=1,
    num_layers=4,
    encode=AttentionConfig(num_heads=8, qk_channels=128, v_channels=256),
    process=AttentionConfig(num_heads=8, qk_channels=128, v_channels=256),
    decode=AttentionConfig(num_heads=8, qk_channels=128, v_channels=192, query_residual=False),
)


def bytes_() -> Recipe:
    """Any text, read byte by byte, 512 at a time."""
    return Recipe(
        name="small/language_bytes",
        task=MaskedConfig(),
        model=_MODEL,
        optim=OptimConfig(
            learning_rate=1e-3, warmup_steps=500, weight_decay=0.01, label_smoothing=0.0, ema_decay=0.998
        ),
        run=RunConfig(
            out="runs/language_bytes",
            epochs=40,
            batch_files=64,
            precision="bf16",
            checkpoint_every=500,
        ),
    )


def pieces() -> Recipe:
    """Any text in SentencePiece pieces (`anybyte tokenizer train TEXT -o spm.model`), 160 at a time."""
    recipe = bytes_()
    return replace(
        recipe,
        name="small/language_pieces",
        task=MaskedConfig(pieces="spm.model"),
        model=replace(
            _MODEL,
            inputs=(TokenInputConfig(vocabulary=4006, num_channels=192, max_length=160),),
            outputs=(TokenOutputConfig(query_channels=192, max_length=160),),
        ),
        run=replace(recipe.run, out="runs/language_pieces"),
    )
