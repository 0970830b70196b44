"""The script that writes the data of the small recipes."""

from __future__ import annotations

import gzip
import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from anybyte.config import DataConfig
from anybyte.files.media import Image, decode
from anybyte.files.sources import open_splits
from anybyte.recipes.small import joint
from anybyte.recipes.small.twins import SUBJECTS


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


def test_the_first_few_of_each_class_can_be_taken(script: ModuleType, tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8) % 10
    pixels = np.zeros((60, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / "fashion_mnist", "train", pixels, labels)
    write_idx(tmp_path / "fashion_mnist", "t10k", pixels, labels)
    count, members = script.fashion_mnist(tmp_path, train=4, test=2)
    names = [name for name, _ in members]
    assert count == len(names) == 60
    assert sum(name.startswith("train/bag/") for name in names) == 4
    assert sum(name.startswith("test/bag/") for name in names) == 2


def test_sounds_are_filed_by_their_tables(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "speech_commands").mkdir()
    (tmp_path / "esc10").mkdir()
    with zipfile.ZipFile(tmp_path / "speech_commands" / "speech_commands_v2_testset_720.zip", "w") as archive:
        archive.writestr("meta.csv", "file,label,class,speaker,split\nclips/a.wav,10,_silence_,,test\n")
        archive.writestr("clips/a.wav", b"a")
    with zipfile.ZipFile(tmp_path / "esc10" / "esc10_ogg_folds1-4.zip", "w") as archive:
        archive.writestr("meta.csv", "file,class,fold\n1/a.ogg,Dog bark,1\n4/b.ogg,Sea waves,4\n")
        archive.writestr("1/a.ogg", b"a")
        archive.writestr("4/b.ogg", b"b")
    assert list(script.speech_commands(tmp_path)[1]) == [("test/_silence_/a.wav", b"a")]
    assert list(script.esc10(tmp_path)[1]) == [("train/dog_bark/a.ogg", b"a"), ("test/sea_waves/b.ogg", b"b")]


def test_all_writes_every_archive(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (file, _) in script.DATA_SETS.items():
        monkeypatch.setitem(script.DATA_SETS, name, (file, lambda data: (1, iter([("train/x/1", b"1")]))))
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "all", "--data", "x", "--out", str(tmp_path)])
    assert script.main() == 0
    assert {path.name for path in tmp_path.iterdir()} == {file for file, _ in script.DATA_SETS.values()}
    assert {*SUBJECTS, joint.CLOTHES, joint.DIGITS} <= {path.name for path in tmp_path.iterdir()}
    assert str(tmp_path / "fsdd.zip") in capsys.readouterr().out


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
