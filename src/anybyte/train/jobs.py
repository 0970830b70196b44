"""From a recipe to a job: the task, the examples, and what of the recipe follows from the data.

One function a kind of task (`_JOBS`). What a new kind needs beside a `Task` and its `Examples` is said here; the loop
stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from anybyte.config import (
    AverageOutputConfig,
    ByteFormerConfig,
    BytesInputConfig,
    ClassifyConfig,
    ClassOutputConfig,
    DeclaredConfig,
    PerceiverConfig,
    Recipe,
)
from anybyte.files.joined import absolute_origins
from anybyte.files.sources import Splits, open_splits
from anybyte.models.schema import Schema
from anybyte.models.zoo import with_classes
from anybyte.reading import Reading
from anybyte.tasks import Examples, ExampleSplits, Task
from anybyte.tasks.arrays import open_arrays
from anybyte.tasks.classify import Classify
from anybyte.tasks.declared import Declared, arrays_read, arrays_wanted
from anybyte.train.data import Files
from anybyte.train.settings import check_settings

Data = Splits | ExampleSplits
"""What a run may be given to learn from: files, or examples of any other kind."""

SCHEMA = "schema.yaml"
"""Name of the file in the model folder that declares the problem."""

_LISTED_CLASSES = 20


@dataclass(frozen=True)
class Job:
    """All that a run needs to know of its purpose.

    Attributes:
        recipe: completed by what follows from the data.
        task: what the model is trained for.
        train, val: what it learns from, and what it is measured on.
        purpose: what the model does, for its card: the rest of a sentence that begins with its architecture.
        labels: names of the classes, if the model folder should have them.
        files: further files of the model folder, by name.
        notes: lines for the user.
    """

    recipe: Recipe
    task: Task
    train: Examples
    val: Examples
    purpose: str
    labels: tuple[str, ...] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def make_job(recipe: Recipe, data: Data | None = None) -> Job:
    """The job that a recipe describes, on `data`, or on what `recipe.data` names.

    Raises:
        ValueError: a setting, or data that do not fit the task; the message names them.
        OSError: a path that cannot be read.
    """
    check_settings(recipe)
    return _JOBS[type(recipe.task)](recipe, data)


def _classify(recipe: Recipe, data: Data | None) -> Job:
    """Files to classes, by any model that reads bytes."""
    splits = open_splits(recipe.data) if data is None else data
    if not isinstance(splits, Splits):
        raise ValueError(f"recipe {recipe.name!r} classifies files: it needs Splits, got {type(splits).__name__}")
    _check_splits(recipe, splits)
    classes = splits.classes
    reading = Reading(recipe.reading, recipe.data.augment, recipe.data.max_bytes)
    model, notes = _for_classes(recipe.model, len(classes))
    recipe = dataclasses.replace(_located(recipe), model=model, reading=reading.config)
    listed = ", ".join(classes[:_LISTED_CLASSES]) + (", ..." if len(classes) > _LISTED_CLASSES else "")
    return Job(
        recipe,
        Classify(classes, recipe.optim.label_smoothing),
        Files(splits.train, reading),
        Files(splits.val, reading),
        purpose=f"reads the bytes of a file and says which of {len(classes)} classes it is: {listed}",
        labels=classes,
        notes=notes,
    )


def _declared(recipe: Recipe, data: Data | None) -> Job:
    """Arrays to arrays, as the model and the losses say."""
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
        _located(recipe),
        task,
        splits.train,
        splits.val,
        purpose=f"reads {_and([part.name for part in config.inputs])} and answers {_and(answers)}",
        labels=task.labels,
        files=_schema_file(config, losses),
    )


_JOBS: dict[type, Callable[[Recipe, Data | None], Job]] = {ClassifyConfig: _classify, DeclaredConfig: _declared}
"""Kind of task -> what makes a job of it."""


def _for_classes(config: ByteFormerConfig | PerceiverConfig, count: int) -> tuple[Any, tuple[str, ...]]:
    """The config with as many classes as the data has, and a note if it asked for others."""
    if isinstance(config, ByteFormerConfig):
        given, standard = config.num_classes, ByteFormerConfig().num_classes
    else:
        outputs = config.outputs
        reads_bytes = len(config.inputs) == 1 and isinstance(config.inputs[0], BytesInputConfig)
        if not reads_bytes or len(outputs) != 1 or not isinstance(outputs[0], ClassOutputConfig | AverageOutputConfig):
            raise ValueError(
                "a Perceiver that classifies files has one input, of bytes, and one output, of classes; this one reads "
                f"{_and([part.kind for part in config.inputs])} and answers {_and([part.kind for part in outputs])}"
            )
        given, standard = outputs[0].num_classes, ClassOutputConfig().num_classes
    differs = given not in (count, standard)
    completed = with_classes(config, count, "the model")
    return completed, (f"model.num_classes follows the data: {count}, not {given}",) if differs else ()


def _schema_file(config: PerceiverConfig, losses: DeclaredConfig) -> dict[str, str]:
    """The schema of a model that has one, for its folder."""
    try:
        return {SCHEMA: Schema.from_config(config, losses).to_yaml()}
    except ValueError:  # the config says more than a schema can
        return {}


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "nothing"


def _located(recipe: Recipe) -> Recipe:
    """The recipe with a path or pattern that holds in any folder; names on a hub, and no path, stay as they are."""
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, path=absolute_origins(recipe.data.path)))


def _check_splits(recipe: Recipe, splits: Splits) -> None:
    """What can be known to be wrong with the files before any is read."""
    if len(splits.classes) < 2:
        raise ValueError(f"{recipe.data.path}: telling classes apart takes two of them, found {list(splits.classes)}")
    missing = set(range(len(splits.classes))) - {entry.label for entry in splits.train.entries}
    if missing:
        raise ValueError(f"class {splits.classes[min(missing)]!r} has no files in the training split")
    for entry in (*splits.train.entries, *splits.val.entries):
        if not 0 <= entry.label < len(splits.classes):
            raise ValueError(f"{entry.name}: training needs to know the class of every file, and this one has none")
        if entry.size == 0 and recipe.data.on_error == "fail":
            raise ValueError(f"{entry.name}: the file is empty (data.on_error skip leaves such files out)")
