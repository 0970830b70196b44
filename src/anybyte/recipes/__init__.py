"""The training recipes: one table from names to functions, each of which returns a whole `Recipe`.

A recipe's docstring says what it trains on. What the small ones reach is in docs/results_small.md and
docs/reproduced.md; what is published for the paper's is in `byteformer/published.py`. Variants use
`dataclasses.replace`.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable

from anybyte.config import Recipe
from anybyte.recipes.byteformer.joint import joint
from anybyte.recipes.byteformer.tables import TABLES
from anybyte.recipes.folder import folder
from anybyte.recipes.perceiver import audio as perceiver_audio
from anybyte.recipes.perceiver import autoencoder as perceiver_autoencoder
from anybyte.recipes.perceiver import flow as perceiver_flow
from anybyte.recipes.perceiver import glue as perceiver_glue
from anybyte.recipes.perceiver import images as perceiver_images
from anybyte.recipes.perceiver import language as perceiver_language
from anybyte.recipes.perceiver import sets as perceiver_sets
from anybyte.recipes.small import (
    audio_visual,
    cifar10,
    entities,
    esc10,
    fashion_mnist,
    fashion_mnist_perceiver,
    fsdd,
    points,
)
from anybyte.recipes.small import autoencoder as small_autoencoder
from anybyte.recipes.small import flow as small_flow
from anybyte.recipes.small import glue as small_glue
from anybyte.recipes.small import images as small_images
from anybyte.recipes.small import joint as small_joint
from anybyte.recipes.small import language as small_language
from anybyte.recipes.small.twins import TWINS

RECIPES: dict[str, Callable[[], Recipe]] = {
    "folder": folder,
    **{name: row for table in TABLES for name, row in table.recipes.items()},
    "byteformer/joint": joint,
    "perceiver/imagenet/fourier": perceiver_images.fourier,
    "perceiver/imagenet/learned": perceiver_images.learned,
    "perceiver/imagenet/conv": perceiver_images.conv,
    "perceiver/imagenet/fourier_tuned": perceiver_images.fourier_tuned,
    "perceiver/imagenet/conv_tuned": perceiver_images.conv_tuned,
    "perceiver/jft/fourier": perceiver_images.jft_fourier,
    "perceiver/jft/conv": perceiver_images.jft_conv,
    "perceiver/original/imagenet": perceiver_images.original,
    **perceiver_autoencoder.RECIPES,
    **perceiver_audio.RECIPES,
    **perceiver_flow.RECIPES,
    **perceiver_glue.RECIPES,
    **perceiver_language.RECIPES,
    **perceiver_sets.RECIPES,
    **{twin.name: twin.function for twin in TWINS},
    "small/joint/both": small_joint.both,
    "small/joint/clothes": small_joint.clothes,
    "small/joint/digits": small_joint.digits,
    "small/audio_visual": audio_visual.clips,
    "small/cifar10_tiff": cifar10.tiff,
    "small/entities": entities.entities,
    "small/points": points.points,
    "small/esc10_mel": esc10.mel,
    "small/esc10_raw": esc10.raw,
    "small/fashion_mnist_perceiver": fashion_mnist_perceiver.png,
    "small/fashion_mnist_png": fashion_mnist.png,
    "small/fsdd_wav": fsdd.wav,
    **small_autoencoder.RECIPES,
    **small_flow.RECIPES,
    **small_glue.RECIPES,
    "small/images/fourier": small_images.fourier,
    "small/images/learned": small_images.learned,
    "small/images/conv": small_images.conv,
    "small/images/bytes": small_images.file_bytes,
    "small/images/byteformer": small_images.byteformer,
    "small/language_bytes": small_language.bytes_,
    "small/language_pieces": small_language.pieces,
}
"""Name -> the function that returns the recipe."""


def list_recipes(pattern: str = "*") -> list[str]:
    """The names of the recipes that match a pattern with `*` and `?`, sorted."""
    return sorted(fnmatch.filter(RECIPES, pattern))


def get_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none; the message lists similar names.
    """
    return recipe_function(name)()


def recipe_function(name: str) -> Callable[[], Recipe]:
    """The function that returns the recipe of this name; its docstring says what the recipe trains on.

    Raises:
        ValueError: there is none; the message lists similar names.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4)
        near += [other for other in list_recipes(f"*{name}*") if other not in near]
        hint = f"did you mean {' or '.join(near)}?" if near else f"the recipes are {', '.join(list_recipes())}"
        raise ValueError(f"no recipe {name!r}: {hint}")
    return RECIPES[name]
