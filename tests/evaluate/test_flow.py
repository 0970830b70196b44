"""Flow on pairs with known flow: numbers pair by pair, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.cli import main
from anybyte.config import FramesConfig
from anybyte.evaluate.flow import by_group, measure_pairs, pair_metrics, table
from anybyte.files.flow import Flow, encode_flow
from anybyte.files.flow_sets import Pair, open_flow_pairs
from anybyte.files.images import encode_image
from anybyte.models.perceiver import Perceiver
from anybyte.recipes.small.flow import MODEL

SIZE = (20, 28)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs of Sintel's, one of them final, and one of the chairs."""
    rng = np.random.default_rng(0)
    frame = encode_image(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), "png")
    flow = encode_flow(Flow(np.tile(np.float32([3, 4]), (*SIZE, 1))), "flo")
    hidden = np.zeros(SIZE, np.uint8)
    hidden[:5] = 255
    files = {f"{part}/cave/frame_000{number}.png": frame for part in ("clean", "final") for number in (1, 2)}
    files |= {"flow/cave/frame_0001.flo": flow, "occlusions/cave/frame_0001.png": encode_image(hidden, "png")}
    files |= {"chairs/0img0.ppm": frame, "chairs/0img1.ppm": frame, "chairs/0flow.flo": flow}
    for name, data in files.items():
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pairs" / name).write_bytes(data)
    return tmp_path / "pairs"


def zero(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.zeros((*first.shape[:2], 2), np.float32)


def test_each_pair_beside_zero_flow(pairs: Path) -> None:
    steps: list[tuple[int, int]] = []
    results = measure_pairs(zero, open_flow_pairs(pairs), lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert list(by_group(results)) == ["chairs", "sintel clean", "sintel final"]
    for result in results:
        assert result.metrics["epe"] == pytest.approx(5)
        assert result.metrics["zero_epe"] == pytest.approx(5)
        assert result.metrics["fl"] == 1
    text = table(results)
    assert "5.00" in text
    assert "clean/cave/frame_0001" in text


def test_what_is_hidden_is_measured_apart() -> None:
    flow = np.zeros((4, 6, 2), np.float32)
    flow[0] = [3, 0]
    hidden = np.zeros((4, 6), bool)
    hidden[0] = True
    frame = np.zeros((4, 6, 3), np.uint8)
    pair = Pair("a", "b", frame, frame, Flow(np.zeros((4, 6, 2), np.float32)), hidden)
    metrics = pair_metrics(flow, pair)
    assert metrics["epe_hidden"] == pytest.approx(3)
    assert metrics["epe_seen"] == 0
    assert metrics["epe"] == pytest.approx(3 / 4)
    known = np.ones((4, 6), bool)
    known[0] = False
    assert "epe_hidden" not in pair_metrics(flow, replace(pair, flow=Flow(pair.flow.vectors, known)))


def test_the_command_prints_the_table_and_writes_the_numbers(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Perceiver(MODEL).save_pretrained("model", reading=FramesConfig(scales=(0.5, 1.0), tiles=False, median=3, check=5))
    assert main(["evaluate", "model", "--data", str(pairs), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "0.5, 1" in out
    assert "3x3 pixels" in out
    assert "over 5x5 pixels" in out
    assert "clean/cave/frame_0001" in out
    report = json.loads(Path("evaluation/report.json").read_text())
    assert [each["set"] for each in report["pairs"]] == ["chairs", "sintel clean", "sintel final"]
    assert report["sets"]["chairs"]["zero_epe"] == pytest.approx(5)
    # Equal frames do not move.
    assert report["sets"]["chairs"]["epe"] == pytest.approx(5, abs=1)
    assert main(["evaluate", "model", "--device", "cpu"]) == 2
    assert "name some with --data" in capsys.readouterr().err
    assert main(["evaluate", "model", "--data", str(pairs), "--split", "val", "--device", "cpu"]) == 2
    assert "all pairs of a set are measured" in capsys.readouterr().err
