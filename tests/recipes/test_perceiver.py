"""The recipes at paper size: each is there, is the size that it should be, and takes two steps on made data.

Here the steps are taken by one layer of each model, at the paper's widths. Whole models take theirs in
`python -m benchmarks.perceiver_training_memory`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from anybyte.config import FlowConfig, FlowInputConfig, PerceiverConfig, PointsConfig, Recipe
from anybyte.models.zoo import create_model
from anybyte.recipes import get_recipe, list_recipes
from anybyte.train.settings import check_settings, read_recipe, recipe_json
from benchmarks.perceiver_made import with_made_data
from benchmarks.perceiver_training_memory import num_parameters, one_a_step, take_steps

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
NAMES = list_recipes("perceiver/*")
HEAD = 768 * 769
"""The hidden layer of a task of GLUE; 769 for each of its answers come on top."""
SINGLE = 201_108_230 - 2048 * 768 - 262 + 768 + HEAD + 2 * 769
"""A task of GLUE with two answers: the language model with one query, and its own two layers in place of the bias."""
SIZES: dict[str, str | int] = {
    "perceiver/audioset/mel": 24_024_688,  # without video: no positions, padding and masks of it
    "perceiver/audioset/original": "perceiver_audioset",
    "perceiver/audioset/raw": 24_164_278,
    "perceiver/audioset/video_mel": "perceiver_io_audioset_mel",
    "perceiver/audioset/video_raw": "perceiver_io_audioset",
    "perceiver/autoencoder/kinetics": "perceiver_io_multimodal",
    "perceiver/autoencoder/kinetics_labels": "perceiver_io_multimodal",
    "perceiver/autoencoder/unlabelled": 15_732_903,  # without classes: tokens are 317 channels narrower
    "perceiver/flow/autoflow": "perceiver_io_flow",
    "perceiver/flow/stored": "perceiver_io_flow",
    "perceiver/glue/queries": "perceiver_io_glue",
    "perceiver/glue/shared": 205_845_270,
    "perceiver/glue/tokens": 205_845_270 + 8 * 769,
    **{f"perceiver/glue/single/{task}": SINGLE for task in ("cola", "mrpc", "qnli", "qqp", "rte", "sst2")},
    "perceiver/glue/single/mnli": SINGLE + 769,
    "perceiver/glue/single/stsb": SINGLE - 769,
    "perceiver/imagenet/conv": "perceiver_io_conv",
    "perceiver/imagenet/conv_tuned": 212_375_930,
    "perceiver/imagenet/fourier": "perceiver_io_pixels",
    "perceiver/imagenet/fourier_tuned": 212_170_035,
    "perceiver/imagenet/learned": "perceiver_io_learned",
    "perceiver/jft/conv": 212_375_930,
    "perceiver/jft/fourier": 212_170_035,
    "perceiver/language/bytes": "perceiver_io_language",
    "perceiver/language/sentencepiece": 223_155_456 + 6 * 769,  # six special tokens more than the paper's 32,000
    "perceiver/modelnet40": "perceiver_modelnet40",
    "perceiver/original/imagenet": "perceiver_pixels",
    "perceiver/starcraft": "perceiver_io_starcraft",
}
"""Recipe -> the model of the zoo that has as many parameters, or their number."""

FAST = (
    "perceiver/audioset/raw",
    "perceiver/flow/autoflow",
    "perceiver/glue/queries",
    "perceiver/glue/tokens",
    "perceiver/imagenet/conv",
    "perceiver/language/bytes",
    "perceiver/language/sentencepiece",
    "perceiver/modelnet40",
    "perceiver/starcraft",
)
"""One of each kind of task, input and output, as far as few numbers are read."""


def shallow(recipe: Recipe) -> Recipe:
    """The recipe with one layer and few latents, and with as small an input as its model takes."""
    model, task, reading = recipe.model, recipe.task, recipe.reading
    assert isinstance(model, PerceiverConfig)
    model = dataclasses.replace(
        model,
        num_latents=8,
        num_blocks=1,
        num_layers=1,
        num_cross_attends=1,
        distinct_cross_attends=1,
        distinct_blocks=1,
    )
    if isinstance(task, FlowConfig):
        task = dataclasses.replace(task, made=dataclasses.replace(task.made, size=(24, 32), pairs=4, val_pairs=1))
        assert isinstance(model.inputs[0], FlowInputConfig)
    if isinstance(reading, PointsConfig):
        reading = dataclasses.replace(reading, num_points=64)
    run = dataclasses.replace(recipe.run, threads=1)
    return one_a_step(dataclasses.replace(recipe, model=model, task=task, reading=reading, run=run))


def test_every_recipe_is_known() -> None:
    assert sorted(SIZES) == NAMES, "each recipe at paper size states its parameters here"
    assert all(get_recipe(name).name == name for name in NAMES)
    assert len({repr(dataclasses.replace(get_recipe(name), name="", run=Recipe().run)) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_builds_at_its_size(name: str, tmp_path: Path) -> None:
    recipe, expected = get_recipe(name), SIZES[name]
    check_settings(recipe)
    (tmp_path / "recipe.json").write_text(recipe_json(recipe))
    assert read_recipe(tmp_path / "recipe.json") == recipe
    if isinstance(expected, str):
        with torch.device("meta"):
            expected = sum(parameter.numel() for parameter in create_model(expected).parameters())
    assert num_parameters(recipe) == expected


@pytest.mark.parametrize("name", FAST)
def test_it_takes_two_steps(name: str, tmp_path: Path) -> None:
    found = take_steps(shallow(with_made_data(get_recipe(name), tmp_path)))
    assert len(found["losses"]) == 2
    assert all(math.isfinite(loss) for loss in found["losses"])
    assert found["tensors_changed"] > 0.5


def test_whole_models_have_taken_two_steps() -> None:
    """What the benchmark has measured: models of the size that their recipes have now, or the reason why none fits."""
    files = sorted(RESULTS.glob("perceiver_training_memory-*.json"))
    assert files, "python -m benchmarks.perceiver_training_memory"
    results = {name: found for file in files for name, found in json.loads(file.read_text())["results"].items()}
    assert set(results) <= set(NAMES)
    for name, found in results.items():
        if "skipped" in found:
            assert found["skipped"].endswith("of memory")
            continue
        assert len(found["losses"]) == 2
        assert all(math.isfinite(loss) for loss in found["losses"])
        # Classes follow the data, which has two; where they are read as well, all tokens are narrower for it.
        assert 0.75 < found["parameters"] / num_parameters(get_recipe(name)) <= 1
