"""Clips of video with sound through few latents, in minutes on one processor core."""

from __future__ import annotations

import math

from anybyte.config import (
    AttentionConfig,
    AudioInputConfig,
    AugmentConfig,
    ClipConfig,
    DataConfig,
    DeclaredConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    LatentGridConfig,
    LossConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
    VideoInputConfig,
)

_FRAMES, _SIDE, _FRAME_RATE, _RATE = 16, 64, 25.0, 16_000
_VIDEO_PATCH, _AUDIO_PATCH = (4, 8, 8), 320
_SAMPLES = round(_FRAMES / _FRAME_RATE * _RATE)
_LOUDNESS = 8.0
"""What sound is multiplied by inside the model: that of quiet rooms is some hundredths."""


def autoencoder() -> Recipe:
    """16 frames of 64 x 64 pixels and their 0.64 s of sound at 16 kHz, through 288 latents of 128 numbers and back.

    Not the paper's model made small: a query answers a patch, and the model begins as a block transform
    (`PerceiverConfig.latent_grids`), since half an hour is too short for latents to find their places. Losses are the
    paper's, without labels.
    """
    return Recipe(
        name="small/autoencoder",
        task=DeclaredConfig(
            losses=(
                LossConfig(output="image", loss="l1", weight=0.03, target="image"),
                LossConfig(output="audio", loss="l1", weight=1.0, target="audio"),
            )
        ),
        model=model(),
        reading=ClipConfig(
            frames=_FRAMES,
            frame_rate=_FRAME_RATE,
            image_size=_SIDE,
            sound=SoundConfig(rate=_RATE, seconds=_FRAMES / _FRAME_RATE),
        ),
        data=DataConfig(
            split_by="time",
            val_fraction=0.15,
            test_fraction=0.2,
            split_gap=0.2,
            clips=64,
            augment=AugmentConfig(
                crop_size=_SIDE, crop_area=(0.25, 1.0), crop_aspect=(1.0, 1.0), flip=True, gain_db=15.0
            ),
        ),
        optim=OptimConfig(
            learning_rate=1.5e-3, warmup_steps=100, weight_decay=0.01, betas=(0.9, 0.99), ema_decay=0.998
        ),
        run=RunConfig(out="runs/autoencoder", epochs=63, batch_files=4, precision="bf16", evaluate_every=5),
    )


def model() -> PerceiverConfig:
    """The model of `autoencoder`, with one latent for each patch."""
    cells = (_FRAMES // _VIDEO_PATCH[0], _SIDE // _VIDEO_PATCH[1], _SIDE // _VIDEO_PATCH[2])
    pieces = _SAMPLES // _AUDIO_PATCH
    video = FourierPositionsConfig(num_bands=8, max_resolution=cells)
    audio = FourierPositionsConfig(num_bands=24, max_resolution=(pieces,))
    return PerceiverConfig(
        inputs=(
            AudioInputConfig(num_samples=_SAMPLES, patch=_AUDIO_PATCH, positions=audio, scale=_LOUDNESS),
            VideoInputConfig(shape=(_FRAMES, _SIDE, _SIDE), patch=_VIDEO_PATCH, positions=video),
        ),
        outputs=(
            GridOutputConfig(
                name="audio",
                shape=(_SAMPLES,),
                num_channels=1,
                patch=(_AUDIO_PATCH,),
                positions=audio,
                flatten=True,
                scale=1 / _LOUDNESS,
            ),
            GridOutputConfig(
                name="image",
                shape=(_FRAMES, _SIDE, _SIDE),
                num_channels=3,
                patch=_VIDEO_PATCH,
                positions=video,
            ),
        ),
        num_latents=math.prod(cells) + pieces,
        latent_dim=128,
        num_blocks=1,
        num_layers=2,
        encode=AttentionConfig(qk_channels=32, v_channels=256),
        process=AttentionConfig(num_heads=4),
        decode=AttentionConfig(qk_channels=32, v_channels=256, widening=2),
        query_padding=160,
        decoder_channels=256,
        latent_grids=(
            LatentGridConfig(input="audio", output="audio", shape=(pieces,), transform=True),
            LatentGridConfig(input="image", output="image", shape=cells, transform=True),
        ),
    )


RECIPES = {"small/autoencoder": autoencoder}
