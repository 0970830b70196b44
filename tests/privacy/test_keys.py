from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from anybyte.privacy.keys import create_key, read_key
from anybyte.privacy.permutation import Permutation


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_read_as_it_was_drawn(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    assert read_key(tmp_path / "key") == key
    assert create_key(tmp_path / "other") != key


def test_only_the_owner_may_read_a_key_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_key(tmp_path / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    with pytest.raises(FileExistsError, match="key"):
        create_key(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="link"):
        create_key(tmp_path / "link")
    assert read_key(tmp_path / "key") == key
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ValueError, match=rf"key may be read by others \(mode 0{mode:o}\).*chmod 600 .*key"):
        read_key(tmp_path / "key")


def test_a_file_that_is_no_key_is_not_to_be_made_ones_own(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "photo.png").chmod(0o644)
    with pytest.raises(ValueError, match=r"photo\.png is not a key file"):
        read_key(tmp_path / "photo.png")


def key_file(table: bytes) -> str:
    return json.dumps({"kind": "anybyte byte permutation", "permutation": table.hex()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a key file"),
        ("[]", "is not a key file"),
        ("[" * 50_000, "is not a key file"),
        ('{"permutation": "00"}', "is not a key file"),
        ('{"kind": "anybyte byte permutation"}', "is not a key file"),
        ('{"kind": "anybyte byte permutation", "permutation": "0g"}', "damaged key.*512 hexadecimal digits"),
        (key_file(bytes(range(255))), "damaged key: .*has 256 entries, this has 255"),
        (key_file(bytes(range(255)) + b"\0"), "damaged key: not a permutation"),
    ],
)
def test_what_is_no_key_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"key.json.*{message}"):
        read_key(write(tmp_path / "key.json", text))


def test_no_message_shows_a_key(tmp_path: Path) -> None:
    table = Permutation.secret().table.hex()
    damaged = write(
        tmp_path / "key", json.dumps({"kind": "anybyte byte permutation", "permutation": table[:-2] + "xy"})
    )
    with pytest.raises(ValueError, match="damaged") as caught:
        read_key(damaged)
    assert caught.value.__cause__ is None
    assert table[:8] not in str(caught.value)


def test_folders_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, and a key is a file"):
        read_key(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_key(tmp_path / "nothing")
