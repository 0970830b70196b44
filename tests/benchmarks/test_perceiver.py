"""The Perceiver's benchmarks run, compare the same answers, and their lines are lines."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import measure, perceiver_linear

with warnings.catch_warnings(action="ignore"):
    pytest.importorskip("transformers", reason="needs transformers, of the extra dev")
from benchmarks import perceiver_levers, perceiver_peers
from benchmarks.counted import count
from benchmarks.perceiver_cases import CASES, HALF, OURS, THEIRS


def test_a_line_is_found_and_noise_lowers_its_fit() -> None:
    lengths = [1, 2, 4, 8]
    line = perceiver_linear.fit(lengths, [3 + 2 * length for length in lengths])
    assert (line.constant, line.slope, line.r2) == pytest.approx((3, 2, 1))
    assert perceiver_linear.fit(lengths, [length**2 for length in lengths]).r2 < 0.97
    assert perceiver_linear.fit(lengths, [5, 1, 7, 2]).r2 < 0.5


@pytest.mark.parametrize("side", ["inputs", "outputs", "outputs in pieces"])
def test_what_grows_is_what_is_named(side: str) -> None:
    out = perceiver_linear.prepare(side, 5000, 1, perceiver_linear.QUICK, 1)()
    assert out.shape == (1, perceiver_linear.FIXED if side == "inputs" else 5000, 1)


def test_the_linear_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceiver_linear, "QUICK", perceiver_linear.Size(latents=2, width=8, first=4, last=6))
    perceiver_linear.main(["--quick", "--no-memory", "--repeats", "1", "--json", "--results", str(tmp_path)])
    (document,) = tmp_path.glob("*.json")
    results = json.loads(document.read_text())["results"]
    assert set(results) == {"inputs", "outputs", "outputs in pieces"}
    assert results["inputs"]["lengths"] == [16, 32, 64]
    assert document.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", CASES)
def test_both_sides_give_the_same_answer(name: str) -> None:
    """To rounding in fp32, to a few per cent of its norm in bf16."""
    prepared = CASES[name].prepare(quick=True)
    calls = prepared.calls(bf16=CASES[name].bf16)
    expected = prepared.check(THEIRS)
    assert expected.std() > 0
    for side in calls:
        error = perceiver_peers.relative_error(prepared.check(side), expected)
        assert error < (0.03 if side == HALF else 2e-4), side
        assert torch.isfinite(calls[side]()).all()


def test_the_peers_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def growth(function: Any, prepare: Any, *arguments: Any) -> int:
        """In this process: a fresh one takes seconds to import."""
        prepare(*arguments)()
        return 1000

    monkeypatch.setattr(measure, "in_fresh_process", growth)
    arguments = ["--quick", "--case", "language,autoencoder", "--repeats", "2", "--threads", "1", "--clock", "cpu"]
    perceiver_peers.main([*arguments, "--json", "--results", str(tmp_path)])
    (document,) = tmp_path.glob("*.json")
    results = json.loads(document.read_text())["results"]
    assert list(results) == ["language", "autoencoder"]
    assert list(results["language"]["sides"]) == [THEIRS, OURS, HALF]
    assert results["language"]["sides"][OURS]["memory_ratio"] == 1
    assert results["autoencoder"]["times_repeated"] == 128
    assert document.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@torch.inference_mode()
@pytest.mark.parametrize("name", perceiver_levers.pairs(64, 16))
def test_reshapings_give_the_same_for_no_more_products(name: str) -> None:
    first, now = perceiver_levers.pairs(64, 16)[name][1]
    assert perceiver_peers.relative_error(now(), first()) < (0.02 if name.endswith("bf16") else 1e-5)
    assert 0 < count(now).flops <= count(first).flops


def test_an_unknown_case_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        perceiver_peers.main(["--case", "language,chess"])
    assert "no case chess" in capsys.readouterr().err
