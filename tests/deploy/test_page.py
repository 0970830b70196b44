"""The page that is built around a model, without a browser."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.deploy import page
from anybyte.deploy.page import RUNTIME_FILES, WEB, build_page, page_settings
from anybyte.privacy.permutation import Permutation
from anybyte.reading import as_json, reading_digest


def about(reading: ReadingConfig | None = None) -> dict[str, Any]:
    """What stands beside an ONNX file."""
    return {"labels": ["a", "b"], "reading": as_json(reading) if reading else {}, "several": False, "max_length": None}


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    """A file that stands for a model: what is in it is not looked at."""
    path = tmp_path / "out" / "digits.onnx"
    path.parent.mkdir()
    path.write_bytes(b"a model")
    path.with_suffix(".json").write_text(json.dumps(about()))
    return path


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the npm package, with small files in the place of its large ones."""
    folder = tmp_path / "package"
    (folder / "dist").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in RUNTIME_FILES}
    monkeypatch.setattr(page, "RUNTIME_FILES", digests)
    return folder


def pack(runtime: Path, archive: Path, leave_out: str = "") -> Path:
    """The archive that npm would make of the package."""
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted((runtime / "dist").iterdir()):
            if file.name != leave_out:
                tar.add(file, f"package/dist/{file.name}")
        info = tarfile.TarInfo("../outside")
        tar.addfile(info, io.BytesIO(b""))
    return archive


def test_the_folder_holds_all_that_the_page_names(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    files = build_page(tmp_path / "page", onnx, runtime, name="digits", card="# Digits")
    names = {path.relative_to(tmp_path / "page").as_posix() for path in files}
    assert {"index.html", "page.css", "page.json", "model.onnx", "model.json", "js/main.js"} <= names
    assert {f"runtime/{name}" for name in RUNTIME_FILES} <= names
    assert {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")} <= names
    assert not any(name.endswith(".py") for name in names)
    settings = json.loads((tmp_path / "page/page.json").read_text())
    assert (settings["engine"], settings["name"], settings["card"]) == ("browser", "digits", "# Digits")
    assert (tmp_path / "page" / settings["model"]).read_bytes() == b"a model"
    assert json.loads((tmp_path / "page" / settings["about"]).read_text()) == about()


def test_a_page_is_built_again_in_its_place(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    first = build_page(tmp_path / "page", onnx, runtime)
    onnx.write_bytes(b"another model")
    assert build_page(tmp_path / "page", onnx, runtime) == first
    assert (tmp_path / "page/model.onnx").read_bytes() == b"another model"
    build_page(tmp_path / "page", tmp_path / "page/model.onnx", runtime)  # the model is there already
    assert (tmp_path / "page/model.onnx").read_bytes() == b"another model"


def test_another_folder_is_left_alone(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"mine holds something else than a page \(letter\.txt\)"):
        build_page(tmp_path / "mine", onnx, runtime)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("place", ["package", "package/dist", ""])
def test_the_runtime_is_found_in_a_folder(onnx: Path, runtime: Path, tmp_path: Path, place: str) -> None:
    build_page(tmp_path / "page", onnx, tmp_path / place if place else runtime.parent)
    assert all((tmp_path / "page/runtime" / name).read_text() == name for name in RUNTIME_FILES)


def test_the_runtime_is_taken_out_of_an_archive(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    build_page(tmp_path / "page", onnx, pack(runtime, tmp_path / "ort.tgz"))
    assert all((tmp_path / "page/runtime" / name).read_text() == name for name in RUNTIME_FILES)
    assert not (tmp_path / "outside").exists()


def test_another_runtime_is_refused(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    name = next(iter(RUNTIME_FILES))
    with pytest.raises(ValueError, match="is not the archive of onnxruntime-web"):
        build_page(tmp_path / "page", onnx, pack(runtime, tmp_path / "ort.tgz", leave_out=name))
    with pytest.raises(ValueError, match="is not the archive of onnxruntime-web"):
        build_page(tmp_path / "page", onnx, onnx)
    (runtime / "dist" / name).write_text("something else")
    with pytest.raises(ValueError, match=f"{name} is not the file of onnxruntime-web.*SHA-256"):
        build_page(tmp_path / "page", onnx, runtime)
    (runtime / "dist" / name).unlink()
    with pytest.raises(ValueError, match=f"does not hold {name}"):
        build_page(tmp_path / "page", onnx, runtime)
    assert not (tmp_path / "page/runtime").exists()


def test_npm_fetches_the_runtime_once(
    onnx: Path, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(runtime, tmp_path / "ort.tgz")
    tools = tmp_path / "bin"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncp {archive} "$4"/onnxruntime-web.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(2):
        build_page(tmp_path / f"page{number}", onnx)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 1
    assert asked[0].startswith(f"pack {page.RUNTIME} --pack-destination ")
    npm.write_text("#!/bin/sh\necho 'npm error 404' >&2\nexit 1\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(OSError, match=r"`npm pack onnxruntime-web@.*` failed: npm error 404"):
        build_page(tmp_path / "page2", onnx)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match=r"npm, which would fetch it, is not installed.*--runtime"):
        build_page(tmp_path / "page2", onnx)


def test_a_damaged_description_is_told(onnx: Path, runtime: Path, tmp_path: Path) -> None:
    onnx.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match=r"digits\.json does not tell labels and reading"):
        build_page(tmp_path / "page", onnx, runtime)
    onnx.with_suffix(".json").write_text("[")
    with pytest.raises(ValueError, match=r"digits\.json is no JSON"):
        build_page(tmp_path / "page", onnx, runtime)


def test_the_settings_of_permutations() -> None:
    plain = page_settings(about(), "a.json")
    assert (plain["key"], plain["permutation"], plain["padding"]) == (None, None, 256)

    drawn = ReadingConfig(privacy=PrivacyConfig(permutation=True, seed=3))
    assert page_settings(about(drawn), "a.json")["permutation"] == Permutation.random(3).table.hex()

    fingerprint = Permutation.random(9).fingerprint
    keyed = ReadingConfig(privacy=PrivacyConfig(permutation=True, fingerprint=fingerprint))
    settings = page_settings(about(keyed), "a.json")
    assert (settings["key"], settings["permutation"]) == (fingerprint, None)
    assert settings["digest"] == reading_digest(keyed).hex()


@pytest.mark.parametrize(
    "reading",
    [
        ReadingConfig(format="tiff"),
        ReadingConfig(rate=8000),
        ReadingConfig(privacy=PrivacyConfig(order="reverse")),
        ReadingConfig(privacy=PrivacyConfig(permutation=True, noise=3)),
    ],
    ids=lambda reading: str(dataclasses.asdict(reading))[:30],
)
def test_what_a_browser_cannot_read_is_refused(reading: ReadingConfig) -> None:
    with pytest.raises(ValueError, match="a browser has the stored bytes only"):
        page_settings(about(reading), "a.json")


def test_the_page_has_neither_inline_code_nor_foreign_addresses() -> None:
    html = (WEB / "index.html").read_text()
    assert "style=" not in html
    assert "onclick" not in html
    assert html.count("<script") == html.count('<script type="module" src=')
    for file in (*WEB.rglob("*.js"), *WEB.glob("*.css"), WEB / "index.html"):
        text = file.read_text()
        assert "http://" not in text, file
        assert "https://" not in text, file
        assert "innerHTML" not in text, file
        assert "eval(" not in text, file
