"""Every kind of data set: the files in it, their labels, and its own parts."""

from __future__ import annotations

import csv
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from anybyte.config import DataConfig
from anybyte.files.sources import Entry, Source, expand_braces, open_source, open_splits

from .builders import samples, tree, write_folder, write_tar, write_zip


def contents(source: Source) -> dict[bytes, str]:
    """Every file's bytes, with its class. The builders give each file contents of its own."""
    assert [entry.name for entry in source.entries] == sorted({entry.name for entry in source.entries})
    found = {source.read(index): source.classes[entry.label] for index, entry in enumerate(source.entries)}
    assert sorted(map(len, found)) == sorted(entry.size for entry in source.entries)
    return found


def expected(files: dict[str, bytes]) -> dict[bytes, str]:
    return {data: name.split("/")[-2] for name, data in files.items()}


def write_csv(root: Path, files: dict[str, bytes], split: bool) -> Path:
    write_folder(root, files)
    path = root / "files.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"] if split else ["path", "label"])
        for name in files:
            words = name.split("/")
            writer.writerow([name, words[-2], words[0]] if split else [name, words[-2]])
    return path


def write_jsonl(root: Path, files: dict[str, bytes], split: bool) -> Path:
    write_folder(root, files)
    path = root / "files.jsonl"
    rows = [
        {"path": name, "label": name.split("/")[-2]} | ({"split": name.split("/")[0]} if split else {})
        for name in files
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


KINDS: dict[str, Callable[[Path, dict[str, bytes], bool], Path]] = {
    "folder": lambda root, files, split: write_folder(root / "data", files),
    "zip": lambda root, files, split: write_zip(root / "data.zip", files),
    "stored zip": lambda root, files, split: write_zip(root / "data.zip", files, zipfile.ZIP_STORED),
    "tar": lambda root, files, split: write_tar(root / "data.tar", files),
    "csv": write_csv,
    "jsonl": write_jsonl,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_without_parts(kind: str, tmp_path: Path) -> None:
    files = tree("dog cat")
    path = KINDS[kind](tmp_path, files, False)
    source = open_source(path)
    assert source.classes == ("cat", "dog")
    assert contents(source) == expected(files)
    splits = open_splits(DataConfig(path=str(path), val_fraction=0.2, test_fraction=0.3))
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [12, 2, 6]
    assert contents(splits.train) | contents(splits.val) | contents(splits.test) == expected(files)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["val", "valid", "Validation"])
def test_a_data_set_with_parts(kind: str, word: str, tmp_path: Path) -> None:
    train, val, test = (tree("cat dog", 4, prefix) for prefix in ("train/", f"{word}/", "test/"))
    path = KINDS[kind](tmp_path, train | val | test, True)
    assert contents(open_source(path)) == expected(train | val | test)
    splits = open_splits(DataConfig(path=str(path)))
    assert splits.classes == splits.train.classes == splits.val.classes == splits.test.classes == ("cat", "dog")
    assert contents(splits.train) == expected(train)
    assert contents(splits.val) == expected(val)
    assert contents(splits.test) == expected(test)


def read_first(source: Source) -> bytes:
    return source.read(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_source_is_read_from_elsewhere(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = open_source(os.path.relpath(KINDS[kind](tmp_path, tree(), False)))
    copy = pickle.loads(pickle.dumps(source))
    monkeypatch.chdir("/")
    assert contents(copy) == contents(source)


def test_a_source_is_read_by_a_worker(tmp_path: Path) -> None:
    source = open_source(write_zip(tmp_path / "data.zip", tree()))
    first = source.read(0)
    with get_context("spawn").Pool(1) as pool:
        assert pool.map(read_first, [source]) == [first]


def test_parts_are_drawn_alike_from_every_kind_of_source(tmp_path: Path) -> None:
    drawn = []
    for number, kind in enumerate(KINDS):
        (tmp_path / str(number)).mkdir()
        path = KINDS[kind](tmp_path / str(number), tree(), False)
        drawn.append(contents(open_splits(DataConfig(path=str(path))).test))
    assert all(found == drawn[0] for found in drawn)


def test_entries_tell_name_label_and_size(tmp_path: Path) -> None:
    write_folder(tmp_path, {"b/deep/er/1.bin": b"123", "a/2": b"4"})
    assert list(open_source(tmp_path).entries) == [Entry("a/2", 0, 1), Entry("b/deep/er/1.bin", 1, 3)]


def test_junk_and_files_beside_the_classes_are_left_out(tmp_path: Path) -> None:
    junk = [
        ".DS_Store",
        "README.md",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        ".git/config",
        "__MACOSX/cat/._0.bin",
        "dog/.x/1",
    ]
    files = tree() | dict.fromkeys(junk, b"junk")
    for path in (write_folder(tmp_path / "data", files), write_zip(tmp_path / "data.zip", files)):
        assert contents(open_source(path)) == expected(tree())


def test_an_archive_may_hold_one_folder_around_everything(tmp_path: Path) -> None:
    for prefix in ("data-1.0/", "a/b/"):
        files = tree(prefix=prefix)
        assert contents(open_source(write_zip(tmp_path / "data.zip", files))) == expected(files)
        files = tree(prefix=f"{prefix}train/") | tree(prefix=f"{prefix}test/")
        splits = open_splits(DataConfig(path=str(write_zip(tmp_path / "data.zip", files))))
        assert contents(splits.test) == expected(tree(prefix=f"{prefix}test/"))


def test_a_zip_behind_other_bytes_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", tree())
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert contents(open_source(path)) == expected(tree())


def test_classes_may_be_called_like_a_part(tmp_path: Path) -> None:
    write_folder(tmp_path, tree("bus car train"))
    assert open_source(tmp_path).classes == ("bus", "car", "train")


def test_classes_that_differ_in_case_are_two(tmp_path: Path) -> None:
    assert open_source(write_zip(tmp_path / "data.zip", tree("Cat cat"))).classes == ("Cat", "cat")


def test_linked_class_folders_are_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", tree())
    (tmp_path / "data").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "cat" / "loop").symlink_to(tmp_path / "elsewhere" / "cat")
    assert len(open_source(tmp_path / "data").entries) >= 20


def test_names_that_point_outside_are_left_out(tmp_path: Path) -> None:
    outside = {"cat/../../../etc/passwd": b"1", "../dog/1": b"2", "/dog/x": b"3"}
    path = write_zip(tmp_path / "data.zip", tree() | outside)
    assert contents(open_source(path)) == expected(tree()) | {b"3": "dog"}
    assert [item.name for item in tmp_path.iterdir()] == ["data.zip"]


def test_webdataset_samples(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "data.tar", samples())
    assert contents(open_source(path)) == {
        data: data.split()[0].decode() for data in samples().values() if b" " in data
    }
    as_json = {
        name.replace(".cls", ".json"): json.dumps({"label": data.decode()}).encode() if name.endswith(".cls") else data
        for name, data in samples().items()
    }
    assert contents(open_source(write_tar(tmp_path / "json.tar", as_json))) == contents(open_source(path))


def test_webdataset_labels_may_be_numbers_and_keys_have_folders(tmp_path: Path) -> None:
    files = {f"./a.b/{i}.wav": b"%d" % i for i in range(12)} | {f"./a.b/{i}.cls": b"%d\n" % i for i in range(12)}
    source = open_source(write_tar(tmp_path / "data.tar", files))
    assert source.classes == tuple(str(i) for i in range(12))
    assert contents(source) == {b"%d" % i: str(i) for i in range(12)}


@pytest.mark.parametrize("pattern", ["", "shard-{000..002}.tar", "shard-*.tar", "shard-{000,001,002}.tar"])
def test_shards_are_one_data_set(pattern: str, tmp_path: Path) -> None:
    for shard in range(3):
        write_tar(tmp_path / f"shard-{shard:03d}.tar", samples(start=10 * shard))
    source = open_source(tmp_path / pattern)
    assert len(source.entries) == 60
    assert len(contents(source)) == 60


@pytest.mark.parametrize("pattern", ["", "{train,val,test}*.tar", "*.tar"])
def test_shards_announce_their_parts(pattern: str, tmp_path: Path) -> None:
    for start, name in enumerate(("train-0", "train-1", "validation", "my_test_0")):
        write_tar(tmp_path / f"{name}.tar", samples(start=10 * start))
    if pattern.startswith("{"):
        (tmp_path / "my_test_0.tar").rename(tmp_path / "test.tar")
    splits = open_splits(DataConfig(path=str(tmp_path / pattern)))
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [40, 20, 20]
    assert b"cat 30" in contents(splits.test)


def test_shards_of_equal_name_in_folders(tmp_path: Path) -> None:
    for start, part in enumerate(("train", "test")):
        write_tar(tmp_path / part / "0.tar", tree(prefix=f"{start}/"))
    splits = open_splits(DataConfig(path=str(tmp_path / "{train,test}" / "*.tar")))
    assert contents(splits.test) == expected(tree(prefix="1/"))


def test_archives_in_class_folders_are_files_like_any_other(tmp_path: Path) -> None:
    write_folder(
        tmp_path, {f"{kind}/{i}.{kind}": f"{kind}{i}".encode() for kind in ("tar", "parquet") for i in range(3)}
    )
    assert open_source(tmp_path).classes == ("parquet", "tar")


def test_manifest_paths_may_be_absolute_and_labels_numbers(tmp_path: Path) -> None:
    write_folder(tmp_path / "files", {"1": b"one", "2": b"two"})
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "all.jsonl"
    rows = [{"path": "../files/1", "label": 10}, {"path": str(tmp_path / "files" / "2"), "label": 9}]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert contents(open_source(path)) == {b"one": "10", b"two": "9"}
    assert open_source(path).classes == ("9", "10")


def test_braces_spell_out_names() -> None:
    assert expand_braces("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand_braces("{a,b}{1..2}") == ["a1", "a2", "b1", "b2"]
    assert expand_braces("{x}.tar") == ["{x}.tar"]
