"""The demo's files: real ones, in disjoint parts, the same for the same seed."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import DataConfig
from anybyte.demo.data import DIGITS, PARTS, DemoSize, format_of, is_spoken, load_written, write_files
from anybyte.files.media import Audio, Image, decode
from anybyte.files.sources import open_splits

SMALL = DemoSize(written=(60, 20, 20), speakers=(3, 1, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    assert write_files(folder, seed=0, size=SMALL) == 3 * 100 + 10 * 6
    return folder


def test_every_file_is_what_its_name_says(folder: Path) -> None:
    for path in folder.glob("*/*/*"):
        medium = decode(path.read_bytes(), path.name)
        if is_spoken(path.name):
            assert isinstance(medium, Audio)
            assert (medium.format, medium.rate) == (format_of(path.name), 8000)
        else:
            assert isinstance(medium, Image)
            assert medium.pixels.shape == (8, 8)


def test_a_picture_is_the_same_in_each_format(folder: Path) -> None:
    pixels, digits = load_written()
    for suffix in (".tiff", ".png", ".pgm"):
        path = folder / f"train/{DIGITS[digits[7]]}/written-0007{suffix}"
        medium = decode(path.read_bytes())
        assert isinstance(medium, Image)
        np.testing.assert_array_equal(medium.pixels, pixels[7])


@pytest.mark.parametrize("kind", ["written", "spoken"])
def test_no_digit_and_no_voice_is_in_two_parts(folder: Path, kind: str) -> None:
    parts = defaultdict(set)
    for path in folder.glob(f"*/*/{kind}-*"):
        parts[path.name.partition(".")[0]].add(path.parts[-3])
    assert len(parts) == {"written": 100, "spoken": 6}[kind]
    assert all(len(where) == 1 for where in parts.values())
    assert set.union(*parts.values()) == set(PARTS)


def test_each_voice_says_each_digit_once_and_each_digit_comes_in_both_formats(folder: Path) -> None:
    said = [(path.name.split(".")[0], path.parent.name) for path in folder.glob("train/*/spoken-*")]
    assert len(said) == len(set(said)) == 3 * 10
    for digit in DIGITS:
        assert {format_of(path.name) for path in (folder / "train" / digit).glob("spoken-*")} == {"wav:u8", "wav:s16"}


def test_the_parts_are_those_of_the_folders(folder: Path) -> None:
    splits = open_splits(DataConfig(path=str(folder)))
    assert set(splits.classes) == set(DIGITS)
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [210, 70, 80]


def test_equal_seeds_write_equal_bytes_and_more_voices_change_no_other(folder: Path, tmp_path: Path) -> None:
    write_files(tmp_path, seed=0, size=DemoSize(written=(10, 0, 0), speakers=(4, 0, 0)))
    for path in tmp_path.glob("train/*/spoken-00[012].*"):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_too_many_written_digits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1797 handwritten digits, not 2000"):
        write_files(tmp_path, seed=0, size=DemoSize(written=(2000, 0, 0)))


def test_a_name_of_no_known_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r"notes\.txt is not a file of the demo"):
        format_of("notes.txt")


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[demo\]'"):
        load_written()
