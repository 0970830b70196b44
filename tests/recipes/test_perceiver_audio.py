"""The trainings on AudioSet are those of the papers; the small ones fit together."""

from __future__ import annotations

import math

import pytest

from anybyte.config import (
    AudioInputConfig,
    AverageOutputConfig,
    ClipConfig,
    MelInputConfig,
    PerceiverConfig,
    Recipe,
    SoundConfig,
    VideoInputConfig,
)
from anybyte.models.schema import Schema
from anybyte.reading import make_reading
from anybyte.reading.fit import check_fit
from anybyte.recipes import get_recipe, list_recipes, recipe_function

NAMES = list_recipes("perceiver/audioset/*")
SMALL = ["small/audio_visual", "small/esc10_mel", "small/esc10_raw"]


def model_of(recipe: Recipe) -> PerceiverConfig:
    assert isinstance(recipe.model, PerceiverConfig)
    return recipe.model


def test_all_are_there() -> None:
    assert [f"perceiver/audioset/{row}" for row in ("mel", "original", "raw", "video_mel", "video_raw")] == NAMES
    assert set(SMALL) <= set(list_recipes())


@pytest.mark.parametrize("name", [*NAMES, *SMALL])
def test_a_recipe_is_called_what_it_is_and_its_parts_fit(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe_function(name).__doc__
    check_fit(recipe.model, make_reading(recipe.reading, recipe.data.augment))


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_the_papers(name: str) -> None:
    recipe = get_recipe(name)
    config, reading = model_of(recipe), recipe.reading
    assert (config.num_latents, config.latent_dim) == (512, 512)
    assert recipe.run.epochs == 100
    assert isinstance(reading, SoundConfig | ClipConfig)
    assert reading.views == 16
    places = {part.kind: part for part in config.inputs}
    for part in config.inputs:
        if isinstance(part, AudioInputConfig):
            assert part.num_samples // part.patch == 480
        if isinstance(part, MelInputConfig):
            assert math.prod(part.shape) == 4_800
        if isinstance(part, VideoInputConfig):
            assert math.prod(part.shape) // math.prod(part.patch) == 12_544
            assert part.drop_probability == 0.3
    assert ("video" in places) == ("video" in name or "original" in name)
    assert all(getattr(part, "several", False) for part in config.outputs)
    layers = config.num_blocks * config.num_layers
    if name.endswith("original"):
        assert (config.num_blocks, config.num_cross_attends, config.num_layers) == (2, 2, 8)
        assert isinstance(config.outputs[0], AverageOutputConfig)
    else:
        assert layers == 12


@pytest.mark.parametrize(
    ("name", "kinds"), [("audio_visual", {"mel", "video"}), ("esc10_mel", {"mel"}), ("esc10_raw", {"audio"})]
)
def test_small_models_read_what_their_name_says(name: str, kinds: set[str]) -> None:
    assert {part.kind for part in model_of(get_recipe(f"small/{name}")).inputs} == kinds


def test_what_a_schema_cannot_say_is_not_lost() -> None:
    """A folder of a model of several classes has no schema that would forget about them."""
    config = model_of(get_recipe("perceiver/audioset/video_raw"))
    with pytest.raises(ValueError, match="schema"):
        Schema.from_config(config)
