"""AudioSet: which of 527 kinds of sound are in a clip, heard, or heard and seen (2022, section 4.5; 2021, section 4.2).

Clips of 32 frames at 25 a second, 1.28 s, begin anywhere in a ten-second video in training; in use, the answers to 16
of them are averaged. Video is cut into patches of 2 x 8 x 8, raw sound into patches of 128 samples; a spectrogram has
4,800 places. In training, three videos of ten are dropped as a whole. That is the papers'. Optimiser, batch and
learning rate are not stated: LAMB and its settings are those of their other experiments. Nor are random changes, so
that nothing but the place of a clip is random here. Of the two widths of latents, 512 and 1024, this is the smaller:
`--model.latent_dim 1024` is the other.

Data: a manifest (.csv or .jsonl) with the columns `path`, `label` and `split`; the classes of a clip stand in its label
with `;` between them. A model of sound alone reads sound files, any other videos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anybyte.config import (
    AugmentConfig,
    AverageOutputConfig,
    ClassOutputConfig,
    ClipConfig,
    DataConfig,
    MelInputConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
    VideoInputConfig,
)
from anybyte.models.zoo import model_config

CLASSES = 527
FRAMES, RATE, SECONDS = 32, 48_000, 1.28
VIEWS = 16
VIDEO_DROPPED = 0.3


def raw() -> Recipe:
    """AudioSet from raw samples: 480 patches of 128."""
    return _recipe("raw", "perceiver_io_audioset", _WAVE, sees=False)


def mel() -> Recipe:
    """AudioSet from a mel spectrogram of 75 frames and 64 bands."""
    return _recipe("mel", "perceiver_io_audioset_mel", _MEL, sees=False)


def video_raw() -> Recipe:
    """AudioSet from video and raw samples."""
    return _recipe("video_raw", "perceiver_io_audioset", _WAVE, sees=True)


def video_mel() -> Recipe:
    """AudioSet from video and a mel spectrogram."""
    return _recipe("video_mel", "perceiver_io_audioset_mel", _MEL, sees=True)


def original() -> Recipe:
    """AudioSet from video and raw samples by the original Perceiver, which reads its input twice."""
    recipe = _recipe("video_raw", "perceiver_audioset", _WAVE, sees=True)
    name = "perceiver/audioset/original"
    return replace(recipe, name=name, run=replace(recipe.run, out=f"runs/{name}"))


_WAVE = SoundConfig(rate=RATE, seconds=SECONDS)
_MEL = SoundConfig(rate=RATE, seconds=SECONDS, form="mel", num_mels=64, window=2048, hop=820)


def _recipe(label: str, model: str, sound: SoundConfig, *, sees: bool) -> Recipe:
    """One of the experiments; `sees` says whether there is video beside the sound."""
    name = f"perceiver/audioset/{label}"
    reading: SoundConfig | ClipConfig = replace(sound, views=VIEWS)
    if sees:
        reading = ClipConfig(frames=FRAMES, sound=sound, views=VIEWS, missing="absent")
    return Recipe(
        name=name,
        model=_model(model, sees),
        data=DataConfig(augment=AugmentConfig()),
        reading=reading,
        optim=OptimConfig(
            optimizer="lamb",
            learning_rate=1e-3,
            min_learning_rate=0.0,
            schedule="cosine",
            epsilon=1e-6,
            warmup_steps=1_000,
            weight_decay=0.1,
            clip_norm=10.0,
            label_smoothing=0.0,
            ema_decay=None,
        ),
        run=RunConfig(
            out=f"runs/{name}",
            epochs=100,
            batch_files=512,
            batch_bytes=2**40,
            accumulation=16,
            precision="bf16",
            num_workers=16,
            checkpoint_every=1_000,
        ),
    )


def _model(name: str, sees: bool) -> PerceiverConfig:
    """A model of the zoo for several classes at once, with video that is dropped at times, or without any."""
    config = model_config(name)
    assert isinstance(config, PerceiverConfig)
    inputs = tuple(
        replace(part, drop_probability=VIDEO_DROPPED) if isinstance(part, VideoInputConfig) else part
        for part in config.inputs
        if sees or not isinstance(part, VideoInputConfig)
    )
    outputs = tuple(
        replace(part, num_classes=CLASSES, several=True)
        for part in config.outputs
        if isinstance(part, ClassOutputConfig | AverageOutputConfig)
    )
    assert all(part.shape == (75, 64) for part in inputs if isinstance(part, MelInputConfig))
    return replace(config, inputs=inputs, outputs=outputs, activation_checkpointing=sees)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "perceiver/audioset/raw": raw,
    "perceiver/audioset/mel": mel,
    "perceiver/audioset/video_raw": video_raw,
    "perceiver/audioset/video_mel": video_mel,
    "perceiver/audioset/original": original,
}
