"""What a run needs to know of its purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anybyte.config import Recipe
from anybyte.files.joined import absolute_origins
from anybyte.files.sources import Splits
from anybyte.tasks import Examples, ExampleSplits, Task

Data = Splits | ExampleSplits
"""What a run may be given to learn from: files, or examples of any other kind."""


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
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def located(recipe: Recipe) -> Recipe:
    """The recipe with a path or pattern that holds in any folder; names on a hub, and no path, stay as they are."""
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, path=absolute_origins(recipe.data.path)))


def listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "nothing"
