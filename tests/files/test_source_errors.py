"""What is wrong with a data set is said by name, in one line."""

from __future__ import annotations

import json
import logging
import os
import re
import zipfile
from pathlib import Path

import pytest

from anybyte.config import DataConfig
from anybyte.files.sources import open_source, open_splits

from .builders import Tree, samples, tree, write_folder, write_tar, write_zip


def refuse(path: Path | str, message: str, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error, match=message):
        open_splits(DataConfig(path=str(path)))


def test_a_path_must_exist(tmp_path: Path) -> None:
    for name in ("nowhere", "nowhere.zip", "nowhere-{0..3}.tar", "*.parquet"):
        refuse(tmp_path / name, r"(nowhere|\*\.parquet)\S*: no such file", FileNotFoundError)


def test_all_shards_that_braces_spell_out_must_exist(tmp_path: Path) -> None:
    write_tar(tmp_path / "a-0.tar", samples())
    refuse(tmp_path / "a-{0..1}.tar", r"a-1\.tar: no such file", FileNotFoundError)


def test_a_path_must_be_named() -> None:
    refuse("", r"data\.path must be a folder, \.zip")


def test_a_file_must_be_of_a_known_kind(tmp_path: Path) -> None:
    write_folder(tmp_path, {"data.rar": b"x"})
    refuse(tmp_path / "data.rar", r"data\.rar: not a data set; it must be a folder, \.zip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_must_be_readable(tmp_path: Path) -> None:
    write_folder(tmp_path, tree())
    (tmp_path / "cat").chmod(0)
    refuse(tmp_path, "cat", PermissionError)


@pytest.mark.parametrize(
    "files",
    [{}, {"1.jpg": b"x"}, {"train/1.jpg": b"x", "test/1.jpg": b"y"}, {".git/config": b"x"}],
    ids=["empty", "flat", "flat parts", "junk"],
)
def test_a_folder_without_classes_is_told_what_to_look_like(files: Tree, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    refuse(write_folder(tmp_path / "data", files), r"data: no classes found; expected one folder a class \(cat/1\.jpg")
    refuse(write_zip(tmp_path / "data.zip", files), r"data\.zip: no classes found; expected one folder a class")


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    refuse(write_folder(tmp_path, tree("cat")), "at least two classes, found: cat")
    assert open_source(tmp_path).classes == ("cat",)


def test_a_class_folder_must_hold_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "flat", tree())
    (tmp_path / "flat" / "eel").mkdir()
    refuse(tmp_path / "flat", "flat: the folder eel/ holds no files")
    write_folder(tmp_path / "parts", tree(prefix="train/") | tree(prefix="test/"))
    (tmp_path / "parts" / "test" / "eel").mkdir()
    refuse(tmp_path / "parts", "parts: the folder test/eel/ holds no files")


def test_a_class_must_be_in_every_part(tmp_path: Path) -> None:
    refuse(
        write_folder(tmp_path / "a", tree("cat dog eel", prefix="train/") | tree(prefix="test/")),
        "class 'eel' has no file in the test part",
    )
    refuse(
        write_folder(tmp_path / "b", tree(prefix="train/") | tree("cat dog eel", prefix="test/")),
        "class 'eel' has no file in the train part",
    )
    refuse(
        write_folder(tmp_path / "c", tree() | tree("eel", 2)), r"class 'eel' .* the test part \(2 in all; .* 3 files"
    )


def test_parts_and_classes_do_not_mix(tmp_path: Path) -> None:
    refuse(
        write_folder(tmp_path, tree("train test extra")), r"extra/ beside test/, train/; expected one folder a class"
    )


def test_a_data_set_must_have_a_train_part(tmp_path: Path) -> None:
    refuse(write_folder(tmp_path, tree(prefix="test/") | tree(prefix="val/")), "no train part; parts found: val, test")


def test_an_empty_file_is_named_or_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, tree() | {"cat/bad.bin": b""})
    refuse(tmp_path, r"cat/bad\.bin: the file is empty")
    with caplog.at_level(logging.WARNING):
        splits = open_splits(DataConfig(path=str(tmp_path), on_error="skip"))
    assert sum(len(part.entries) for part in (splits.train, splits.val, splits.test)) == 20
    assert re.search(r"left out .*: cat/bad\.bin: the file is empty", caplog.text)


def test_a_file_that_is_too_long_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, tree() | {"cat/bad.bin": bytes(101)})
    with pytest.raises(ValueError, match=r"cat/bad\.bin: 101 bytes are more than max_bytes, 100"):
        open_splits(DataConfig(path=str(tmp_path), max_bytes=100))


@pytest.mark.parametrize("name", ["data.zip", "data.tar", "data.parquet"])
@pytest.mark.parametrize("data", [b"", b"rubbish" * 200])
def test_an_archive_must_be_one(name: str, data: bytes, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    write_folder(tmp_path, {name: data})
    # To tar, an empty file is an archive without members.
    refuse(tmp_path / name, rf"{name}: (not a whole|no classes found)")


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_truncated_archive_is_named(share: float, tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "data.zip", tree()), write_tar(tmp_path / "data.tar", {"cat/1": bytes(20_000)})):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        refuse(path, rf"{path.name}: not a whole")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_named_with_its_archive(method: int, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", {"cat/1": b"meow" * 50, "dog/1": b"bark" * 50}, method)
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(data)
    source = open_source(path)
    with pytest.raises(ValueError, match=r"^cat/1: .*data\.zip is damaged"):
        source.read(0)
    assert source.read(1) == b"bark" * 50


def test_a_zip_member_that_is_not_where_the_index_says(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", tree())
    source = open_source(path)
    path.write_bytes(b"gone")
    with pytest.raises(ValueError, match=r"^cat/0\.bin: .*data\.zip is damaged: there is no member at byte 0"):
        source.read(0)


def test_a_member_is_never_longer_than_the_index_says(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", {"cat/1": bytes(10_000), "dog/1": b"x"})
    data = path.read_bytes()
    lie = data.rfind((10_000).to_bytes(4, "little"))
    path.write_bytes(data[:lie] + (10).to_bytes(4, "little") + data[lie + 4 :])
    with pytest.raises(ValueError, match=r"^cat/1: .*data\.zip is damaged: the checksum is wrong"):
        open_source(path).read(0)


def test_zip_methods_other_than_deflate_are_named(tmp_path: Path) -> None:
    refuse(
        write_zip(tmp_path / "data.zip", tree(), zipfile.ZIP_LZMA),
        r"cat/0\.bin is packed by method 14; use store or deflate",
    )


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", tree())
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refuse(path, r"data\.zip: cat/0\.bin is encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_must_not_hold_a_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for data in ("1", "2"):
            archive.writestr("cat/1", data)
    refuse(tmp_path / "data.zip", "cat/1 is there twice")
    for shard in range(2):
        write_tar(tmp_path / f"{shard}.tar", tree())
    refuse(tmp_path / "{0..1}.tar", r"cat/0\.bin is there twice")


def test_a_compressed_tar_is_told_to_be_decompressed(tmp_path: Path) -> None:
    refuse(write_tar(tmp_path / "data.tar.gz", samples(), "w:gz"), r"data\.tar\.gz: a compressed tar .* decompress it")
    refuse(write_tar(tmp_path / "data.tar", samples(), "w:gz"), r"data\.tar: not a whole, uncompressed tar")


def test_a_tar_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "data.tar", samples())
    source = open_source(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"^cat000\.bin: .*data\.tar is shorter than it was"):
        source.read(0)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"x.bin": b"1"}, r"sample x: no label: expected a \.cls file"),
        ({"x.bin": b"1", "x.cls": b" "}, "sample x: no label"),
        ({"x.bin": b"1", "x.cls": b"\xff"}, "sample x: its label cannot be read"),
        ({"x.bin": b"1", "x.json": b"{"}, "sample x: its label cannot be read"),
        ({"x.bin": b"1", "x.json": b'{"name": 1}'}, "sample x: no label"),
        ({"x.bin": b"1", "x.json": b'{"label": true}'}, "sample x: no label"),
        ({"x.cls": b"1"}, "sample x: expected one file beside its label, found: none"),
        ({"x.jpg": b"1", "x.txt": b"2", "x.cls": b"3"}, r"sample x: expected one file .*, found: x\.jpg, x\.txt"),
    ],
)
def test_a_sample_without_a_clear_label_is_named(extra: Tree, message: str, tmp_path: Path) -> None:
    refuse(write_tar(tmp_path / "data.tar", samples() | dict(extra)), message)


def test_shards_must_all_be_of_one_sort(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", samples())
    write_tar(tmp_path / "b.tar", tree())
    refuse(tmp_path, "some archives hold samples")
    (tmp_path / "b.tar").unlink()
    for name in ("train-0", "test-0"):
        write_tar(tmp_path / f"{name}.tar", samples())
    refuse(tmp_path, r"a\.tar: cannot tell whether this is train, val or test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\ncat/0.bin,cat", r"line 2: no column 'label'; there are: path, class"),
        ("file,label\ncat/0.bin,cat", r"line 2: no column 'path'; there are: file, label"),
        ("path,label\ncat/0.bin,", r"line 2: label is empty"),
        ("path,label\ncat/0.bin", r"line 2: label is empty"),
        ("path,label\ncat/none.bin,cat", r"line 2: no such file: \S*cat/none\.bin"),
        ("path,label\ncat,cat", r"line 2: \S*cat is a folder"),
        ("path,label\ncat/0.bin,cat\n./cat/0.bin,dog", r"line 3: cat/0\.bin is listed twice"),
        ("path,label,split\ncat/0.bin,cat,dev", r"line 2: the split is 'dev'; it must be train, val or test"),
        ("path,label\n", r"no files are listed"),
    ],
)
def test_a_manifest_names_the_line(text: str, message: str, tmp_path: Path) -> None:
    write_folder(tmp_path, tree())
    (tmp_path / "files.csv").write_text(text)
    error = FileNotFoundError if "no such" in message else ValueError
    refuse(tmp_path / "files.csv", rf"files\.csv(, |: ){message}", error)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[1]", "expected an object"), (json.dumps({"path": "x"}), "no column 'label'")],
)
def test_a_json_manifest_names_the_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "files.jsonl").write_text(f"\n{text}\n")
    refuse(tmp_path / "files.jsonl", rf"files\.jsonl, line 2: {message}")


def test_a_manifest_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_bytes(b"path,label\n\xff\xfe,cat\n")
    refuse(tmp_path / "files.csv", r"files\.csv, line \d: not CSV in UTF-8")


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path, tree()))
    (tmp_path / "cat" / "0.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat/0\.bin"):
        source.read(0)


def test_a_zip_member_longer_than_its_archive_is_refused(tmp_path: Path) -> None:
    """Its packed size, 4 bytes behind the place of its checksum in the index: room for it would be taken at once."""
    path = write_zip(tmp_path / "data.zip", {"cat/1": b"meow", "dog/1": b"bark"})
    data = bytearray(path.read_bytes())
    entry = data.find(b"PK\x01\x02")
    data[entry + 20 : entry + 24] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)
    refuse(path, r"data\.zip: not a whole zip archive \(cat/1 ends outside\)")
