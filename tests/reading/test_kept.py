"""What a model's folder says of its reading: each kind comes back as it was, and so do folders from before kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybyte.config import (
    AnyReadingConfig,
    ClipConfig,
    PixelsConfig,
    PointsConfig,
    PrivacyConfig,
    ReadingConfig,
    Recipe,
    SoundConfig,
)
from anybyte.models.pretrained import READING, read_byte_reading, read_reading
from anybyte.reading import as_json, describe, make_reading
from anybyte.train.settings import read_recipe, recipe_json

KINDS: list[AnyReadingConfig] = [
    ReadingConfig(format="tiff", image_size=8, privacy=PrivacyConfig(noise=3)),
    PixelsConfig(image_size=96, fit="resize", mean=(0.1, 0.2, 0.3)),
    SoundConfig(),
    ClipConfig(),
    PointsConfig(),
]
WAYS = pytest.mark.parametrize("config", KINDS, ids=lambda config: config.kind)


@WAYS
def test_a_folder_keeps_it(config: AnyReadingConfig, tmp_path: Path) -> None:
    fields = as_json(config)
    assert fields["kind"] == config.kind
    (tmp_path / READING).write_text(json.dumps(fields))
    assert read_reading(tmp_path) == config == make_reading(config).kept
    assert describe(config)


@WAYS
def test_a_recipe_keeps_it(config: AnyReadingConfig, tmp_path: Path) -> None:
    path, recipe = tmp_path / "recipe.json", Recipe(reading=config)
    path.write_text(recipe_json(recipe))
    assert read_recipe(path) == recipe


def test_settings_that_name_no_kind_are_of_bytes(tmp_path: Path) -> None:
    """So they were written before there were others."""
    (tmp_path / READING).write_text(json.dumps({"format": "png:0", "rate": 8000}))
    assert read_reading(tmp_path) == ReadingConfig(format="png:0", rate=8000)
    path = tmp_path / "recipe.json"
    settings = json.loads(recipe_json(Recipe(reading=ReadingConfig(format="tiff"))))
    del settings["reading"]["kind"]
    path.write_text(json.dumps(settings))
    assert read_recipe(path).reading == ReadingConfig(format="tiff")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "smell"}, r"reading\.json is of kind 'smell'; known: 'bytes', 'pixels', 'sound', 'clip', 'points'"),
        ({"kind": "pixels", "format": "tiff"}, r"reading\.json has unknown fields format; PixelsConfig has"),
        ({"kind": "pixels", "image_size": -4}, r"reading\.json: reading\.image_size is -4; it is a whole number"),
        ({"kind": "pixels", "std": [0.1, 0.2]}, r"reading\.std is \(0\.1, 0\.2\); it is three numbers"),
    ],
)
def test_a_damaged_file_is_named(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / READING).write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=message):
        read_reading(tmp_path)


def test_what_is_done_to_bytes_needs_a_model_of_bytes(tmp_path: Path) -> None:
    (tmp_path / READING).write_text(json.dumps(as_json(PixelsConfig())))
    with pytest.raises(ValueError, match="holds a model that reads pixels: keys and noise are for models of bytes"):
        read_byte_reading(tmp_path)
