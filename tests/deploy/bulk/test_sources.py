"""What is listed, in which order, and where the listing can be taken up."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from anybyte.deploy.bulk import sources as sources_module
from anybyte.deploy.bulk.sources import Entry, LocalFiles, Source, Tree, list_entries, open_sources


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def walked(root: Path) -> set[str]:
    """The files of a tree, by other means."""
    return {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}


def packed(tree: Path, path: Path) -> Path:
    """The tree as an archive, in an order of its own."""
    files = sorted((file for file in tree.rglob("*") if file.is_file()), key=lambda file: file.name[::-1])
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(tree))
    else:
        with tarfile.open(path, "w") as tar:
            for file in files:
                tar.add(file, str(file.relative_to(tree)))
    return path


def read(source: Source, entry: Entry) -> bytes:
    with source.open(entry) as stream:
        return stream.read()


def test_a_tree_is_listed_once_in_order(tree: Path) -> None:
    entries = list(list_entries(open_sources([str(tree)]), None))
    assert {entry.path for entry in entries} == walked(tree)
    assert len(entries) == len(walked(tree)) == 16
    keys = [entry.key for entry in entries]
    assert keys == sorted(keys)
    assert {entry.path: entry.size for entry in entries}[str(tree / "long")] == 1001


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "memory", "file"])
def test_a_listing_goes_on_behind_any_file(
    kind: str, tree: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    (tree / "gone").unlink()
    name = str(tree)
    if kind in ("zip", "tar"):
        name = str(packed(tree, tmp_path / f"a.{kind}"))
    elif kind == "memory":
        memory.put(str(tree), "/data", recursive=True)
        name = "memory:///data"
    elif kind == "file":
        name = tree.as_uri()
    opened = open_sources([name])
    entries = list(list_entries(opened, None))
    assert len(entries) == 15
    for number, entry in enumerate(entries):
        assert list(list_entries(opened, (0, entry.key))) == entries[number + 1 :]
    contents = {entry.path.removeprefix(name).lstrip("/"): read(opened[0], entry) for entry in entries}
    assert contents == {str(path.relative_to(tree)): path.read_bytes() for path in map(Path, walked(tree))}
    opened[0].close()


def test_an_object_beside_a_prefix_of_its_name_is_met_once(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x", "a", "a.b", "b/a/y", "b/a"):
        memory.pipe_file(f"/data/{name}", name.encode())

    def ls(path: str, detail: bool = True, **_: object) -> list[dict[str, object]]:
        """As object stores list: by prefix. Alone, a memory file hides the folder of its name."""
        below = [key.removeprefix(f"{path}/").partition("/")[::2] for key in memory.store if key.startswith(f"{path}/")]
        folders = [{"name": f"{path}/{name}", "type": "directory"} for name in {name for name, rest in below if rest}]
        return folders + [{"name": f"{path}/{name}", "type": "file", "size": 1} for name, rest in below if not rest]

    monkeypatch.setattr(memory, "ls", ls)
    opened = open_sources(["memory:///data"])
    entries = list(list_entries(opened, None))
    keys = [entry.key for entry in entries]
    assert keys == sorted(keys) == [("a",), ("a", "x"), ("a.b",), ("b", "a"), ("b", "a", "y")]
    for number, entry in enumerate(entries):
        assert list(list_entries(opened, (0, entry.key))) == entries[number + 1 :]


def test_several_sources_follow_each_other(tree: Path, tmp_path: Path) -> None:
    single = tmp_path / "single"
    single.write_bytes(b"abc")
    opened = open_sources([str(tree / "1"), str(single), str(tree / "0")])
    entries = list(list_entries(opened, None))
    assert [entry.source for entry in entries] == [0] * 4 + [1] + [2] * 4
    for number, entry in enumerate(entries):
        assert list(list_entries(opened, (entry.source, entry.key))) == entries[number + 1 :]
    assert read(opened[1], entries[4]) == b"abc"


def test_what_came_before_is_not_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    children = LocalFiles.children

    def watched(self: LocalFiles, folder: str) -> list[sources_module.Child]:
        looked_at.append(Path(folder).name)
        return children(self, folder)

    monkeypatch.setattr(LocalFiles, "children", watched)
    listing = Tree(0, LocalFiles(), str(tree)).entries(("1", "4.bin"))
    next(listing)
    assert looked_at == ["tree", "1"]  # not 0, which lies before, nor 2, which nobody has asked for yet


def test_files_that_come_and_go_meanwhile_do_not_shift_the_others(tree: Path) -> None:
    entries = list(list_entries(open_sources([str(tree)]), None))
    done, rest = entries[:7], entries[7:]
    Path(done[2].path).unlink()
    (tree / "0" / "00.bin").write_bytes(b"new, and before the place")
    (tree / "zz").write_bytes(b"new, and behind it")
    found = [entry.path for entry in list_entries(open_sources([str(tree)]), (0, done[-1].key))]
    assert found == [entry.path for entry in rest] + [str(tree / "zz")]


def test_pipes_and_links_to_folders_are_left_out(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "link").symlink_to(tree / "0")
    (tree / "good_link").symlink_to(tree / "1.txt")
    names = [Path(entry.path).name for entry in list_entries(open_sources([str(tree)]), None)]
    assert "pipe" not in names
    assert "link" not in names
    assert "good_link" in names
    assert len(names) == 17


def test_a_folder_that_cannot_be_read_is_an_entry(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("/1"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    opened = open_sources([str(tree)])
    entries = list(list_entries(opened, None))
    (fault,) = [entry for entry in entries if entry.fault]
    assert (fault.path, fault.fault) == (str(tree / "1"), "Permission denied")
    place = entries.index(fault)
    assert list(list_entries(opened, (0, fault.key))) == entries[place + 1 :]


def test_hard_links_in_a_tar_are_files(tmp_path: Path) -> None:
    def member(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info

    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"bytes"))
        tar.addfile(member("folder", tarfile.DIRTYPE, ""))
        tar.addfile(member("symlink", tarfile.SYMTYPE, "symlink"))
        for name, target in (("link", "file"), ("gone", "nowhere"), ("of folder", "folder"), ("round", "symlink")):
            tar.addfile(member(name, tarfile.LNKTYPE, target))
    (source,) = open_sources([str(tmp_path / "a.tar")])
    entries = {str(entry.key[0]): entry for entry in source.entries(None)}
    assert sorted(entries) == ["file", "gone", "link", "of folder", "round"]
    assert (entries["link"].size, read(source, entries["link"])) == (None, b"bytes")
    for name, target in (("gone", "nowhere"), ("of folder", "folder"), ("round", "symlink")):
        with pytest.raises(ValueError, match=f"is a link to {target}, which is no file of the archive"):
            source.open(entries[name])
    source.close()


def test_names_of_any_bytes_can_be_told(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/names"
    os.mkdir(folder)
    with open(folder + b"/caf\xe9", "wb") as file:
        file.write(b"x")
    opened = open_sources([os.fsdecode(folder)])
    (entry,) = list_entries(opened, None)
    assert entry.path.endswith(r"/caf\xe9")
    assert read(opened[0], entry) == b"x"


def test_archives_and_urls_can_be_sent_to_other_processes(tree: Path, tmp_path: Path) -> None:
    for name in (str(packed(tree, tmp_path / "a.zip")), str(packed(tree, tmp_path / "a.tar")), tree.as_uri()):
        (source,) = open_sources([name])
        entry = next(iter(list_entries([source], None)))
        sent = pickle.loads(pickle.dumps(source))
        assert read(sent, entry) == read(source, entry)
        for opened in (sent, source):
            opened.close()
        assert read(source, entry)  # it opens again
        source.close()


def test_a_remote_archive_is_read_where_it_is(tree: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/store/a.zip", packed(tree, tmp_path / "a.zip").read_bytes())
    opened = open_sources(["memory://store/a.zip"])
    entries = {entry.path: entry for entry in list_entries(opened, None)}
    assert read(opened[0], entries["memory:///store/a.zip/1.txt"]) == (tree / "1.txt").read_bytes()
    opened[0].close()


def test_mistakes_are_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_sources([str(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match=r"/tree/1 is named twice, or lies in .*tree: its files would be there twice"):
        open_sources([str(tree), str(tree / "1")])
    with pytest.raises(ValueError, match="is named twice"):
        open_sources(["memory://a/", "memory://a"])
    with pytest.raises(ValueError, match="nonsense://a cannot be opened"):
        open_sources(["nonsense://a"])
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"decompress it to \.tar first"):
        open_sources([str(tmp_path / "a.tar.gz")])
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"bad.zip is not a whole archive"):
        list(list_entries(open_sources([str(tmp_path / "bad.zip")]), None))
    (tmp_path / "bad.tar").write_bytes(io.BytesIO(b"x" * 2000).getvalue())
    with pytest.raises(ValueError, match=r"bad.tar is not a whole archive"):
        list(list_entries(open_sources([str(tmp_path / "bad.tar")]), None))
