from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anybyte import create_model
from anybyte.cli import main
from tests.tiny_model import save_tiny_model

WEIGHTS = "model.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "tiny")


def refusal(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The line that tells why a server did not start."""
    assert main(["serve", *map(str, args), "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_a_missing_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model 'nowhere'" in refusal(capsys, "nowhere")


def test_damaged_weights_stop_the_start(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model / WEIGHTS
    path.write_bytes(path.read_bytes()[:-10])
    assert "not a readable safetensors file" in refusal(capsys, model)


def test_a_pickle_is_never_loaded(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / WEIGHTS).rename(model / "pytorch_model.bin")
    assert "pickle" in refusal(capsys, model)


def test_weights_that_are_no_numbers_stop_the_start(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = {name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(model / WEIGHTS).items()}
    save_file(tensors, model / WEIGHTS)
    assert "the model tiny does not give finite numbers" in refusal(capsys, model)


def test_a_damaged_config_stops_the_start(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"dim": "wide"}))
    assert "config.json" in refusal(capsys, model)


def test_a_model_that_does_not_classify_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_model("perceiver_io_language_nano").save_pretrained(tmp_path / "language")
    assert "does not classify files" in refusal(capsys, tmp_path / "language")


def test_two_models_of_one_name_are_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "two models are named 'tiny'" in refusal(capsys, model, model)


def test_options_are_looked_at(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "queue is 0" in refusal(capsys, model, "--queue", 0)
    assert "queue is 3, less than a request" in refusal(capsys, model, "--queue", 3, "--max-files", 4)
    assert "threshold is 2.0" in refusal(capsys, model, "--threshold", 2)
    assert "--threads is 0" in refusal(capsys, model, "--threads", 0)
    assert "no-tokens" in refusal(capsys, model, "--token-file", tmp_path / "no-tokens")
    assert "more than all files at once" in refusal(capsys, model, "--held-bytes", "1M")


def test_an_address_that_cannot_be_listened_on_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "192.0.2.1:0" in refusal(capsys, model, "--host", "192.0.2.1").splitlines()[-1]


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    assert "anybyte serve runs/digits" in capsys.readouterr().out
