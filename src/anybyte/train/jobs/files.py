"""Files to classes."""

from __future__ import annotations

import dataclasses
from typing import Any

from anybyte.config import (
    AverageOutputConfig,
    ByteFormerConfig,
    BytesInputConfig,
    ClassOutputConfig,
    PerceiverConfig,
    Recipe,
)
from anybyte.files.sources import Splits, open_splits
from anybyte.models.zoo import with_classes
from anybyte.reading import Reading
from anybyte.tasks.classify import Classify
from anybyte.train.data import Files
from anybyte.train.jobs.job import Data, Job, listed, located

_LISTED_CLASSES = 20


def classify(recipe: Recipe, data: Data | None) -> Job:
    """Files to classes, by any model that reads bytes."""
    splits = open_splits(recipe.data) if data is None else data
    if not isinstance(splits, Splits):
        raise ValueError(f"recipe {recipe.name!r} classifies files: it needs Splits, got {type(splits).__name__}")
    _check_splits(recipe, splits)
    classes = splits.classes
    reading = Reading(recipe.reading, recipe.data.augment, recipe.data.max_bytes)
    model, notes = _for_classes(recipe.model, len(classes))
    recipe = dataclasses.replace(located(recipe), model=model, reading=reading.config)
    some = ", ".join(classes[:_LISTED_CLASSES]) + (", ..." if len(classes) > _LISTED_CLASSES else "")
    return Job(
        recipe,
        Classify(classes, recipe.optim.label_smoothing),
        Files(splits.train, reading),
        Files(splits.val, reading),
        purpose=f"reads the bytes of a file and says which of {len(classes)} classes it is: {some}",
        labels=classes,
        notes=notes,
    )


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
                f"{listed([part.kind for part in config.inputs])} and answers {listed([part.kind for part in outputs])}"
            )
        given, standard = outputs[0].num_classes, ClassOutputConfig().num_classes
    differs = given not in (count, standard)
    completed = with_classes(config, count, "the model")
    return completed, (f"model.num_classes follows the data: {count}, not {given}",) if differs else ()


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
