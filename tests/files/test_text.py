"""Text from files, folders and archives, in parts and by shares."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.text import BETWEEN, Texts, absolute_texts, open_text, open_texts


def contents(texts: Texts) -> dict[str, bytes]:
    return {document.name: texts.read(document) for document in texts.documents}


@pytest.fixture
def novels(tmp_path: Path) -> Path:
    folder = tmp_path / "novels"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a" * 100)
    (folder / "more/b.txt").write_bytes(b"\xff\x00" * 100)
    (folder / ".hidden").write_bytes(b"no")
    return folder


def test_without_named_parts_the_end_of_each_document_is_held_out(novels: Path) -> None:
    splits = open_texts(str(novels), held_out=0.05)
    (train,) = splits.train.sources
    assert isinstance(train, Texts)
    assert contents(train) == {"a.txt": b"a" * 95, "more/b.txt": b"\xff\x00" * 95}
    assert contents(splits.val[0]) == {"a.txt": b"a" * 5, "more/b.txt": b"\xff\x00" * 5}
    assert splits.test == ()
    assert splits.train.size == 95 + 190


def test_files_whose_names_say_so_are_the_parts(novels: Path) -> None:
    (novels / "wiki.valid.txt").write_bytes(b"v")
    (novels / "test.txt").write_bytes(b"t")
    splits = open_texts(str(novels))
    assert contents(splits.train.sources[0]) == {"a.txt": b"a" * 100, "more/b.txt": b"\xff\x00" * 100}  # type: ignore[arg-type]
    assert contents(splits.val[0]) == {"wiki.valid.txt": b"v"}
    assert contents(splits.test[0]) == {"test.txt": b"t"}
    assert len(open_text(str(novels)).documents) == 4, "undivided, all are there"


def test_an_archive_is_as_its_folder(novels: Path, tmp_path: Path) -> None:
    path = tmp_path / "novels.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.txt", "more/b.txt", ".hidden", "__MACOSX/a.txt"):
            archive.writestr(name, (novels / name).read_bytes() if (novels / name).exists() else b"junk")
    zipped, folder = open_text(str(path)), open_text(str(novels))
    assert contents(zipped) == contents(folder)
    assert zipped.identity() == folder.identity()
    assert contents(pickle.loads(pickle.dumps(zipped))) == contents(folder)


def test_several_texts_are_mixed_by_their_sizes_or_as_told(novels: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(b"o" * 300)
    assert open_texts(f"{novels}+{other}", held_out=0).train.shares == (0.5, 0.5)
    mixture = open_texts(f"0.9*{novels}+.1*{other}", held_out=0).train
    assert mixture.shares == (0.9, 0.1)
    rng = np.random.default_rng(0)
    assert 60 < sum(b"o" in mixture.crop(8, 1, rng) for _ in range(1000)) < 140
    assert open_texts(f"7*{novels}+3*{other}").train.shares == pytest.approx((0.7, 0.3))


def test_a_crop_is_a_stretch_of_documents_put_together(tmp_path: Path) -> None:
    texts = {name: os.urandom(50).replace(BETWEEN, b"x") for name in "abc"}
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
    found = open_text(str(tmp_path))
    orders = [BETWEEN.join(texts[name] for name in order) for order in ("abc", "acb", "bac", "bca", "cab", "cba")]
    crops = [found.crop(60, 10, np.random.default_rng(seed)) for seed in range(50)]
    assert all(len(crop) == 60 and any(crop in order for order in orders) for crop in crops)
    assert len({crop[:10] for crop in crops}) > 30
    assert found.crop(60, 10, np.random.default_rng(1)) == crops[1]
    assert found.crop(1000, 10, np.random.default_rng(0)) in orders, "shorter, if there is no more"
    assert found.crop(40, 1, np.random.default_rng(0)) in b" ".join(texts.values())


def test_windows_are_all_of_a_text(novels: Path) -> None:
    texts = open_text(str(novels))
    parts = [texts.read(document, start, start + 64) for document, start in texts.windows(64)]
    assert b"".join(parts) == b"a" * 100 + b"\xff\x00" * 100
    assert [len(part) for part in parts] == [64, 36, 64, 64, 64, 8]


def test_paths_hold_in_any_folder(novels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(novels.parent)
    assert absolute_texts("0.7*novels+0.3*hf:a/b:c") == f"0.7*{novels}+0.3*hf:a/b:c"
    assert absolute_texts("novels/") == str(novels)
    assert absolute_texts("") == ""
    odd = novels.parent / "2*x+y.txt"
    odd.write_bytes(b"a name that is there is taken for what it is")
    assert absolute_texts("2*x+y.txt") == str(odd)
    assert open_text("2*x+y.txt").size == 44


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "no text is named"),
        ("novels+", r"novels\+: expected a text on both sides of each \+"),
        ("0.5*novels+other.txt", "give each text a share or none"),
        ("0*novels+1*other.txt", "a share must be positive, got 0"),
        ("1*novels+1*test.txt", "test.txt has a share of the training text, and none for training in it"),
        ("empty", "empty/nothing.txt: the file is empty"),
        ("nothing.txt", r"nothing.txt: the file is empty \(data.on_error skip leaves such files out\)"),
        ("bare", "bare: there is no file in it"),
        ("bad.zip", "bad.zip: File is not a zip file"),
    ],
)
def test_mistakes_are_named(novels: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str) -> None:
    monkeypatch.chdir(novels.parent)
    for name, data in (("other.txt", b"x"), ("test.txt", b"x"), ("nothing.txt", b""), ("bad.zip", b"x")):
        Path(name).write_bytes(data)
    Path("bare").mkdir()
    Path("empty").mkdir()
    Path("empty/nothing.txt").touch()
    with pytest.raises(ValueError, match=message):
        open_texts(path)


def test_what_is_not_there_and_what_is_left_out(novels: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        open_texts(str(novels / "missing.txt"))
    (novels / "c.txt").touch()
    assert len(open_text(str(novels), skip_empty=True).documents) == 2
    with pytest.raises(ValueError, match=r"held_out must be at least 0 and below 1, got 1\.5"):
        open_texts(str(novels), held_out=1.5)
