from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from anybyte.cli import main
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.files.media import encode_image
from anybyte.models.pretrained import read_reading
from anybyte.models.zoo import load_pretrained
from tests.privacy.pictures import smooth_pictures
from tests.tiny_model import LABELS, save_tiny_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `anybyte privacy audit` beside `model/` and `data/`, 30 pictures of each of two classes."""
    monkeypatch.chdir(tmp_path)
    save_tiny_model(Path("model"))
    pictures = iter(smooth_pictures(60, 12))
    for label in LABELS[:2]:
        Path("data", label).mkdir(parents=True)
        for number in range(30):
            Path("data", label, f"{number}.tif").write_bytes(encode_image(next(pictures), "tiff"))

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["privacy", *args])
        return code, *capsys.readouterr()

    return run


def rows(folder: str = "audit") -> dict[str, dict[str, object]]:
    content = json.loads(Path(folder, "audit.json").read_text())
    return {row["attack"]: row for section in content["sections"] for row in section["rows"]}


QUICK = ("--files", "4", "--attack", "headers", "--attack", "embedding")


def test_a_plain_model_is_attacked_as_if_rekeyed(run: Run) -> None:
    code, out, err = run("audit", "model", "data", *QUICK)
    assert (code, err) == (0, "")
    assert "Permutation of the byte values" in out
    assert "% of 4" in out
    assert rows()["embedding"]["key"] == {"values": 1, "occurring": 1, "bytes": 1, "error": 0}
    assert sorted(path.name for path in Path("audit").iterdir()) == ["audit.json", "audit.md", "permutation.png"]


def test_a_rekeyed_model_is_attacked_with_its_key(run: Run) -> None:
    assert run("keygen", "my.key")[0] == 0
    assert run("keygen", "other.key")[0] == 0
    assert run("rekey", "model", "secret", "--key", "my.key")[0] == 0
    code, out, _ = run("audit", "secret", "data", *QUICK, "--key", "my.key", "--public-model", "model")
    assert code == 0
    assert rows()["embedding"]["psnr"] == 99
    table = json.loads(Path("my.key").read_text())["permutation"]
    assert table not in out + Path("audit/audit.json").read_text() + Path("audit/audit.md").read_text()
    plain_accuracy = next(line for line in out.splitlines() if line.startswith("accuracy"))
    assert run("audit", "model", "data", *QUICK)[1].splitlines()[1].split()[-3:] == plain_accuracy.split()[-3:]
    code, _, err = run("audit", "secret", "data", *QUICK)
    assert code == 2
    assert "--key" in err
    code, _, err = run("audit", "secret", "data", *QUICK, "--key", "other.key")
    assert code == 2
    assert "other.key" in err


def test_a_camera_is_attacked(run: Run) -> None:
    model, labels = load_pretrained("model")
    reading = ReadingConfig(format="fhwc", privacy=PrivacyConfig(camera_keep=0.25))
    model.save_pretrained("camera", labels=labels, reading=reading)
    code, out, _ = run("audit", "camera", "data", "--files", "6", "--attack", "nearest", "--attack", "smooth")
    assert code == 0
    assert "Camera that keeps 25%" in out
    assert "% of 6" in out
    assert set(rows()) == {"nearest", "smooth"}
    assert Path("audit/camera.png").stat().st_size > 0


def test_what_a_model_was_not_made_for_is_not_measured(run: Run) -> None:
    code, out, _ = run("audit", "model", "data", "--noise", "20", "--files", "3", "--attack", "headers")
    assert code == 0
    assert "not measured: the model was not made for this reading" in out
    assert "after noise of ±20" in out


def test_files_of_other_classes_are_attacked_without_accuracy(run: Run) -> None:
    os.rename("data/cat", "data/zebra")
    code, out, _ = run("audit", "model", "data", *QUICK)
    assert code == 0
    assert "not measured: the files are not of the model's classes" in out


def test_files_of_one_folder_are_halved(run: Run) -> None:
    Path("other").mkdir()
    os.rename("data/dog", "other/dog")
    code, out, _ = run("audit", "model", "data", "--files", "5", "--attack", "ranks")
    assert code == 0
    assert "5 files of data" in out
    assert "25 files of the same data" in out
    code, out, _ = run("audit", "model", "data", "--files", "5", "--attack", "ranks", "--public", "other")
    assert code == 0
    assert "30 files of other" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nothing", "data"), "nothing"),
        (("model", "elsewhere"), "elsewhere"),
        (("model", "data", "--files", "0"), "0"),
        (("model", "data", "--attack", "magic"), "magic"),
        (("model", "data", "--camera-keep", "2"), "2"),
        (("model", "data", "--noise", "999"), "999"),
        (("model", "data", "--key", "missing.key"), "missing.key"),
        (("model", "data", "--size", "x"), "x"),
    ],
)
def test_bad_input_is_named(run: Run, args: tuple[str, ...], message: str) -> None:
    code, out, err = run("audit", *args)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not Path("audit").exists()


def test_an_order_of_bytes_is_not_attacked(run: Run) -> None:
    model, labels = load_pretrained("model")
    privacy = dataclasses.replace(read_reading("model").privacy, order="reverse")
    model.save_pretrained("reversed", labels=labels, reading=ReadingConfig(format="fhwc", privacy=privacy))
    code, _, err = run("audit", "reversed", "data")
    assert code == 2
    assert "'reverse'" in err
