"""GLUE with a small model of bytes: one task, or several in one model told by queries, one token, or tokens.

    anybyte train small/glue/tokens --data glue/ --run.init_from runs/language_bytes

starts from a masked language model (`small/language_bytes`), whose size the model then has, for shorter texts. A tenth
of each train part is held out to choose by; `anybyte evaluate` measures on dev. A run takes minutes of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from anybyte.config import (
    DataConfig,
    GlueConfig,
    GlueName,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
)
from anybyte.files.glue import TASKS
from anybyte.recipes.small.language import bytes_
from anybyte.tasks.glue import glue_model

SIX: tuple[GlueName, ...] = ("cola", "sst2", "mrpc", "stsb", "qnli", "rte")
"""The tasks of the joint recipes: those whose dev or test part can be had whole without much trouble."""
_LENGTH = 256
"""Bytes of an example of one task: half of the pairs are shorter than this. Twice as many take twice the time."""
_SHORT: dict[str, int] = {"cola": 96, "sst2": 96, "stsb": 128, "qnli": 192}
"""The same for tasks of shorter sentences, or of many."""
_JOINT_LENGTH = 192
_EXAMPLES = 16_000
"""Of a task in an epoch. SST-2 has 67,349, most of them phrases out of the same sentences."""
_JOINT_EXAMPLES = 24_000
_VALIDATED = 500
_EPOCHS: dict[str, int] = {"mrpc": 3, "sst2": 2, "stsb": 2}
"""Of a task alone, if not 1."""


def single(task: GlueName) -> Recipe:
    """One task alone, with a learned query."""
    length = _SHORT.get(task, _LENGTH)
    config = GlueConfig(
        tasks=(task,),
        conditioning="single",
        max_length=length,
        max_examples=_EXAMPLES,
        max_val=_VALIDATED,
        swap=True,
    )
    return _recipe(f"small/glue/single/{task}", config, _EPOCHS.get(task, 1))


def queries() -> Recipe:
    """Six tasks in one model, with a learned query each."""
    return _joint("queries")


def shared() -> Recipe:
    """Six tasks in one model: one token before the sentences, and a head of its own for each task."""
    return _joint("shared")


def tokens() -> Recipe:
    """Six tasks in one model, each with a token of its own before the sentences."""
    return _joint("tokens")


def _joint(conditioning: Literal["queries", "shared", "tokens"]) -> Recipe:
    config = GlueConfig(
        tasks=SIX,
        conditioning=conditioning,
        max_length=_JOINT_LENGTH,
        max_examples=_JOINT_EXAMPLES,
        max_val=_VALIDATED,
        swap=True,
    )
    return _recipe(f"small/glue/{conditioning}", config, 1)


def _body() -> PerceiverConfig:
    body = bytes_().model
    assert isinstance(body, PerceiverConfig)
    return body


def _recipe(name: str, task: GlueConfig, epochs: int) -> Recipe:
    return Recipe(
        name=name,
        task=task,
        model=glue_model(_body(), task),
        data=DataConfig(val_fraction=0.1),
        optim=OptimConfig(
            learning_rate=1e-3,
            min_learning_rate=1e-5,
            warmup_steps=100,
            weight_decay=0.01,
            label_smoothing=0.0,
            ema_decay=0.998,
        ),
        run=RunConfig(
            out=f"runs/{name.removeprefix('small/').replace('/', '_')}",
            epochs=epochs,
            batch_files=32,
            precision="bf16",
            checkpoint_every=1000,
        ),
    )


def _single(task: GlueName) -> Callable[[], Recipe]:
    function = partial(single, task)
    function.__doc__ = f"{TASKS[task].title} alone, with a learned query."
    return function


RECIPES: dict[str, Callable[[], Recipe]] = {
    **{f"small/glue/single/{task}": _single(task) for task in get_args(GlueName)},
    "small/glue/queries": queries,
    "small/glue/shared": shared,
    "small/glue/tokens": tokens,
}
"""Name -> the function that returns the recipe."""
