"""Parquet tables, and data sets of the hub (made here: nothing is fetched)."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.config import DataConfig
from anybyte.files.media import encode_image
from anybyte.files.sources import open_source, open_splits

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def rows(count: int = 20, start: int = 0) -> list[tuple[bytes, int]]:
    return [(f"row {index}".encode(), index % 2) for index in range(start, start + count)]


def table(rows: list[tuple[bytes, int]], **columns: Any) -> Any:
    return pa.table({"image": [data for data, _ in rows], "label": [label for _, label in rows], **columns})


def write(path: Path, table: Any, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def contents(source: Any) -> list[tuple[bytes, str]]:
    found = [(source.read(index), source.classes[entry.label]) for index, entry in enumerate(source.entries)]
    assert [len(data) for data, _ in found] == [entry.size for entry in source.entries]
    return found


def as_text(rows: list[tuple[bytes, int]]) -> list[tuple[bytes, str]]:
    return [(data, str(label)) for data, label in rows]


def test_a_table_of_bytes_and_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", table(rows(), name=["x"] * 20), row_group_size=6)
    source = open_source(path)
    assert source.classes == ("0", "1")
    assert contents(source) == as_text(rows())
    assert contents(pickle.loads(pickle.dumps(source))) == contents(source)
    splits = open_splits(DataConfig(path=str(path)))
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [16, 2, 2]


def test_a_folder_of_tables_is_split_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "my_train-0.parquet", table(rows()))
    write(tmp_path / "my_train-1.parquet", table(rows(start=20)))
    write(tmp_path / "my_test.parquet", table(rows(start=40)))
    splits = open_splits(DataConfig(path=str(tmp_path)))
    assert contents(splits.test) == as_text(rows(start=40))
    assert len(splits.train.entries) + len(splits.val.entries) == 40


def test_the_hubs_struct_and_class_names(tmp_path: Path) -> None:
    data = [{"bytes": data, "path": None} for data, _ in rows()]
    names = {"info": {"features": {"label": {"names": ["zebra", "ape", "unseen"], "_type": "ClassLabel"}}}}
    own = pa.table({"image": data, "label": [label for _, label in rows()]})
    own = own.replace_schema_metadata({"huggingface": json.dumps(names)})
    source = open_source(write(tmp_path / "data.parquet", own))
    assert source.classes == ("zebra", "ape")
    assert contents(source) == [(data, ["zebra", "ape"][label]) for data, label in rows()]


def test_a_split_column_and_dictionaries(tmp_path: Path) -> None:
    own = table(rows(), split=["train"] * 10 + ["test"] * 10)
    own = own.set_column(1, "label", pa.array(["b", "a"] * 10).dictionary_encode())
    splits = open_splits(DataConfig(path=str(write(tmp_path / "data.parquet", own))))
    assert splits.classes == ("a", "b")
    assert [data for data, _ in contents(splits.test)] == [data for data, _ in rows(10, start=10)]


def test_columns_are_told_by_type_if_their_names_say_nothing(tmp_path: Path) -> None:
    own = pa.table({"blob": [data for data, _ in rows()], "kind": [label for _, label in rows()]})
    assert contents(open_source(write(tmp_path / "data.parquet", own))) == as_text(rows())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["text"], "label": [1]}, "no column with files as bytes; there are: image, label"),
        ({"image": [b"1"], "score": [0.5]}, "no column with labels; there are: image, score"),
        ({"left": [b"1"], "right": [b"2"], "label": [1]}, "several columns may hold files as bytes: left, right"),
        ({"image": [b"1"], "audio": [b"2"], "label": [1]}, "several columns may hold files as bytes: image, audio"),
        (
            {"image": [b"1"], "x": [1], "y": [2]},
            "several columns may hold labels: x, y; keep one, or name one of them 'label'",
        ),
        ({"image": [b"1", None], "label": [1, 2]}, "row 1: no bytes in column 'image'"),
        ({"image": [b"1", b"2"], "label": [1, None]}, r"data\.parquet:000000001 has no label"),
        ({"image": [b"1"], "label": [1], "split": ["dev"]}, "row 0: the split is 'dev'"),
        ({"image": [b"1", b""], "label": [1, 2]}, "000000001: the file is empty"),
    ],
)
def test_unclear_tables_are_named(columns: dict[str, list[Any]], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", pa.table(columns))
    with pytest.raises(ValueError, match=rf"data\.parquet.*{message}"):
        open_splits(DataConfig(path=str(path)))


def test_a_number_without_a_name_is_named(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["only"]}}}}
    own = table(rows()).replace_schema_metadata({"huggingface": json.dumps(names)})
    with pytest.raises(ValueError, match="row 1: label 1, but there are names for 0 to 0"):
        open_source(write(tmp_path / "data.parquet", own))


@pytest.mark.parametrize("share", [0.1, 0.6, 0.999])
def test_a_truncated_table_is_named(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", table(rows(500)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"data\.parquet: not a whole parquet file"):
        open_source(path)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", table(rows(500)), compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"data\.parquet: row group 0 is damaged"):
        open_source(path)


def test_without_the_extra_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.parquet", table(rows()))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[parquet\]'"):
        open_source(path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[hub\]'"):
        open_source("hf:cifar10")


class TestHub:
    """The hub's own library, on data sets that lie on this disk."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()
        return tmp_path

    def pictures(self, count: int) -> list[bytes]:
        generator = np.random.default_rng(count)
        return [encode_image(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8), "png") for _ in range(count)]

    def write(self, folder: Path, split: str, count: int) -> list[bytes]:
        import datasets

        pictures = self.pictures(count)
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ape"])})
        own = {"image": [{"bytes": data, "path": None} for data in pictures], "label": [i % 2 for i in range(count)]}
        datasets.Dataset.from_dict(own, features=features).to_parquet(folder / f"{split}-0.parquet")
        return pictures

    def test_pictures_come_as_they_are_stored(self, folder: Path) -> None:
        (folder / "data").mkdir()
        train, test = self.write(folder / "data", "train", 12), self.write(folder / "data", "test", 6)
        origin = f"hf:{folder / 'data'}"
        splits = open_splits(DataConfig(path=origin))
        assert splits.classes == ("zebra", "ape")
        assert contents(splits.test) == [(data, ["zebra", "ape"][i % 2]) for i, data in enumerate(test)]
        assert sorted(data for part in (splits.train, splits.val) for data, _ in contents(part)) == sorted(train)
        copy = pickle.loads(pickle.dumps(splits.test))
        assert contents(copy) == contents(splits.test)

    def test_files_on_the_disk_are_read_by_their_paths(self, folder: Path) -> None:
        pictures = self.pictures(6)
        for index, data in enumerate(pictures):
            path = folder / "data" / "train" / ("ape" if index % 2 else "cow") / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        source = open_source(f"hf:{folder / 'data'}")
        assert source.classes == ("ape", "cow")
        assert sorted(data for data, _ in contents(source)) == sorted(pictures)

    def test_what_is_not_there_is_named(self, folder: Path) -> None:
        with pytest.raises(OSError, match="nowhere"):
            open_source(f"hf:{folder}/nowhere")
        with pytest.raises(ValueError, match="hf:name"):
            open_source("hf:")


def test_a_picture_from_a_table_is_the_file(tmp_path: Path) -> None:
    picture = encode_image(np.zeros((2, 2), dtype=np.uint8), "bmp")
    path = write(tmp_path / "data.parquet", pa.table({"image": [picture], "label": ["x"]}))
    assert io.BytesIO(open_source(path).read(0)).read() == picture
