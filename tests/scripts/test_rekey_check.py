"""The script that shows what re-keying does, on made files."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from anybyte import load
from anybyte.privacy.permutation import Permutation
from tests.tiny_model import LABELS, save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rekey_check", ROOT / "scripts" / "rekey_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rekey_check"] = module  # where dataclasses look up the annotations of their fields
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def make_files(count: int = 60) -> list[bytes]:
    rng = random.Random(0)
    return [rng.randbytes(rng.randint(20, 400)) for _ in range(count)]


def test_the_key_keeps_every_answer_and_others_keep_few(script: ModuleType, model: Path) -> None:
    predictor, files = load(model, device="cpu"), make_files()
    targets = [LABELS.index(answer.label) for answer in predictor.classify(files)]
    found = script.check(predictor, files, targets, seed=0)
    assert (found.files, found.bit_equal) == (60, 60)
    assert found.plain == found.keyed == 1
    assert found.unpermuted < 0.6
    assert found.wrong_key < 0.6
    assert 0 < found.chance < 1


def test_a_difference_in_the_last_bit_is_seen(script: ModuleType, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def almost(plain: torch.nn.Module, key: Permutation) -> torch.nn.Module:
        changed = rekey(plain, key)
        changed.classifier.bias.data[0] += 1e-6
        return changed

    rekey = script.rekey
    monkeypatch.setattr(script, "rekey", almost)
    assert script.check(load(model, device="cpu"), make_files(), [0] * 60, seed=0).bit_equal < 60


def test_the_command(script: ModuleType, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, data in enumerate(make_files(40)):
        path = tmp_path / "data" / LABELS[number % 2] / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert script.main([str(model), str(tmp_path / "data"), "--files", "3", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == found["bit_equal"] == 3
    assert found["plain"] == found["keyed"]
    assert script.main([str(tmp_path / "nothing"), str(tmp_path / "data")]) == 2
    assert "rekey_check: no model" in capsys.readouterr().err
