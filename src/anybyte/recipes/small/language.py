"""Small masked language models, on bytes and on SentencePiece pieces, for a few megabytes of text and one core.

What they reach is in docs/results/language.md.
"""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    AttentionConfig,
    LatentGridConfig,
    MaskedConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    TokenInputConfig,
    TokenOutputConfig,
)

_ATTENTION = AttentionConfig(num_heads=8, qk_channels=128, v_channels=128, widening=2)
"""Unlike the paper's, the decoder keeps its queries: the place of a byte among those of a latent must reach its MLP."""


def _model(vocabulary: int, max_length: int) -> PerceiverConfig:
    return PerceiverConfig(
        inputs=(TokenInputConfig(vocabulary=vocabulary, num_channels=128, max_length=max_length),),
        outputs=(TokenOutputConfig(query_channels=128, max_length=max_length),),
        num_latents=128,
        latent_dim=128,
        num_blocks=1,
        num_layers=4,
        encode=_ATTENTION,
        process=_ATTENTION,
        decode=_ATTENTION,
        latent_grids=(LatentGridConfig(input="tokens", output="tokens", shape=(128,)),),
    )


def bytes_() -> Recipe:
    """Any text, read byte by byte, 512 at a time: one million parameters."""
    return Recipe(
        name="small/language_bytes",
        task=MaskedConfig(max_val=512),
        model=_model(262, 512),
        optim=OptimConfig(
            learning_rate=1e-3,
            min_learning_rate=2e-5,
            warmup_steps=100,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            # Texts to come hold bytes that a few books do not: this keeps their price bounded.
            label_smoothing=0.01,
            ema_decay=0.998,
        ),
        run=RunConfig(
            out="runs/language_bytes",
            epochs=12,
            batch_files=8,
            precision="bf16",
            checkpoint_every=1000,
        ),
    )


def pieces() -> Recipe:
    """Any text in SentencePiece pieces (`anybyte tokenizer train TEXT -o spm.model`), 128 at a time.

    On the three novels its steps take as many floating-point operations in all as those on bytes.
    """
    recipe = bytes_()
    return replace(
        recipe,
        name="small/language_pieces",
        task=MaskedConfig(pieces="spm.model", length=512, max_val=512),
        model=_model(4006, 128),
        run=replace(recipe.run, out="runs/language_pieces", epochs=15, max_steps=17_800),
    )
