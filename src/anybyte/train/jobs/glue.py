"""Sentences to GLUE's answers."""

from __future__ import annotations

import dataclasses
import os

from anybyte.config import GlueConfig, PerceiverConfig, Recipe
from anybyte.files.glue import TASKS
from anybyte.models.find import find_model
from anybyte.models.zoo import load_pretrained
from anybyte.tasks import ExampleSplits
from anybyte.tasks.glue import Glue, glue_model
from anybyte.tasks.glue_parts import open_training
from anybyte.train.jobs.job import Data, Job, listed


def glue(recipe: Recipe, data: Data | None) -> Job:
    """GLUE from a folder of it, by a model of bytes: that of `run.init_from` in its size, or the recipe's."""
    task = recipe.task
    assert isinstance(task, GlueConfig)
    body, notes = _body(recipe)
    model = glue_model(body, task)
    if data is None:
        data, found = open_training(recipe.data, task)
        notes += found
    if not isinstance(data, ExampleSplits):
        raise ValueError(f"recipe {recipe.name!r} learns from sentences: it needs ExampleSplits, not files")
    if not len(data.train):
        raise ValueError(f"recipe {recipe.name!r} has no examples to train on")
    path = os.path.abspath(recipe.data.path) if recipe.data.path else ""
    titles = listed([TASKS[name].title for name in task.tasks])
    return Job(
        dataclasses.replace(recipe, model=model, data=dataclasses.replace(recipe.data, path=path)),
        Glue(model, task, recipe.optim.label_smoothing),
        data.train,
        data.val,
        purpose=f"reads the bytes of one sentence or two and answers {titles} of GLUE",
        notes=notes,
    )


def _body(recipe: Recipe) -> tuple[PerceiverConfig, tuple[str, ...]]:
    """The model without its answers: weights of another fit only a model of that one's size."""
    own = recipe.model
    if not isinstance(own, PerceiverConfig):
        raise ValueError(f"recipe {recipe.name!r} is for text: its model must be a Perceiver, not a ByteFormer")
    if recipe.run.init_from is None:
        return own, ()
    other, _ = load_pretrained(find_model(recipe.run.init_from))
    if not isinstance(other.config, PerceiverConfig):
        raise ValueError(f"run.init_from {recipe.run.init_from}: that is a {type(other).__name__}, not a Perceiver")
    body = dataclasses.replace(other.config, dropout=own.dropout, activation_checkpointing=own.activation_checkpointing)
    same = dataclasses.replace(own, inputs=body.inputs, outputs=body.outputs, query_padding=body.query_padding)
    note = f"the model has the size of {recipe.run.init_from}, not that of the recipe"
    return body, () if same == body else (note,)
