"""A predictor does to a file what training did, because the model's folder says what that was."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte import load
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.files.media import encode_audio, encode_image
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import load_pretrained
from anybyte.privacy.keys import create_key
from anybyte.privacy.permutation import Permutation
from anybyte.reading import ByteReading
from tests.tiny_model import LABELS, save_tiny_model

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
PNG = encode_image(PIXELS, "png")
WAV = encode_audio(np.random.default_rng(0).uniform(-1, 1, 500).astype(np.float32), 8000, "wav")
KEY = Permutation.random(9)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def save_with(plain: Path, folder: Path, reading: ReadingConfig) -> Path:
    model, labels = load_pretrained(plain)
    model.save_pretrained(folder, labels=labels, reading=reading)
    return folder


@pytest.mark.parametrize(
    "config",
    [
        ReadingConfig(format="tiff, wav:f32"),
        ReadingConfig(format="fhwc,wav:u8", image_size=8, rate=4000, seconds=0.05),
        ReadingConfig(privacy=PrivacyConfig(order="reverse", noise=9, permutation=True, seed=3)),
        ReadingConfig(format="fhwc,wav", privacy=PrivacyConfig(camera_keep=0.2)),
    ],
)
def test_files_are_read_as_the_folder_says(plain: Path, tmp_path: Path, config: ReadingConfig) -> None:
    folder = save_with(plain, tmp_path / "model", config)
    assert read_reading(folder) == config
    reading, files = ByteReading(config), [PNG, WAV]
    expected = load(plain).classify([reading(data, "") for data in files], top=6)
    assert load(folder).classify(files, top=6) == expected
    assert load(plain).classify(files, top=6) != expected


def test_a_folder_without_settings_means_as_stored(plain: Path, tmp_path: Path) -> None:
    assert not (plain / "reading.json").exists()
    assert read_reading(plain) == ReadingConfig()
    folder = save_with(plain, tmp_path / "model", ReadingConfig(format="tiff"))
    assert (folder / "reading.json").exists()
    load_pretrained(plain)[0].save_pretrained(folder, labels=LABELS)
    assert not (folder / "reading.json").exists()


def test_a_file_that_cannot_be_read_so_is_named_alone(plain: Path, tmp_path: Path) -> None:
    predictor = load(save_with(plain, tmp_path / "model", ReadingConfig(format="tiff")))
    good, text, sound = predictor.stream([PNG, b"plain text", WAV])
    assert not hasattr(good, "error")
    assert "item 1: neither a picture nor a sound" in str(text.error)  # type: ignore[union-attr]
    assert "item 2: a sound cannot be written as tiff" in str(sound.error)  # type: ignore[union-attr]


def test_keys_from_python(plain: Path, tmp_path: Path) -> None:
    key = create_key(tmp_path / "my.key")
    privacy = PrivacyConfig(permutation=True, fingerprint=key.fingerprint)
    folder = save_with(plain, tmp_path / "model", ReadingConfig(privacy=privacy))
    expected = load(plain).classify([key.apply(PNG)])
    assert load(folder, key=tmp_path / "my.key").classify([PNG]) == expected
    assert load(folder, key=key).classify([PNG]) == expected
    with pytest.raises(ValueError, match="which is not at hand"):
        load(folder).classify([PNG])
    with pytest.raises(ValueError, match="another is meant"):
        load(folder, key=KEY)
    for other in (plain, save_with(plain, tmp_path / "drawn", ReadingConfig(privacy=PrivacyConfig(permutation=True)))):
        with pytest.raises(ValueError, match=r"a key is given, but the model in .* has none"):
            load(other, key=KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "blue"}, "unknown fields colour"),
        ({"privacy": {"salt": 3}}, "unknown fields salt"),
        ({"privacy": {"key": "my.key"}}, "names a key"),
        ({"privacy": {"noise": "much"}}, r"reading\.privacy\.noise is 'much'"),
        ({"privacy": 3}, r"reading\.privacy is 3"),
        ({"format": "tif"}, "unknown format 'tif'"),
        ({"image_size": [8]}, r"reading\.image_size is \(8,\)"),
    ],
)
def test_damaged_settings_are_named(plain: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = save_with(plain, tmp_path / "model", ReadingConfig(format="tiff"))
    path = folder / "reading.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=rf"reading\.json.*{message}"):
        load(folder)


def test_text_in_place_of_settings_is_named(plain: Path, tmp_path: Path) -> None:
    folder = save_with(plain, tmp_path / "model", ReadingConfig(format="tiff"))
    for text, message in (("[]", "not a group of settings"), ("{", "not valid JSON")):
        (folder / "reading.json").write_text(text)
        with pytest.raises(ValueError, match=rf"reading\.json is {message}"):
            load(folder)


def test_the_key_of_training_stays_out_of_the_folder(plain: Path, tmp_path: Path) -> None:
    key = create_key(tmp_path / "my.key")
    config = ByteReading(ReadingConfig(privacy=PrivacyConfig(permutation=True, key=str(tmp_path / "my.key")))).config
    folder = save_with(plain, tmp_path / "model", config)
    text = (folder / "reading.json").read_text()
    assert "my.key" not in text
    assert key.fingerprint in text
    assert read_reading(folder) == dataclasses.replace(
        config, privacy=PrivacyConfig(permutation=True, fingerprint=key.fingerprint)
    )
    assert torch.equal(
        load(folder, key=key).model.stem.embedding,
        load(plain).model.stem.embedding,  # type: ignore[union-attr]
    )
