"""Clips of video with sound to themselves, and to their class."""

from __future__ import annotations

import dataclasses
from typing import cast

from anybyte.config import (
    AudioInputConfig,
    ClassOutputConfig,
    ClipConfig,
    DeclaredConfig,
    InputConfig,
    LabelInputConfig,
    OutputConfig,
    PerceiverConfig,
    Recipe,
    VideoInputConfig,
)
from anybyte.reading.clips import check_clip
from anybyte.reading.sounds import sound_shape
from anybyte.tasks import ExampleSplits
from anybyte.tasks.clips import ClipNames, ClipSplits, open_clips
from anybyte.tasks.declared import Declared
from anybyte.train.jobs.job import Data, Job, located


def clips(recipe: Recipe, data: Data | None) -> Job:
    """An autoencoder of clips, as the model and the losses say; classes are those of the data's folders."""
    config, losses, reading = recipe.model, recipe.task, recipe.reading
    assert isinstance(losses, DeclaredConfig) and isinstance(reading, ClipConfig)
    if not isinstance(config, PerceiverConfig):
        raise ValueError(f"recipe {recipe.name!r} is for videos: its model must be a Perceiver, not a ByteFormer")
    names = clip_names(config)
    check_reading_fits(config, reading)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if data is None:
        splits = open_clips(recipe.data, reading, names)
        classes, notes = splits.classes, _notes(splits, names, recipe)
        data = ExampleSplits(splits.train, splits.val)
    if not isinstance(data, ExampleSplits):
        raise ValueError(f"recipe {recipe.name!r} learns from clips: it needs ExampleSplits, not files")
    if not len(data.train):
        raise ValueError(f"recipe {recipe.name!r} has no videos to train on")
    if classes:
        config = with_labels(config, len(classes))
    frames, size, sound = reading.frames, reading.image_size, reading.sound
    return Job(
        located(dataclasses.replace(recipe, model=config)),
        Declared(config, losses),
        data.train,
        data.val,
        purpose=f"takes clips of {frames} frames of {size}x{size} pixels with {round(sound.rate * sound.seconds):,} "
        f"samples of sound, through {config.num_latents} latents of {config.latent_dim} numbers, to themselves",
        labels=classes or None,
        notes=notes,
    )


def clip_names(config: PerceiverConfig) -> ClipNames:
    """What the model calls its parts of a clip.

    Raises:
        ValueError: it has not one input of video and one of sound.
    """
    video, audio, label = (
        [part.name for part in config.inputs if isinstance(part, kind)]
        for kind in (VideoInputConfig, AudioInputConfig, LabelInputConfig)
    )
    answers = [part.name for part in config.outputs if isinstance(part, ClassOutputConfig)]
    if len(video) != 1 or len(audio) != 1 or len(label) > 1 or len(answers) > 1:
        raise ValueError(
            "a model of clips reads one video and one sound, and one label at most; this one reads "
            f"{', '.join(part.kind for part in config.inputs)}"
        )
    return ClipNames(video[0], audio[0], label[0] if label else None, answers[0] if answers else None)


def check_reading_fits(config: PerceiverConfig, reading: ClipConfig) -> None:
    """Raises ValueError unless what is read of a file is what the model is made for; the message names both."""
    check_clip(reading)
    wanted = (reading.frames, reading.image_size, reading.image_size)
    for part in config.inputs:
        if isinstance(part, VideoInputConfig) and part.shape != wanted:
            raise ValueError(f"input {part.name!r} of the model is {part.shape}, but the reading gives {wanted}")
        if isinstance(part, AudioInputConfig) and (part.num_samples,) != sound_shape(reading.sound):
            raise ValueError(
                f"input {part.name!r} of the model has {part.num_samples} samples, but the reading gives "
                f"{sound_shape(reading.sound)}"
            )


def with_labels(config: PerceiverConfig, count: int) -> PerceiverConfig:
    """The config with `count` classes in its label."""
    inputs = [
        dataclasses.replace(part, num_classes=count) if isinstance(part, LabelInputConfig) else part
        for part in config.inputs
    ]
    outputs = [
        dataclasses.replace(part, num_classes=count) if isinstance(part, ClassOutputConfig) else part
        for part in config.outputs
    ]
    return dataclasses.replace(
        config,
        inputs=cast(tuple[InputConfig, ...], tuple(inputs)),
        outputs=cast(tuple[OutputConfig, ...], tuple(outputs)),
    )


def _notes(splits: ClipSplits, names: ClipNames, recipe: Recipe) -> tuple[str, ...]:
    notes = []
    if (names.label or names.answer) and not splits.classes:
        notes.append(f"{recipe.data.path} has no class folders: the label counts as masked, and is not trained")
    if not len(splits.val):
        notes.append("no video is held out for validation: the newest weights are kept")
    return tuple(notes)
