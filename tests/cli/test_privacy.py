from __future__ import annotations

import json
import os
import random
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from anybyte import load
from anybyte.cli import main
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.files.media import encode_image
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import load_pretrained
from anybyte.privacy.keys import read_key
from anybyte.privacy.permutation import Permutation
from tests.tiny_model import LABELS, save_tiny_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `anybyte` beside a key, a model re-keyed by it (`secret`) and three files: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("files/more").mkdir(parents=True)
    rng = random.Random(0)
    for name in ("a.bin", "b.bin", "more/c.bin"):
        Path("files", name).write_bytes(rng.randbytes(300))

    def run(*args: str) -> tuple[int, str, str]:
        code = main(list(args))
        return code, *capsys.readouterr()

    assert run("privacy", "keygen", "my.key")[0] == 0
    assert run("privacy", "rekey", str(model), "secret", "--key", "my.key")[0] == 0
    return run


def save_with(folder: str, reading: ReadingConfig, model: Path) -> None:
    """The tiny model as one that reads files in its own way."""
    loaded, labels = load_pretrained(model)
    loaded.save_pretrained(folder, labels=labels, reading=reading)


def answers(run: Run, *args: str) -> list[dict[str, object]]:
    code, out, err = run("classify", "--jsonl", "--top", "6", *args)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def scores(run: Run, *args: str) -> list[object]:
    return [{name: value for name, value in row.items() if name != "path"} for row in answers(run, *args)]


def test_a_new_key_is_the_owners_alone(run: Run) -> None:
    code, out, _ = run("privacy", "keygen", "other.key")
    assert code == 0
    assert out == f"wrote other.key\nfingerprint {read_key('other.key').fingerprint}\n"
    assert stat.S_IMODE(os.stat("other.key").st_mode) == 0o600
    code, _, err = run("privacy", "keygen", "other.key")
    assert code == 2
    assert err == "anybyte: other.key: File exists\n"


def test_a_rekeyed_model_answers_sealed_files_as_the_plain_one_answers_plain_files(run: Run, model: Path) -> None:
    assert run("privacy", "apply", "files", "--key", "my.key", "-o", "sealed")[0] == 0
    names = ["a.bin", "b.bin", "more/c.bin"]
    plain = scores(run, "--model", str(model), *(f"files/{name}" for name in names))
    sealed = scores(run, "--model", "secret", *(f"sealed/{name}.sealed" for name in names))
    assert sealed == plain
    assert scores(run, "--model", "secret", "--key", "my.key", *(f"files/{name}" for name in names)) == plain
    assert scores(run, "--model", "secret", "--key", "my.key", *(f"sealed/{name}.sealed" for name in names)) == plain


def test_plain_files_without_the_key_are_refused(run: Run) -> None:
    code, out, err = run("classify", "files/a.bin", "--model", "secret")
    assert (code, out) == (2, "")
    fingerprint = read_key("my.key").fingerprint[:16]
    assert f"files/a.bin: reading this takes the key {fingerprint}..., which is not at hand" in err
    assert "--key" in err


def test_another_keys_mark_is_refused_by_name(run: Run, model: Path) -> None:
    run("privacy", "keygen", "other.key")
    assert run("privacy", "apply", "files/a.bin", "--key", "other.key", "-o", "sealed")[0] == 0
    own, other = (read_key(name).fingerprint[:16] for name in ("my.key", "other.key"))
    code, out, err = run("classify", "sealed/a.bin.sealed", "--model", "secret")
    assert (code, out) == (2, "")
    assert f"sealed/a.bin.sealed is sealed with the key {other}..., but this model is for {own}" in err
    code, _, err = run("classify", "sealed/a.bin.sealed", "--model", str(model))
    assert code == 2
    assert "but this model reads plain files" in err
    code, _, err = run("classify", "files/a.bin", "--model", "secret", "--key", "other.key")
    assert code == 2
    assert f"the key is {other}..., and another is meant: {own}" in err
    code, _, err = run("classify", "files/a.bin", "--model", str(model), "--key", "my.key")
    assert code == 2
    assert "a key is given, but" in err


def test_files_come_back(run: Run) -> None:
    for extra in ((), ("--unmarked",)):
        assert run("privacy", "apply", "files", "--key", "my.key", "-o", f"sealed{extra}", *extra)[0] == 0
        assert run("privacy", "undo", f"sealed{extra}", "--key", "my.key", "-o", f"plain{extra}", *extra)[0] == 0
        for name in ("a.bin", "b.bin", "more/c.bin"):
            before = Path("files", name).read_bytes()
            assert Path(f"plain{extra}", name).read_bytes() == before
            hidden = Path(f"sealed{extra}", name if extra else f"{name}.sealed").read_bytes()
            assert hidden[-300:] == read_key("my.key").apply(before)
            assert len(hidden) == (300 if extra else 348)


def test_undo_takes_the_right_key_and_marked_files_only(run: Run) -> None:
    run("privacy", "keygen", "other.key")
    run("privacy", "apply", "files/a.bin", "--key", "my.key", "-o", "sealed")
    code, _, err = run("privacy", "undo", "sealed", "files/b.bin", "--key", "other.key", "-o", "plain")
    assert code == 2
    assert "sealed/a.bin.sealed is sealed with the key" in err
    assert "files/b.bin is not a sealed file" in err
    assert not Path("plain").exists()


def test_nothing_is_overwritten_and_one_bad_file_does_not_stop_the_others(run: Run) -> None:
    Path("files/empty").touch()
    for _ in range(2):
        code, _, err = run("privacy", "apply", "files", "nothing", "--key", "my.key", "-o", "sealed")
        assert code == 2
        assert "files/empty is empty" in err
        assert "nothing: No such file" in err
    assert "sealed/a.bin.sealed exists already" in err
    assert len(list(Path("sealed").rglob("*"))) == 4
    code, _, err = run("privacy", "apply", "sealed/a.bin.sealed", "--key", "my.key", "-o", "twice")
    assert code == 2
    assert "sealed already" in err


def test_fingerprints_of_everything(run: Run, model: Path) -> None:
    run("privacy", "apply", "files/a.bin", "--key", "my.key", "-o", "sealed")
    fingerprint = read_key("my.key").fingerprint
    code, out, _ = run("privacy", "fingerprint", "my.key", "secret", "sealed/a.bin.sealed")
    assert code == 0
    assert out == "".join(f"{fingerprint}  {name}\n" for name in ("my.key", "secret", "sealed/a.bin.sealed"))
    code, _, err = run("privacy", "fingerprint", str(model))
    assert code == 2
    assert "reads plain files" in err


def test_a_model_folder_holds_no_key(run: Run) -> None:
    key = read_key("my.key")
    for path in Path("secret").iterdir():
        content = path.read_bytes()
        assert key.table not in content
        assert key.table.hex().encode() not in content
        assert b"my.key" not in content
    assert read_reading("secret").privacy == PrivacyConfig(permutation=True, fingerprint=key.fingerprint)
    assert load("secret").labels == LABELS


@pytest.mark.parametrize(
    ("table", "message"),
    [(bytes(range(255)), "256 entries, this has 255"), (bytes(256), "not a permutation")],
)
def test_broken_keys_are_refused_everywhere(run: Run, model: Path, table: bytes, message: str) -> None:
    Path("bad.key").write_text(json.dumps({"kind": "anybyte byte permutation", "permutation": table.hex()}))
    Path("bad.key").chmod(0o600)
    for args in (
        ("privacy", "rekey", str(model), "out"),
        ("privacy", "apply", "files", "-o", "out"),
        ("privacy", "undo", "files", "-o", "out"),
        ("classify", "files/a.bin", "--model", "secret"),
    ):
        code, _, err = run(*args, "--key", "bad.key")
        assert code == 2
        assert "bad.key is a damaged key" in err
        assert message in err
        assert not Path("out").exists()


def test_keys_can_be_changed(run: Run, model: Path) -> None:
    run("privacy", "keygen", "new.key")
    code, _, err = run("privacy", "rekey", "secret", "newer", "--key", "new.key")
    assert code == 2
    assert "secret has the key" in err
    assert "--old-key" in err
    code, _, err = run("privacy", "rekey", "secret", "newer", "--key", "new.key", "--old-key", "new.key")
    assert code == 2
    assert "new.key is the key" in err
    assert run("privacy", "rekey", "secret", "newer", "--key", "new.key", "--old-key", "my.key")[0] == 0
    plain = scores(run, "--model", str(model), "files/a.bin")
    assert scores(run, "--model", "newer", "--key", "new.key", "files/a.bin") == plain
    code, _, err = run("privacy", "rekey", str(model), "newer", "--key", "my.key")
    assert code == 2
    assert "holds a model already" in err
    code, _, err = run("privacy", "rekey", str(model), "x", "--key", "my.key", "--old-key", "my.key")
    assert code == 2
    assert "has no key now" in err


def test_a_model_under_a_drawn_permutation_can_be_given_a_key(run: Run, model: Path) -> None:
    save_with("drawn", ReadingConfig(privacy=PrivacyConfig(permutation=True, seed=5)), model)
    assert run("privacy", "rekey", "drawn", "keyed", "--key", "my.key")[0] == 0
    assert scores(run, "--model", "keyed", "--key", "my.key", "files/a.bin") == scores(
        run, "--model", "drawn", "files/a.bin"
    )
    assert run("privacy", "fingerprint", "drawn")[1].startswith(Permutation.random(5).fingerprint)
    code, _, err = run("privacy", "apply", "files", "--model", "drawn", "--key", "my.key", "-o", "x")
    assert code == 2
    assert "drawn is a model without a key" in err


def test_files_for_a_model_with_a_format_are_sealed_as_it_reads_them(run: Run, model: Path) -> None:
    config = ReadingConfig(format="fhwc", image_size=8, privacy=PrivacyConfig(camera_keep=0.5, noise=3))
    save_with("formatted", config, model)
    assert run("privacy", "rekey", "formatted", "hidden", "--key", "my.key")[0] == 0
    pixels = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Path("picture.png").write_bytes(encode_image(pixels, "png"))
    plain = scores(run, "--model", "formatted", "picture.png")
    assert scores(run, "--model", "hidden", "--key", "my.key", "picture.png") == plain
    assert run("privacy", "apply", "picture.png", "--key", "my.key", "--model", "hidden", "-o", "sealed")[0] == 0
    assert Path("sealed/picture.png.sealed").stat().st_size == 48 + 8 * 8 * 3 // 2
    assert scores(run, "--model", "hidden", "sealed/picture.png.sealed") == plain
    run("privacy", "apply", "picture.png", "--key", "my.key", "-o", "raw")
    code, _, err = run("classify", "raw/picture.png.sealed", "--model", "hidden")
    assert code == 2
    assert "was not read as this model reads files" in err
    assert "--model" in err


def test_sealed_files_are_evaluated(run: Run) -> None:
    for label in LABELS[:2]:
        Path("data", label).mkdir(parents=True)
        for number in range(3):
            Path("data", label, f"{number}.bin").write_bytes(bytes([number]) * 200)
    run("privacy", "apply", "data", "--key", "my.key", "-o", "hidden")
    reports = []
    for data, *extra in (("data", "--key", "my.key"), ("hidden",)):
        code, _, err = run("evaluate", "secret", "--data", data, "--split", "all", "--out", f"out/{data}", *extra)
        assert (code, err) == (0, "")
        reports.append(json.loads(Path(f"out/{data}/report.json").read_text()))
    assert reports[0]["confusion"] == reports[1]["confusion"]
    code, _, err = run("evaluate", "secret", "--data", "data", "--split", "all")
    assert code == 2
    assert "which is not at hand" in err


def test_help_and_unknown_actions(run: Run) -> None:
    code, out, _ = run("privacy", "--help")
    assert code == 0
    assert "examples:" in out
    for action in ("keygen", "rekey", "apply", "undo", "fingerprint"):
        code, out, _ = run("privacy", action, "--help")
        assert code == 0
        assert f"example: anybyte privacy {action}" in out
    assert run("privacy")[0] == 2
    code, _, err = run("privacy", "encrypt")
    assert code == 2
    assert "no action 'encrypt': the actions of `anybyte privacy` are keygen" in err


def test_the_audit_is_handed_its_arguments(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = ModuleType("anybyte.cli.audit")
    audit.main = lambda args: len(args)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "anybyte.cli.audit", audit)
    assert run("privacy", "audit", "secret", "data", "--files", "3")[0] == 4


def test_names_cannot_steer_a_terminal(run: Run) -> None:
    Path("files/red\x1b[31m\nanybyte: all is well").touch()
    code, _, err = run("privacy", "apply", "files", "--key", "my.key", "-o", "sealed")
    assert (code, err) == (2, "anybyte: files/red\\x1b[31m\\nanybyte: all is well is empty\n")
    _, _, err = run("privacy", "fingerprint", "red\x1b[31m")
    assert "\x1b" not in err


def test_pipes_in_folders_are_not_waited_for(run: Run) -> None:
    os.mkfifo("files/pipe")
    code, _, err = run("privacy", "apply", "files", "--key", "my.key", "-o", "sealed")
    assert (code, err) == (2, "anybyte: files/pipe is not a regular file\n")
    assert Path("sealed/a.bin.sealed").exists()


def test_an_interruption_leaves_no_half_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anybyte.cli.privacy.os.replace", interrupt)
    assert run("privacy", "apply", "files", "--key", "my.key", "-o", "sealed")[0] == 130
    assert not list(Path("sealed").iterdir())


def test_nothing_but_the_key_file_shows_the_key(run: Run, model: Path) -> None:
    """Every action, its output, its errors and all that it writes."""
    key = read_key("my.key")
    said = [run("privacy", "apply", "files", "--key", "my.key", "-o", "sealed")]
    said.append(run("privacy", "undo", "sealed", "--key", "my.key", "-o", "plain"))
    said.append(run("privacy", "fingerprint", "my.key", "secret", "sealed/a.bin.sealed"))
    said.append(run("classify", "files/a.bin", "--model", "secret", "--key", "my.key"))
    said.append(run("classify", "files/a.bin", "--model", "secret"))
    said.append(run("privacy", "rekey", str(model), "other", "--key", "my.key", "--old-key", "my.key"))
    forms = [key.table, key.inverse.table, key.table.hex().encode(), str(list(key.table)).encode()]
    texts = [text.encode() for _, out, err in said for text in (out, err)]
    texts += [path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != "my.key"]
    assert len(texts) > 20
    assert not [form for form in forms for text in texts if form in text]
