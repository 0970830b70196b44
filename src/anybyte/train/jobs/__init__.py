"""From a recipe to a job: the task, the examples, and what of the recipe follows from the data.

One function a kind of task (`_JOBS`), in a file of its own. What a new kind needs beside a `Task` and its `Examples` is
said there; the loop stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from anybyte.config import ClassifyConfig, DeclaredConfig, FlowConfig, GlueConfig, MaskedConfig, Recipe
from anybyte.train.jobs.declared import declared
from anybyte.train.jobs.files import classify
from anybyte.train.jobs.flow import flow
from anybyte.train.jobs.glue import glue
from anybyte.train.jobs.job import Data, Job
from anybyte.train.jobs.language import masked
from anybyte.train.settings import check_settings

__all__ = ["Data", "Job", "make_job"]


def make_job(recipe: Recipe, data: Data | None = None) -> Job:
    """The job that a recipe describes, on `data`, or on what `recipe.data` names.

    Raises:
        ValueError: a setting, or data that do not fit the task; the message names them.
        OSError: a path that cannot be read.
    """
    check_settings(recipe)
    return _JOBS[type(recipe.task)](recipe, data)


_JOBS: dict[type, Callable[[Recipe, Data | None], Job]] = {
    ClassifyConfig: classify,
    DeclaredConfig: declared,
    FlowConfig: flow,
    GlueConfig: glue,
    MaskedConfig: masked,
}
"""Kind of task -> what makes a job of it."""
