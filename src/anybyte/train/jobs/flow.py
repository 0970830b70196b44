"""Pairs of frames to the flow between them."""

from __future__ import annotations

import dataclasses

from anybyte.config import FlowConfig, FlowInputConfig, FlowOutputConfig, FramesConfig, PerceiverConfig, Recipe
from anybyte.files.flow_sets import open_flow_pairs
from anybyte.files.listing import Record
from anybyte.files.splits import divide
from anybyte.files.textures import open_textures
from anybyte.models.passes import tile_of
from anybyte.reading.frames import check_frames
from anybyte.tasks import ExampleSplits
from anybyte.tasks.flow import FlowTask, MadeFlow, StoredFlow
from anybyte.train.jobs.job import Data, Job, listed, located


def flow(recipe: Recipe, data: Data | None) -> Job:
    """Optical flow, learnt from pairs that are made of pictures, or from stored pairs."""
    config, task = recipe.model, recipe.task
    assert isinstance(task, FlowConfig)
    kinds = [part.kind for part in (*config.inputs, *config.outputs)] if isinstance(config, PerceiverConfig) else []
    if not isinstance(config, PerceiverConfig) or kinds != [FlowInputConfig.kind, FlowOutputConfig.kind]:
        raise ValueError(
            f"recipe {recipe.name!r} is for flow: its model must be a Perceiver with an input of frames and an output "
            f"of flow, this one has {listed(kinds) if kinds else 'none'}"
        )
    (output,) = config.outputs
    assert isinstance(output, FlowOutputConfig)
    splits = _open(recipe, task, config) if data is None else data
    if not isinstance(splits, ExampleSplits):
        raise ValueError(f"recipe {recipe.name!r} learns from pairs of frames: it needs ExampleSplits, not files")
    reading = recipe.reading if isinstance(recipe.reading, FramesConfig) else FramesConfig()
    check_frames(reading)
    return Job(
        dataclasses.replace(located(recipe), reading=reading),
        FlowTask(task, output.scale, tile_of(config) if reading.tiles else None),
        splits.train,
        splits.val,
        purpose="reads two frames and says where each pixel of the first is in the second",
    )


def _open(recipe: Recipe, task: FlowConfig, config: PerceiverConfig) -> ExampleSplits:
    path, made = recipe.data.path, task.made
    if task.pairs == "made":
        textures = open_textures(path, made.texture_side)
        epochs = recipe.run.epochs
        return ExampleSplits(MadeFlow(made, textures, made.pairs, epochs), MadeFlow(made, textures, made.val_pairs))
    pairs = open_flow_pairs(path)
    (frames,) = config.inputs
    assert isinstance(frames, FlowInputConfig)
    height, width = frames.positions.max_resolution
    # By hash of the name, a share of each set: as files are drawn.
    records = [Record(pair.name, pair.group, None, 0, number) for number, pair in enumerate(pairs.files)]
    parts = divide(records, recipe.data.val_fraction, recipe.data.test_fraction, recipe.data.split_seed)
    train, val = (
        StoredFlow(pairs.select(record.key for record in parts[part]), (height, width)) for part in ("train", "val")
    )
    return ExampleSplits(train, val)
