"""The script that writes the data of the small recipes."""

from __future__ import annotations

import gzip
import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from anybyte.config import DataConfig
from anybyte.files.media import Image, decode
from anybyte.files.sources import open_splits


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "prepare_data.py"
    spec = importlib.util.spec_from_file_location("prepare_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(folder: Path, prefix: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    for name, header, array in (("images-idx3", 16, pixels), ("labels-idx1", 8, labels)):
        with gzip.open(folder / f"{prefix}-{name}-ubyte.gz", "wb") as file:
            file.write(bytes(header) + array.tobytes())


def test_an_archive_is_a_data_set_with_parts(script: ModuleType, tmp_path: Path) -> None:
    labels = np.arange(20, dtype=np.uint8) % 10
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / "fashion_mnist", "train", np.concatenate([pixels, pixels]), np.concatenate([labels, labels]))
    write_idx(tmp_path / "fashion_mnist", "t10k", pixels, labels)
    path = tmp_path / "out" / "data.zip"
    _, members = script.fashion_mnist(tmp_path)
    script.write_archive(path, 60, members)
    splits = open_splits(DataConfig(path=str(path)))
    assert "ankle_boot" in splits.classes
    assert len(splits.test.entries) == 20
    image = decode(splits.test.read(0))
    assert isinstance(image, Image)
    assert image.format == "png:0"
    np.testing.assert_array_equal(image.pixels, pixels[9])
    with zipfile.ZipFile(path) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_equal_members_give_equal_archives(script: ModuleType, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        script.write_archive(tmp_path / name, 2, iter([("train/x/1", b"1"), ("train/y/2", b"2")]))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_archive_that_is_not_whole_does_not_appear(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.zip: expected 3 files, found 1"):
        script.write_archive(tmp_path / "data.zip", 3, iter([("train/x/1", b"1")]))
    assert not list(tmp_path.iterdir())


@pytest.mark.shared
def test_the_spoken_digits_are_split_as_published(script: ModuleType, shared: Path, tmp_path: Path) -> None:
    count, members = script.fsdd(shared)
    script.write_archive(tmp_path / "fsdd.zip", count, members)
    splits = open_splits(DataConfig(path=str(tmp_path / "fsdd.zip")))
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [2430, 270, 300]
