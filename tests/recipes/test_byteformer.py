"""The 45 trainings of the paper: each is there, is the paper's size, and trains."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from anybyte.config import ByteFormerConfig, Recipe
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.sources import Entry, Splits
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import class_of, create_model
from anybyte.reading import ByteReading
from anybyte.recipes import get_recipe, list_recipes, recipe_function
from anybyte.recipes.byteformer.published import PUBLISHED
from anybyte.recipes.byteformer.tables import TABLES, table
from anybyte.train.data import Deal, Plan, load_parts
from anybyte.train.jobs import make_job
from anybyte.train.loop import train
from anybyte.train.step import Stepper, create_accelerator

NAMES = [name for table in TABLES for name in table.recipes]
WHOLE = {"byteformer/imagenet_tiff", "byteformer/imagenet_jpeg_q60_k32_w32", "byteformer/speech_commands_wav_uint8_k32"}
"""Recipes that read whole pictures (224 x 224) and sounds (1 s) here too; the others read less, to be quick."""
WRITTEN_DOWN = ("byteformer/imagenet_camera_keep_05", "byteformer/speech_commands_mp3_k8_w32")
"""Recipes that are run from the data to the model folder."""


class MadeSource:
    """A `Source` of a made file of each of two classes: pictures or sounds."""

    classes = ("plain", "noisy")

    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = files
        self.entries = [Entry(f"{number}", number % 2, len(data)) for number, data in enumerate(files)]

    def read(self, index: int) -> bytes:
        return self.files[index]


def made_splits(is_picture: bool) -> Splits:
    rng = np.random.default_rng(0)
    files = []
    for number in range(2):
        if is_picture:
            pixels = rng.integers(0, 256 if number % 2 else 20, (40, 50, 3), dtype=np.uint8)
            files.append(encode_image(pixels, "png:0"))
        else:
            samples = rng.uniform(-1, 1, 4_000).astype(np.float32) * (0.5 if number % 2 else 0.01)
            files.append(encode_audio(samples, 8_000, "wav:s16"))
    source = MadeSource(files)
    return Splits(source.classes, source, source, source)


def shrink(recipe: Recipe, out: Path, whole: bool) -> Recipe:
    """Steps of one file each, by the model as it is."""
    reading, augment = recipe.reading, recipe.data.augment
    if not whole and reading.image_size:
        reading = dataclasses.replace(reading, image_size=64)
        augment = dataclasses.replace(augment, crop_size=64)
    elif not whole:
        reading = dataclasses.replace(reading, seconds=0.1)
    return dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, augment=augment),
        reading=reading,
        run=dataclasses.replace(
            recipe.run, out=str(out), epochs=1, batch_files=1, num_workers=0, threads=1, precision="fp32", resume=False
        ),
    )


def test_there_are_45_rows_under_names_of_their_own() -> None:
    assert [len(table.rows) for table in TABLES] == [4, 3, 8, 5, 4, 6, 4, 11]
    assert len(set(NAMES)) == 45
    assert set(NAMES) <= set(list_recipes("byteformer/*"))
    assert all(get_recipe(name).name == name for name in NAMES)
    assert len({(repr(r.model), repr(r.reading)) for r in map(get_recipe, NAMES)}) == 45, "two rows are the same"


def test_published_numbers_belong_to_recipes() -> None:
    assert set(PUBLISHED) <= set(NAMES)
    for numbers in PUBLISHED.values():
        assert all(value is None or 50 < value < 100 for value in vars(numbers).values())
        assert numbers.top1 is not None


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_the_papers(name: str) -> None:
    recipe = get_recipe(name)
    model = recipe.model
    assert isinstance(model, ByteFormerConfig)
    assert (model.dim, model.num_heads, model.depth, model.positions) == (192, 3, 12, "learned")
    assert model.max_num_tokens == 50_000
    pictures = "imagenet" in name
    assert model.num_classes == (1000 if pictures else 12)
    assert recipe.run.batch_files == (768 if pictures else 384)
    assert recipe.optim.warmup_steps == (7_500 if pictures else 500)
    assert recipe.run.epochs == 300
    for word in name.split("_"):
        if word[0] == "k" and word[1:].isdigit():
            assert model.kernel_size == int(word[1:])
        if word[0] == "w" and word[1:].isdigit():
            assert model.window_sizes == int(word[1:])
    ByteReading(recipe.reading, recipe.data.augment)


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("byteformer/imagenet_fhwc", 150_528),
        ("byteformer/imagenet_fchw", 150_528),
        ("byteformer/imagenet_tiff", 150_668),
        ("byteformer/imagenet_png", 150_864),
        ("byteformer/imagenet_noise_20", 150_528),
        ("byteformer/imagenet_camera_keep_05", 7_526),
        ("byteformer/speech_commands_wav_int16_k16", 32_044),
        ("byteformer/speech_commands_wav_uint8_k4", 16_044),
    ],
)
def test_files_have_the_lengths_of_the_paper(name: str, length: int) -> None:
    recipe = get_recipe(name)
    data = made_splits("imagenet" in name).train.read(1)
    assert len(ByteReading(recipe.reading)(data, name)) == length


EXACT = [name for name in NAMES if re.search(r"(\(|, )[\d,]+ bytes\)", recipe_function(name).__doc__ or "")]


@pytest.mark.parametrize("name", EXACT)
def test_a_row_says_how_long_its_files_are(name: str) -> None:
    about = recipe_function(name).__doc__ or ""
    data = made_splits(is_picture=True).train.read(0)
    assert f"{len(ByteReading(get_recipe(name).reading)(data, name)):,} bytes)" in about


@pytest.mark.parametrize(("kernel_size", "millions"), [(4, 6.17), (8, 6.32), (16, 6.62), (32, 7.21)])
def test_the_paper_sized_models_have_the_papers_number_of_parameters(kernel_size: int, millions: float) -> None:
    configs = [recipe.model for recipe in map(get_recipe, NAMES) if recipe.model.kernel_size == kernel_size]
    for config in configs:
        with torch.device("meta"):  # all of its shapes, and none of its numbers
            model = create_model("byteformer_tiny", **dataclasses.asdict(config))
        table, head = 50_000 * 192, 193 * (1000 - config.num_classes)
        count = sum(parameter.numel() for parameter in model.parameters()) - table + head
        assert count == pytest.approx(millions * 1e6, rel=0.001)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_takes_two_steps(name: str, tmp_path: Path) -> None:
    """The training itself; what it writes down is the same for all rows, see the next test."""
    job = make_job(shrink(get_recipe(name), tmp_path / "run", name in WHOLE), made_splits("imagenet" in name))
    recipe, run = job.recipe, job.recipe.run
    torch.manual_seed(run.seed)
    model = class_of(recipe.model)(recipe.model)
    stepper = Stepper(model, job.task, recipe.optim, create_accelerator(), bf16=False, compile=False)
    before = {key: value.clone() for key, value in stepper.plain.state_dict().items()}
    plan = Plan(job.train.sizes(), run.batch_files, run.batch_bytes, run.seed)
    parts = iter(load_parts(job.train, job.task, Deal(plan, [0], 0, 1, run.accumulation), seed=run.seed))
    for step in range(2):
        result = stepper.step([next(parts) for _ in range(run.accumulation)], step, recipe.optim.learning_rate, 0)
        assert math.isfinite(result.loss)
        assert result.files == 1
    assert not list(parts), "an epoch is one step a file"
    same = [key for key, value in stepper.plain.state_dict().items() if value.equal(before[key])]
    assert not same, "what two steps leave as it was"


@pytest.mark.parametrize("name", WRITTEN_DOWN)
def test_rows_train_from_the_data_to_the_model_folder(name: str, tmp_path: Path) -> None:
    recipe = shrink(get_recipe(name), tmp_path / "run", whole=False)
    result = train(recipe, made_splits("imagenet" in name), log_every=1)
    rows = [row for row in result.history if row["event"] == "train"]
    assert len(rows) == 2
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert read_reading(result.folder) == recipe.reading


def test_unknown_tables_are_named() -> None:
    with pytest.raises(ValueError, match="no table 'jpeg': there are encodings, jpeg_q100"):
        table("jpeg")
