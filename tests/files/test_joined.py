"""Several data sets as one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from anybyte.config import DataConfig
from anybyte.files.joined import JoinedSource, absolute_origins, split_origins
from anybyte.files.sources import open_source, open_splits
from tests.files.builders import tree, write_folder, write_zip


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A zip of cats and dogs, and a folder of dogs and birds that has a test part."""
    first = write_zip(tmp_path / "pets.zip", tree("cat dog", 10))
    files = tree("dog bird", 10, "train/") | tree("dog bird", 3, "test/")
    return first, write_folder(tmp_path / "garden", files)


def test_equal_names_are_one_class(two: tuple[Path, Path]) -> None:
    source = open_source(f"{two[0]}+{two[1]}")
    assert source.classes == ("cat", "dog", "bird")
    assert isinstance(source, JoinedSource)
    assert len(source) == len(source.entries) == 20 + 26
    assert len({entry.name for entry in source.entries}) == 46
    for index, entry in enumerate(source.entries):
        origin, _, name = entry.name.partition("/")
        assert source.origin(index) == origin
        assert source.classes[entry.label] in name
        prefix, _, number = name.removesuffix(".bin").rpartition("/")
        assert source.read(index) == f"{prefix} {number}".encode()


def test_a_prefix_keeps_classes_apart(two: tuple[Path, Path]) -> None:
    source = open_source(f"pets={two[0]}+garden={two[1]}")
    assert source.classes == ("pets/cat", "pets/dog", "garden/bird", "garden/dog")
    assert open_source(f"pets={two[0]}").classes == ("pets/cat", "pets/dog")


def test_each_data_set_keeps_its_parts(two: tuple[Path, Path]) -> None:
    data = DataConfig(path=f"{two[0]}+{two[1]}", val_fraction=0.2, test_fraction=0.2)
    joined = open_splits(data)
    for part in ("train", "val", "test"):
        names = {entry.name for entry in getattr(joined, part).entries}
        alone = [open_splits(DataConfig(path=str(path), val_fraction=0.2, test_fraction=0.2)) for path in two]
        wanted = {
            f"{path.stem}/{entry.name}"
            for path, splits in zip(two, alone, strict=True)
            for entry in getattr(splits, part).entries
        }
        assert names == wanted
    assert all("/test/" in entry.name for entry in joined.test.entries if entry.name.startswith("garden"))


def test_a_joined_source_can_be_sent_to_another_process(two: tuple[Path, Path]) -> None:
    source = open_source(f"{two[0]}+{two[1]}")
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source
    assert copy.read(30) == source.read(30)


def test_a_path_with_signs_of_its_own_is_one_data_set(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a+b=c", tree())
    assert [origin.path for origin in split_origins(str(path))] == [str(path)]
    assert open_source(path).classes == ("cat", "dog")


def test_names_are_told_apart() -> None:
    assert [origin.name for origin in split_origins("x/a.zip+y/a.zip+hf:me/a")] == ["a", "a-2", "me/a"]


def test_paths_are_made_absolute_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    assert absolute_origins("d=a.zip+hf:me/b+c") == f"d={here}/a.zip+hf:me/b+{here}/c"
    assert absolute_origins("") == ""
    assert absolute_origins("hf:me/b") == "hf:me/b"


def test_mistakes_are_named(two: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"expected a data set on both sides of each \+"):
        open_source(f"{two[0]}+")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source(f"{two[0]}+nowhere")
    with pytest.raises(IndexError, match="no file 99"):
        open_source(f"{two[0]}+{two[1]}").read(99)
