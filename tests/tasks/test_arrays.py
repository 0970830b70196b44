"""Arrays as examples, in memory and in files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.tasks import Sample
from anybyte.tasks.arrays import Arrays, open_arrays


def make(**changes: Any) -> Arrays:
    inputs = {"a": np.arange(12.0).reshape(3, 4), "b": np.arange(3)} | changes
    return Arrays(inputs, {"y": np.array([0, 1, 2])}, name="small")


def test_reads_examples_by_name() -> None:
    arrays = make()
    assert len(arrays) == 3
    assert arrays.name(1) == "small[1]"
    assert arrays.sizes().tolist() == [40] * 3
    data, label = arrays.read(1, None)
    assert data["a"].tolist() == [4, 5, 6, 7]
    assert (data["b"], label) == (1, {"y": 1})
    assert Sample(data, label, np.random.default_rng(0)).num_bytes == 40
    assert arrays.blank()[0]["a"].tolist() == [0] * 4
    assert pickle.loads(pickle.dumps(arrays)).identity() == arrays.identity()


def test_identity_is_of_all_that_is_in_them() -> None:
    plain = make().identity()
    assert plain == make().identity()
    others = [make(b=np.array([0, 1, 3])), make(b=np.arange(3.0)), make(c=np.arange(3)), make(b=[b"a", b"", b"b"])]
    assert len({plain, *(arrays.identity() for arrays in others)}) == 5


def test_differing_numbers_of_examples_are_named() -> None:
    with pytest.raises(ValueError, match="small: 'a' has 3 examples, 'b' has 2"):
        make(b=np.arange(2))


def write(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "train.npz", **arrays)
    return folder


@pytest.mark.parametrize("as_folder", [False, True], ids=["npz", "npy"])
def test_opens_a_folder_of_arrays(tmp_path: Path, as_folder: bool) -> None:
    arrays: dict[str, Any] = {"a": np.arange(12.0).reshape(3, 4), "y": np.array([0, 1, 2]), "a.mask": np.ones((3, 4))}
    write(tmp_path, **arrays)
    if as_folder:
        (tmp_path / "train.npz").unlink()
        (tmp_path / "train").mkdir()
        for name, values in arrays.items():
            np.save(tmp_path / "train" / f"{name}.npy", values)
    splits = open_arrays(str(tmp_path), ["a"], ["y"])
    assert len(splits.train) == 3
    assert len(splits.val) == 0
    data, label = splits.train.read(2, None)
    assert data["a"].tolist() == [8, 9, 10, 11]
    assert set(data) == {"a", "a.mask"}
    assert label == {"y": 2}
    assert splits.train.name(2) == "train[2]"


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no train.npz and no folder train"):
        open_arrays(str(tmp_path), ["a"], ["y"])
    write(tmp_path, a=np.zeros(2), ab=np.zeros(2))
    with pytest.raises(ValueError, match=r"train: nothing asks for an array 'ab'; did you mean a\?"):
        open_arrays(str(tmp_path), ["a"], ["y"])
    write(tmp_path, a=np.zeros(2))
    with pytest.raises(ValueError, match=r"train: the array of target 'y' is missing; there is a$"):
        open_arrays(str(tmp_path), ["a"], ["y"])
    (tmp_path / "train.npz").write_bytes(b"PK\3\4 no")
    with pytest.raises(ValueError, match="not arrays as NumPy writes them"):
        open_arrays(str(tmp_path), ["a"], ["y"])
    (tmp_path / "train.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"train.npz: not arrays as NumPy writes them: neither .npz nor .npy$"):
        open_arrays(str(tmp_path), ["a"], ["y"])
    write(tmp_path, a=np.array([b"x", None], dtype=object), y=np.zeros(2))
    with pytest.raises(ValueError, match="not arrays as NumPy writes them: there are Python objects in it"):
        open_arrays(str(tmp_path), ["a"], ["y"])
