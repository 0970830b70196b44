"""The script that gathers files of many types: what it takes, and into which part."""

from __future__ import annotations

import zipfile
from pathlib import Path

import prepare_filetypes
import pytest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def gather(root: Path, out: Path, *options: str) -> dict[str, bytes]:
    assert prepare_filetypes.main([str(root), "--out", str(out), "--least", "1", *options]) == 0
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def fill(root: Path, folders: int = 200) -> None:
    for number in range(folders):
        folder = root / f"folder{number}"
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(PNG + bytes([number]))
        (folder / "a.py").write_text(f"print('number {number}')\n")


def test_a_folder_is_in_one_part_alone_and_types_are_those_of_names_that_hold(tmp_path: Path) -> None:
    fill(tmp_path / "tree")
    (tmp_path / "tree" / "folder0" / "liar.png").write_text("a text that calls itself a picture")
    (tmp_path / "tree" / "folder0" / "binary.py").write_bytes(b"\0" * 50)
    (tmp_path / "tree" / "folder0" / "copy.png").write_bytes(PNG + bytes([0]))
    members = gather(tmp_path / "tree", tmp_path / "out.zip")
    assert {name.split("/")[1] for name in members} == {"png", "python"}
    assert len(members) == 400  # neither the liars nor the copy
    parts = {}
    for name, data in members.items():
        number = data[48] if "/png/" in name else int(data.split()[1][:-2])
        assert parts.setdefault(number, name.split("/")[0]) == name.split("/")[0]
    assert set(parts.values()) == {"train", "val", "test"}


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    fill(tmp_path / "tree", 10)
    assert gather(tmp_path / "tree", tmp_path / "a.zip") == gather(tmp_path / "tree", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_unseen_machine_is_a_part_of_its_own(tmp_path: Path) -> None:
    fill(tmp_path / "seen", 40)
    fill(tmp_path / "unseen", 5)
    out = tmp_path / "out.zip"
    (tmp_path / "unseen" / "folder0" / "b.png").write_bytes(PNG + b"only here")
    members = gather(tmp_path / "seen", out, "--held-out", str(tmp_path / "unseen"))
    assert any(data.endswith(b"only here") for name, data in members.items() if name.startswith("held_out/png/"))
    assert not any(data.endswith(b"only here") for name, data in members.items() if not name.startswith("held_out/"))


def test_long_files_keep_their_start_and_their_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_filetypes, "part_of", lambda folder: "train")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "long.txt").write_bytes(b"a" * 5000 + b"b" * 5000)
    (data,) = gather(tmp_path / "tree", tmp_path / "out.zip", "--max-bytes", "100", "--least", "0").values()
    assert data == b"a" * 50 + b"b" * 50


def test_no_such_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepare_filetypes.main([str(tmp_path / "nowhere")])
    assert "nowhere: no such folder" in capsys.readouterr().err
