"""Files to classes."""

from __future__ import annotations

import dataclasses
from typing import Any

from anybyte.config import ByteFormerConfig, ClassOutputConfig, PerceiverConfig, Recipe
from anybyte.files.sources import Splits, open_splits
from anybyte.models.zoo import with_classes
from anybyte.reading import Reading, describe, make_reading
from anybyte.reading.fit import check_fit
from anybyte.tasks.classify import Classify
from anybyte.tasks.several import ClassifySeveral, classes_of
from anybyte.train.data import Files
from anybyte.train.jobs.job import Data, Job, located

_LISTED_CLASSES = 20


def classify(recipe: Recipe, data: Data | None) -> Job:
    """Files to classes, by any model that reads what the recipe's reading gives."""
    several = _has_several(recipe.model)
    splits = open_splits(recipe.data, several) if data is None else data
    if not isinstance(splits, Splits):
        raise ValueError(f"recipe {recipe.name!r} classifies files: it needs Splits, got {type(splits).__name__}")
    _check_splits(recipe, splits, several)
    classes = classes_of(splits.classes, recipe.data.separator) if several else splits.classes
    reading = make_reading(recipe.reading, recipe.data.augment, recipe.data.max_bytes)
    model, notes = _for_classes(recipe.model, len(classes), reading)
    recipe = dataclasses.replace(located(recipe), model=model, reading=reading.config)
    verb = "are in it" if several else "it is"
    some = ", ".join(classes[:_LISTED_CLASSES]) + (", ..." if len(classes) > _LISTED_CLASSES else "")
    return Job(
        recipe,
        _task(recipe, splits.classes, classes, several),
        Files(splits.train, reading),
        Files(splits.val, reading),
        purpose=f"reads {_subject(reading)} and says which of {len(classes)} classes {verb}: {some}",
        labels=classes,
        notes=notes,
    )


def _has_several(config: ByteFormerConfig | PerceiverConfig) -> bool:
    """Whether a file may be of several classes at once."""
    return isinstance(config, PerceiverConfig) and any(getattr(part, "several", False) for part in config.outputs)


def _task(recipe: Recipe, labels: tuple[str, ...], classes: tuple[str, ...], several: bool) -> Classify:
    """What the model is trained for; the `labels` are those of the data."""
    smoothing = recipe.optim.label_smoothing
    if not several:
        return Classify(classes, smoothing)
    if smoothing:
        raise ValueError(f"optim.label_smoothing is {smoothing}; with several classes at once it must be 0")
    return ClassifySeveral(labels, classes, recipe.data.separator)


def _subject(reading: Reading) -> str:
    """What a model reads, in the middle of a sentence."""
    return "the bytes of a file" if reading.config.kind == "bytes" else describe(reading.config)


def _for_classes(
    config: ByteFormerConfig | PerceiverConfig, count: int, reading: Reading
) -> tuple[Any, tuple[str, ...]]:
    """The config with as many classes as the data has, and a note if it asked for others.

    Raises:
        ValueError: the model does not classify, or does not read what the reading gives.
    """
    check_fit(config, reading)
    if isinstance(config, ByteFormerConfig):
        given, standard = config.num_classes, ByteFormerConfig().num_classes
    else:
        given, standard = getattr(config.outputs[0], "num_classes", count), ClassOutputConfig().num_classes
    differs = given not in (count, standard)
    completed = with_classes(config, count, "the model")
    return completed, (f"model.num_classes follows the data: {count}, not {given}",) if differs else ()


def _check_splits(recipe: Recipe, splits: Splits, several: bool) -> None:
    """What can be known to be wrong with the files before any is read."""
    if len(splits.classes) < 2:
        raise ValueError(f"{recipe.data.path}: telling classes apart takes two of them, found {list(splits.classes)}")
    missing = set(range(len(splits.classes))) - {entry.label for entry in splits.train.entries}
    if missing and not several:
        raise ValueError(f"class {splits.classes[min(missing)]!r} has no files in the training split")
    for entry in (*splits.train.entries, *splits.val.entries):
        if not 0 <= entry.label < len(splits.classes):
            raise ValueError(f"{entry.name}: training needs to know the class of every file, and this one has none")
        if entry.size == 0 and recipe.data.on_error == "fail":
            raise ValueError(f"{entry.name}: the file is empty (data.on_error skip leaves such files out)")
