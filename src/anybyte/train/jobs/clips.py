"""Clips of video with sound to themselves, and to their class."""

from __future__ import annotations

import dataclasses
from typing import cast

from anybyte.config import (
    ClassOutputConfig,
    ClipConfig,
    DeclaredConfig,
    InputConfig,
    LabelInputConfig,
    OutputConfig,
    PerceiverConfig,
    Recipe,
)
from anybyte.tasks import ExampleSplits
from anybyte.tasks.clips import ClipNames, ClipSplits, check_reading_fits, clip_names, open_clips
from anybyte.tasks.declared import Declared
from anybyte.train.jobs.job import Data, Job, located


def clips(recipe: Recipe, data: Data | None) -> Job:
    """An autoencoder of clips, as the model and the losses say; classes are those of the data's folders."""
    config, losses, reading = recipe.model, recipe.task, recipe.reading
    assert isinstance(losses, DeclaredConfig)
    assert isinstance(reading, ClipConfig)
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
