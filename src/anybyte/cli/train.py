"""`anybyte train RECIPE`: from data to a model folder."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import tyro

from anybyte.config import ClassifyConfig, DeclaredConfig, FlowConfig, GlueConfig, MaskedConfig, Recipe
from anybyte.recipes import get_recipe, list_recipes

SHORTHANDS = {"--data": "--data.path", "--out": "--run.out"}
"""Short options, and the fields they set."""

_LEARNS_FROM = {
    ClassifyConfig: "files",
    DeclaredConfig: "arrays",
    MaskedConfig: "text",
    GlueConfig: "a folder of GLUE",
    FlowConfig: "pictures",
}

USAGE = """\
usage: anybyte train RECIPE [--data DIR] [--out DIR] [--field.path VALUE ...]

Train a model from a recipe, or from a schema (.yaml, .toml) and a folder of arrays: train.npz and val.npz.
--data is short for --data.path, --out for --run.out; every other field of the recipe can be set the same way.
`anybyte train RECIPE --help` lists them all with the recipe's values.

examples:
  anybyte train folder --data my_files/ --out runs/mine
  anybyte train folder --data my_files.zip --optim.learning_rate 5e-4 --run.epochs 60
  anybyte train folder --data scans/ --reading.format tiff --data.augment.flip --run.max_minutes 30
  anybyte train small/fashion_mnist_perceiver --data fashion_mnist_png.zip --model.num_latents 48
  anybyte train my_problem.yaml --data arrays/ --run.epochs 20
  torchrun --nproc-per-node 2 -m anybyte train folder --data my_files/

A run that was interrupted goes on where it was when the same command is given again."""


def main(args: list[str]) -> int:
    """Trains; prints the validation accuracy, where the model is, and the command that comes next."""
    if not args or args[0] in ("-h", "--help"):
        print(f"{USAGE}\n\nrecipes: {', '.join(list_recipes())}")
        return 0 if args else 2
    if args[0].startswith("-"):
        raise ValueError(f"expected the name of a recipe before {args[0]}; the recipes are {', '.join(list_recipes())}")
    recipe = parse_recipe(args[0], args[1:])
    if not recipe.data.path:
        what = _LEARNS_FROM.get(type(recipe.task), "data")
        raise ValueError(f"recipe {args[0]} needs {what} to train on: anybyte train {args[0]} --data DIR")

    # Slow to import: only once the command line is known to be right.
    import torch

    from anybyte.train.loop import train

    try:
        result = train(recipe)
    except KeyboardInterrupt:
        print("\nanybyte: interrupted: the same command goes on from the newest checkpoint", file=sys.stderr)
        raise
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.best.items() if name not in ("step", "epoch"))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if os.environ.get("RANK", "0") == "0":  # under torchrun, one process speaks for all
        print(f"validation: {metrics or 'nothing to validate on'}")
        print(f"model:      {result.folder}")
        if not isinstance(recipe.task, DeclaredConfig):  # whose folder need not have a part to measure on
            print(f"next:       anybyte evaluate {shlex.quote(recipe.run.out)}{_measured_on(recipe)}")
    return 0


def _measured_on(recipe: Recipe) -> str:
    """What else `anybyte evaluate` has to be told, where a run's own data need not hold anything to test on."""
    if isinstance(recipe.task, FlowConfig) and recipe.task.pairs == "made":
        return " --data PAIRS   (frames with their flow: evaluate --help)"
    return " --data TEXT   (that it has not learnt from)" if isinstance(recipe.task, MaskedConfig) else ""


def parse_recipe(name: str, options: list[str]) -> Recipe:
    """The recipe `name`, or that of a schema file, with the fields that the options set.

    Raises:
        ValueError: no such recipe, or a mistake in the schema.
        SystemExit: an unknown field or a value of the wrong type (code 2), after a message on stderr; or --help (0).
    """
    recipe = _recipe(name)
    expanded = []
    for option in options:
        key, equals, value = option.partition("=")
        expanded.append(f"{SHORTHANDS.get(key, key)}{equals}{value}")
    description = f"Recipe {name}. Short forms: --data for --data.path, --out for --run.out."
    return tyro.cli(
        Recipe,
        default=recipe,
        args=expanded,
        prog=f"anybyte train {name}",
        description=description,
        use_underscores=True,
        # The kinds of model, task and positions are the recipe's; their fields are options.
        config=(tyro.conf.AvoidSubcommands,),
    )


def _recipe(name: str) -> Recipe:
    if not Path(name).suffix:  # no recipe's name has one
        return get_recipe(name)
    from anybyte.models.schema_files import is_schema_file
    from anybyte.recipes.declared import declared

    return declared(name) if is_schema_file(name) else get_recipe(name)
