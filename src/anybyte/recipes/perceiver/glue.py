"""GLUE at paper size (Jaegle et al. 2022, section 4.1, tables 1 to 3): the masked language model, fine-tuned.

    anybyte train perceiver/glue/single/rte --data GLUE/ --run.init_from LANGUAGE_MODEL --optim.learning_rate 2e-5

The paper tries every batch of BATCHES with every rate of RATES and takes the best on dev, which is what these recipes
choose their weights by. They stand in the middle of that grid. The paper says of the rate that it warms up over 200
steps; that it then falls by a cosine is our choice. So is label smoothing, which there is none of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

from anybyte.config import DataConfig, GlueConfig, GlueName, OptimConfig, Recipe, RunConfig
from anybyte.files.glue import TASKS
from anybyte.models.perceivers import PERCEIVERS
from anybyte.tasks.glue import glue_model

BATCHES = (16, 32, 64)
RATES = (1e-4, 5e-5, 2e-5, 1e-5)


def single(task: GlueName) -> Recipe:
    """One task alone, with a learned query."""
    return _recipe(f"perceiver/glue/single/{task}", GlueConfig(tasks=(task,), conditioning="single"))


def queries() -> Recipe:
    """The eight tasks in one model, with a learned query each: the best of the paper's three ways."""
    return _recipe("perceiver/glue/queries", GlueConfig())


def shared() -> Recipe:
    """The eight tasks in one model: one token before the sentences, and a head of its own for each task."""
    return _recipe("perceiver/glue/shared", GlueConfig(conditioning="shared"))


def tokens() -> Recipe:
    """The eight tasks in one model, each with a token of its own before the sentences."""
    return _recipe("perceiver/glue/tokens", GlueConfig(conditioning="tokens"))


def _recipe(name: str, task: GlueConfig) -> Recipe:
    return Recipe(
        name=name,
        task=task,
        model=glue_model(PERCEIVERS["perceiver_io_language"], task),
        data=DataConfig(val_fraction=0.0),
        optim=OptimConfig(
            optimizer="lamb",
            learning_rate=5e-5,
            min_learning_rate=0.0,
            warmup_steps=200,
            weight_decay=0.01,
            epsilon=1e-6,
            label_smoothing=0.0,
            ema_decay=None,
        ),
        run=RunConfig(
            out=f"runs/{name.replace('/', '_')}", epochs=10, batch_files=32, precision="bf16", checkpoint_every=1000
        ),
    )


def _single(task: GlueName) -> Callable[[], Recipe]:
    function = partial(single, task)
    function.__doc__ = f"{TASKS[task].title} alone, with a learned query."
    return function


RECIPES: dict[str, Callable[[], Recipe]] = {
    **{f"perceiver/glue/single/{task}": _single(task) for task in get_args(GlueName) if task != "wnli"},
    "perceiver/glue/queries": queries,
    "perceiver/glue/shared": shared,
    "perceiver/glue/tokens": tokens,
}
"""Name -> the function that returns the recipe. WNLI is left out, as in the paper."""
