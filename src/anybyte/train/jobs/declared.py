"""Arrays to arrays."""

from __future__ import annotations

from anybyte.config import ClipConfig, DeclaredConfig, PerceiverConfig, Recipe
from anybyte.models.schema import Schema
from anybyte.tasks import ExampleSplits
from anybyte.tasks.arrays import open_arrays
from anybyte.tasks.declared import Declared, arrays_read, arrays_wanted
from anybyte.train.jobs.clips import clips
from anybyte.train.jobs.job import Data, Job, listed, located

SCHEMA = "schema.yaml"
"""Name of the file in the model folder that declares the problem."""


def declared(recipe: Recipe, data: Data | None) -> Job:
    """Arrays to arrays, as the model and the losses say; of clips, if that is what is read."""
    if isinstance(recipe.reading, ClipConfig):
        return clips(recipe, data)
    config, losses = recipe.model, recipe.task
    assert isinstance(losses, DeclaredConfig)
    if not isinstance(config, PerceiverConfig):
        raise ValueError(f"recipe {recipe.name!r} is for arrays: its model must be a Perceiver, not a ByteFormer")
    task = Declared(config, losses)
    splits = open_arrays(recipe.data.path, arrays_read(config), arrays_wanted(losses)) if data is None else data
    if not isinstance(splits, ExampleSplits):
        raise ValueError(f"recipe {recipe.name!r} learns from arrays: it needs ExampleSplits, not files")
    if not len(splits.train):
        raise ValueError(f"recipe {recipe.name!r} has no examples to train on")
    answers = [f"{loss.output} ({loss.loss})" for loss in losses.losses]
    return Job(
        located(recipe),
        task,
        splits.train,
        splits.val,
        purpose=f"reads {listed([part.name for part in config.inputs])} and answers {listed(answers)}",
        labels=task.labels,
        files=_schema_file(config, losses),
    )


def _schema_file(config: PerceiverConfig, losses: DeclaredConfig) -> dict[str, str]:
    """The schema of a model that has one, for its folder."""
    try:
        return {SCHEMA: Schema.from_config(config, losses).to_yaml()}
    except ValueError:  # the config says more than a schema can
        return {}
