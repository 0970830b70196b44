"""Sets of videos: with classes and parts, or without."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from anybyte.files.video_sets import open_videos


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def about(path: Path) -> list[tuple[str, str | None, str | None]]:
    return [(record.name, record.label, record.part) for record in open_videos(str(path)).records]


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    fill(tmp_path, "b.mp4", "a.webm", ".hidden.mp4")
    assert about(tmp_path) == [("a.webm", None, None), ("b.mp4", None, None)]
    listing = open_videos(str(tmp_path))
    assert listing.classes == ()
    assert listing.store.read(listing.records[1].key) == b"b.mp4"


def test_folders_are_parts_and_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/a.mp4", "test/b.mp4")
    assert about(tmp_path) == [("test/b.mp4", None, "test"), ("train/a.mp4", None, "train")]
    fill(tmp_path / "more", "train/run/a.mp4", "val/walk/b.mp4")
    assert about(tmp_path / "more") == [("train/run/a.mp4", "run", "train"), ("val/walk/b.mp4", "walk", "val")]
    assert open_videos(str(tmp_path / "more")).classes == ("run", "walk")


def test_a_zip_and_a_single_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("run/a.mp4", b"1")
        archive.writestr("walk/b.mp4", b"22")
    listing = open_videos(str(tmp_path / "a.zip"))
    assert listing.classes == ("run", "walk")
    assert listing.store.read(listing.records[1].key) == b"22"
    fill(tmp_path, "c.mp4")
    listing = open_videos(str(tmp_path / "c.mp4"))
    assert [record.name for record in listing.records] == ["c.mp4"]
    assert listing.store.read(listing.records[0].key) == b"c.mp4"


def test_a_manifest_names_videos(tmp_path: Path) -> None:
    fill(tmp_path, "c.mp4")
    (tmp_path / "all.csv").write_text("path,label,split\nc.mp4,run,test\n")
    assert about(tmp_path / "all.csv") == [("c.mp4", "run", "test")]


def test_what_is_no_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_videos(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="there are no files in it"):
        open_videos(str(tmp_path))
    with pytest.raises(ValueError, match="no data set is named"):
        open_videos("")
    fill(tmp_path, "a.mp4", "run/b.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4 lies in no class folder, and others do"):
        open_videos(str(tmp_path))
