"""ESC-10: ten kinds of sounds of the environment, 5 s each, four folds (`scripts/prepare_data.py esc10_fold1`)."""

from __future__ import annotations

from anybyte.config import (
    AttentionConfig,
    AudioInputConfig,
    AugmentConfig,
    ClassOutputConfig,
    DataConfig,
    FourierPositionsConfig,
    InputConfig,
    MelInputConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
)

RATE, SECONDS = 16_000, 5.0
"""Of what is read. Nearly all clips are of this length."""
_MELS, _HOP = 64, 320
_FRAMES = round(SECONDS * RATE) // _HOP


def mel() -> Recipe:
    """Five seconds of sound as a mel spectrogram, cut into patches of a tenth of a second and half an octave.

    The test is one fold of four, and nothing is held out of the other three: 150 clips are few. Hence the strong random
    changes: sounds are rolled around, played at other speeds, made louder or softer, cut into, and mixed.
    """
    patch = (5, 8)
    places = (_FRAMES // patch[0], _MELS // patch[1])
    return _recipe(
        "small/esc10_mel",
        MelInputConfig(
            shape=(_FRAMES, _MELS),
            patch=patch,
            positions=FourierPositionsConfig(num_bands=8, max_resolution=places),
        ),
        SoundConfig(rate=RATE, seconds=SECONDS, form="mel", num_mels=_MELS, hop=_HOP),
        AugmentConfig(roll=1.0, speed=0.2, gain_db=10.0, noise_dbfs=-50.0, time_mask_seconds=1.0, mixup=0.8),
    )


def raw() -> Recipe:
    """Five seconds of sound as samples, in patches of 8 ms. Otherwise as `small/esc10_mel`.

    Samples are scaled to one loudness: a model of so few clips does not learn that it does not matter.
    """
    patch = 128
    count = round(SECONDS * RATE)
    return _recipe(
        "small/esc10_raw",
        AudioInputConfig(
            num_samples=count,
            patch=patch,
            positions=FourierPositionsConfig(num_bands=16, max_resolution=(count // patch,)),
        ),
        SoundConfig(rate=RATE, seconds=SECONDS, level="equal"),
        AugmentConfig(roll=1.0, speed=0.15, noise_dbfs=-50.0, time_mask_seconds=1.0, mixup=0.5),
    )


def _recipe(name: str, part: InputConfig, reading: SoundConfig, augment: AugmentConfig) -> Recipe:
    """What both have in common."""
    return Recipe(
        name=name,
        model=PerceiverConfig(
            inputs=(part,),
            outputs=(ClassOutputConfig(num_classes=10, query_channels=96),),
            num_latents=32,
            latent_dim=96,
            num_blocks=1,
            num_layers=3,
            process=AttentionConfig(num_heads=4),
            decode=AttentionConfig(query_residual=False),
            dropout=0.1,
        ),
        data=DataConfig(augment=augment, val_fraction=0.0),
        reading=reading,
        optim=OptimConfig(
            learning_rate=1.5e-3,
            min_learning_rate=1e-5,
            warmup_steps=50,
            weight_decay=0.1,
            label_smoothing=0.1,
            betas=(0.9, 0.99),
            ema_decay=0.99,
        ),
        run=RunConfig(
            out=f"runs/{name.removeprefix('small/')}",
            epochs=70,
            batch_files=16,
            batch_bytes=2**26,
            precision="bf16",
            checkpoint_every=2_000,
            evaluate_every=1_000,
        ),
    )
