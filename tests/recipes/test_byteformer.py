"""The 45 trainings of the paper: each is there, is the paper's size, and trains."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import ByteFormerConfig, Recipe
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.sources import Entry, Splits
from anybyte.models.zoo import create_model
from anybyte.reading import Reading
from anybyte.recipes import get_recipe, list_recipes
from anybyte.recipes.byteformer.published import PUBLISHED
from anybyte.recipes.byteformer.tables import TABLES, table
from anybyte.train.loop import train

NAMES = [name for table in TABLES for name in table.recipes]
WHOLE = {"byteformer/imagenet_tiff", "byteformer/imagenet_jpeg_q60_k32_w32", "byteformer/speech_commands_wav_uint8_k32"}
"""Recipes that read whole pictures (224 x 224) and sounds (1 s) here too; the others read less, to be quick."""


class MadeSource:
    """A `Source` of two made files of each of two classes: pictures or sounds."""

    classes = ("plain", "noisy")

    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = files
        self.entries = [Entry(f"{number}", number % 2, len(data)) for number, data in enumerate(files)]

    def read(self, index: int) -> bytes:
        return self.files[index]


def made_splits(is_picture: bool) -> Splits:
    rng = np.random.default_rng(0)
    files = []
    for number in range(4):
        if is_picture:
            pixels = rng.integers(0, 256 if number % 2 else 20, (40, 50, 3), dtype=np.uint8)
            files.append(encode_image(pixels, "png:0"))
        else:
            samples = rng.uniform(-1, 1, 4_000).astype(np.float32) * (0.5 if number % 2 else 0.01)
            files.append(encode_audio(samples, 8_000, "wav:s16"))
    source = MadeSource(files)
    return Splits(source.classes, source, MadeSource(files[:2]), source)


def shrink(recipe: Recipe, out: Path, whole: bool) -> Recipe:
    """Two steps of two files each. The model keeps its size, but for its table of positions, which fits the files."""
    model, reading, augment = recipe.model, recipe.reading, recipe.data.augment
    if not whole and reading.image_size:
        reading = dataclasses.replace(reading, image_size=64)
        augment = dataclasses.replace(augment, crop_size=64)
    elif not whole:
        reading = dataclasses.replace(reading, seconds=0.1)
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(model, max_num_tokens=10_000),
        data=dataclasses.replace(recipe.data, augment=augment),
        reading=reading,
        run=dataclasses.replace(
            recipe.run, out=str(out), epochs=1, batch_files=2, num_workers=0, threads=1, precision="fp32", resume=False
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
    Reading(recipe.reading, recipe.data.augment)


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
    assert len(Reading(recipe.reading)(data, name)) == length


def test_the_paper_sized_model_has_the_papers_number_of_parameters() -> None:
    config = get_recipe("byteformer/imagenet_tiff").model
    model = create_model("byteformer_tiny", **dataclasses.asdict(config))
    table = 50_000 * 192
    assert sum(p.numel() for p in model.parameters()) - table == pytest.approx(7.21e6, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_trains(name: str, tmp_path: Path) -> None:
    recipe = shrink(get_recipe(name), tmp_path / "run", name in WHOLE)
    result = train(recipe, made_splits("imagenet" in name), log_every=1)
    rows = [row for row in result.history if row["event"] == "train"]
    assert len(rows) == 2
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert (result.folder / "model.safetensors").exists()


def test_unknown_tables_are_named() -> None:
    with pytest.raises(ValueError, match="no table 'jpeg': there are encodings, jpeg_q100"):
        table("jpeg")
