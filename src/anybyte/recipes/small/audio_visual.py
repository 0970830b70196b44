"""Your own short videos with sound, one folder a class: the small twin of AudioSet's recipes."""

from __future__ import annotations

from anybyte.config import (
    AttentionConfig,
    AugmentConfig,
    ClassOutputConfig,
    ClipConfig,
    DataConfig,
    FourierPositionsConfig,
    MelInputConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
    VideoInputConfig,
)

FRAMES, FRAME_RATE, SIZE = 8, 8.0, 32
RATE, MELS, HOP = 8_000, 32, 160


def clips() -> Recipe:
    """Videos with sound, one folder a class, seen in one second of 8 frames of 32 x 32 and heard in a spectrogram.

    In training, three videos of ten are dropped as a whole, and as many sounds. So the model also knows videos without
    sound, and sound files.
    """
    frames = round(FRAMES / FRAME_RATE * RATE) // HOP
    patch, cell = (2, 8, 8), (2, 8)
    return Recipe(
        name="small/audio_visual",
        model=PerceiverConfig(
            inputs=(
                MelInputConfig(
                    shape=(frames, MELS),
                    patch=cell,
                    positions=FourierPositionsConfig(num_bands=8, max_resolution=(frames // cell[0], MELS // cell[1])),
                    drop_probability=0.3,
                ),
                VideoInputConfig(
                    shape=(FRAMES, SIZE, SIZE),
                    patch=patch,
                    positions=FourierPositionsConfig(
                        num_bands=4, max_resolution=(FRAMES // patch[0], SIZE // patch[1], SIZE // patch[2])
                    ),
                    drop_probability=0.3,
                ),
            ),
            outputs=(ClassOutputConfig(query_channels=96),),
            num_latents=32,
            latent_dim=96,
            num_blocks=1,
            num_layers=3,
            process=AttentionConfig(num_heads=4),
            decode=AttentionConfig(query_residual=False),
        ),
        data=DataConfig(augment=AugmentConfig(gain_db=6.0, noise_dbfs=-60.0, brightness=0.2)),
        reading=ClipConfig(
            frames=FRAMES,
            frame_rate=FRAME_RATE,
            image_size=SIZE,
            sound=SoundConfig(rate=RATE, seconds=FRAMES / FRAME_RATE, form="mel", num_mels=MELS, window=512, hop=HOP),
            missing="absent",
            views=4,
        ),
        optim=OptimConfig(learning_rate=1.5e-3, warmup_steps=50, weight_decay=0.1, ema_decay=0.99),
        run=RunConfig(
            out="runs/audio_visual",
            epochs=60,
            batch_files=16,
            batch_bytes=2**26,
            precision="bf16",
            checkpoint_every=500,
            evaluate_every=5,
        ),
    )
