"""What the settings of a run must be, checked before anything is read; and `recipe.json`, which keeps them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anybyte.config import Recipe
from anybyte.models.pretrained import parse_config
from anybyte.models.zoo import class_of, config_class_of

RECIPE = "recipe.json"
"""Name of the file in a run's folder."""

_RULES: tuple[tuple[str, str, str, Callable[[Any], bool]], ...] = (
    (
        "run",
        "epochs max_steps batch_files batch_bytes accumulation threads checkpoint_every evaluate_every patience",
        "at least 1",
        lambda value: value >= 1,
    ),
    ("run", "seed num_workers", "at least 0", lambda value: value >= 0),
    ("run", "max_minutes", "positive, or None for no limit", lambda value: value > 0),
    ("optim", "learning_rate", "positive and finite", lambda value: 0 < value < math.inf),
    (
        "optim",
        "min_learning_rate stem_scale warmup_steps weight_decay",
        "at least 0 and finite",
        lambda value: 0 <= value < math.inf,
    ),
    ("optim", "epsilon", "positive and finite", lambda value: 0 < value < math.inf),
    ("optim", "flat", "at least 0 and below 1", lambda value: 0 <= value < 1),
    (
        "optim",
        "drops",
        "shares of the run between 0 and 1, each larger than the one before",
        lambda value: list(value) == sorted(set(value)) and all(0 < share < 1 for share in value),
    ),
    ("optim", "betas", "at least 0 and below 1", lambda value: all(0 <= beta < 1 for beta in value)),
    ("optim", "clip_norm", "positive, or None for no clipping", lambda value: value > 0),
    ("optim", "label_smoothing ema_decay", "at least 0 and below 1", lambda value: 0 <= value < 1),
)
"""(part of the recipe, fields, what they must be, whether a value is that); None, where allowed, always is."""


def check_settings(recipe: Recipe) -> None:
    """Raises ValueError for the first setting of the optimiser or the run that makes no sense."""
    for part, names, what, holds in _RULES:
        for name in names.split():
            value = getattr(getattr(recipe, part), name)
            if value is not None and not holds(value):
                raise ValueError(f"{part}.{name} must be {what}, got {value}")


def recipe_json(recipe: Recipe) -> str:
    """The recipe as `read_recipe` reads it. The model names its architecture, as in a model folder."""
    settings = dataclasses.asdict(recipe)
    settings["model"] = {"architecture": class_of(recipe.model).__name__, **settings["model"]}
    return json.dumps(settings, indent=2) + "\n"


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a `recipe.json`.

    Raises:
        ValueError: it is not JSON, or has fields that no recipe has; the message names the file.
        OSError: it cannot be read.
    """
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("model", {}), dict):
        raise ValueError(f"{path} is not a recipe")
    model = settings.pop("model", {})
    config_class = config_class_of(model.pop("architecture", "ByteFormer"), where=str(path))
    recipe: Recipe = parse_config(Recipe, settings, where=str(path))
    return dataclasses.replace(recipe, model=parse_config(config_class, model, where=f"{path}: model"))
