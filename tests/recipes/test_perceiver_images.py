"""The Perceivers' trainings on ImageNet and JFT are those of the papers; the small ones are alike where they should be.

That they train is shown with those of the other tasks in test_perceiver.py.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from anybyte.config import ImageInputConfig, PerceiverConfig, PixelsConfig, Recipe
from anybyte.models.zoo import class_of, model_config
from anybyte.reading import make_reading
from anybyte.reading.fit import check_fit
from anybyte.recipes import get_recipe, list_recipes, recipe_function
from anybyte.train.optim import learning_rate

PICTURES = 1_281_167
NAMES = [name for name in list_recipes("perceiver/*") if name.split("/")[1] in ("imagenet", "jft", "original")]
SMALL = list_recipes("small/images/*")


def parameters(recipe: Recipe) -> int:
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in class_of(recipe.model)(recipe.model).parameters())


def test_all_are_there() -> None:
    assert [
        *(f"perceiver/imagenet/{row}" for row in ("conv", "conv_tuned", "fourier", "fourier_tuned", "learned")),
        *(f"perceiver/jft/{row}" for row in ("conv", "fourier")),
        "perceiver/original/imagenet",
    ] == NAMES
    assert [f"small/images/{row}" for row in ("byteformer", "bytes", "conv", "fourier", "learned")] == SMALL


@pytest.mark.parametrize("name", [*NAMES, *SMALL])
def test_a_recipe_is_called_what_it_is_and_its_parts_fit(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe_function(name).__doc__
    check_fit(recipe.model, make_reading(recipe.reading, recipe.data.augment))


@pytest.mark.parametrize(
    ("row", "model", "count"),
    [
        ("imagenet/fourier", "perceiver_io_pixels", 48_440_627),
        ("imagenet/learned", "perceiver_io_learned", 62_255_848),
        ("imagenet/conv", "perceiver_io_conv", 48_646_522),
        ("original/imagenet", "perceiver_pixels", None),
    ],
)
def test_models_are_the_published_ones(row: str, model: str, count: int | None) -> None:
    recipe = get_recipe(f"perceiver/{row}")
    assert recipe.model == model_config(model)
    assert count is None or parameters(recipe) == count


def test_jft_models_have_sixteen_layers_of_their_own_and_wide_ones() -> None:
    for row in ("fourier", "conv"):
        model = get_recipe(f"perceiver/jft/{row}").model
        assert isinstance(model, PerceiverConfig)
        assert (model.num_blocks, model.num_layers) == (1, 16)
        assert [part.widening for part in (model.encode, model.process, model.decode)] == [1, 4, 1]
        assert get_recipe(f"perceiver/imagenet/{row}_tuned").model == model, "it goes on from that one's weights"


@pytest.mark.parametrize("row", ["fourier", "learned", "conv"])
def test_imagenet_is_trained_as_in_the_paper(row: str) -> None:
    recipe = get_recipe(f"perceiver/imagenet/{row}")
    optim, augment, run = recipe.optim, recipe.data.augment, recipe.run
    assert recipe.reading == PixelsConfig(image_size=224, fit="crop")
    assert (optim.optimizer, optim.betas, optim.epsilon, optim.weight_decay) == ("lamb", (0.9, 0.999), 1e-6, 0.1)
    assert (optim.clip_norm, optim.decay_tables, optim.label_smoothing, optim.ema_decay) == (10, True, 0.1, None)
    assert (run.epochs, run.batch_files) == (110, 1024)
    assert (augment.crop_size, augment.crop_area, augment.crop_aspect) == (224, (0.08, 1.0), (3 / 4, 4 / 3))
    assert (augment.rand_augment, augment.rand_augment_magnitude / 30) == (4, 5 / 10)
    assert (augment.mixup, augment.mixup_alpha, augment.cutmix, augment.cutmix_alpha) == (0.5, 0.2, 0.5, 1.0)
    total = 110 * PICTURES // 1024
    rates = [learning_rate(step, total, optim) for step in (0, total // 2 - 1, 3 * total // 4, total - 1)]
    assert rates == pytest.approx([2e-3, 2e-3, 1e-3, 0], abs=2e-7)


def test_a_step_holds_all_its_pictures() -> None:
    for name in NAMES:
        recipe = get_recipe(name)
        blank = make_reading(recipe.reading).blank()
        assert isinstance(blank, np.ndarray)
        assert recipe.run.batch_files * blank.nbytes <= recipe.run.batch_bytes


def test_the_originals_learning_rate_falls_after_epochs_84_102_and_114() -> None:
    recipe = get_recipe("perceiver/original/imagenet")
    rates = [learning_rate(epoch * 1000, 120_000, recipe.optim) for epoch in (0, 83, 84, 101, 102, 113, 114, 119)]
    assert rates == pytest.approx([4e-3, 4e-3, 4e-4, 4e-4, 4e-5, 4e-5, 4e-6, 4e-6])
    assert recipe.run.epochs == 120


def test_pre_training_and_fine_tuning_follow_the_paper() -> None:
    jft = get_recipe("perceiver/jft/fourier")
    assert (jft.run.epochs, jft.run.batch_files, jft.optim.learning_rate) == (14, 8192, 3e-4)
    assert jft.optim.schedule == "cosine"
    for row, rate in (("fourier_tuned", 2e-3), ("conv_tuned", 2e-4)):
        recipe = get_recipe(f"perceiver/imagenet/{row}")
        assert recipe.run.max_steps == 131_000
        assert [learning_rate(step, 131_000, recipe.optim) for step in (0, 69_999)] == [rate, rate]
        assert learning_rate(70_001, 131_000, recipe.optim) < rate


def test_the_small_ones_differ_in_their_input_alone() -> None:
    recipes = [get_recipe(name) for name in SMALL]
    assert len({(recipe.data, recipe.run.batch_files, recipe.run.precision) for recipe in recipes}) == 1
    perceivers = [recipe for recipe in recipes if isinstance(recipe.model, PerceiverConfig)]
    assert len(perceivers) == 4
    part = ImageInputConfig(positions=None)
    assert len({dataclasses.replace(recipe.model, inputs=(part,)) for recipe in perceivers}) == 1
