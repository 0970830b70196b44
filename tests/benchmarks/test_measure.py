"""What the benchmarks measure with: turns, ratios, memory that is a call's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import latency, measure, mixed_lengths

HELD = 40 * measure.MB


def prepare_to_fill() -> Callable[[], object]:
    """A call that fills `HELD` bytes, prepared by one that filled and dropped three times as many."""
    bytearray(b"x") * (3 * HELD)
    return lambda: bytearray(b"x") * HELD


def test_every_round_has_all_sides_and_starts_with_another() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    seconds = measure.take_turns(calls, repeats=3, warmup=1)
    assert "".join(order) == "abcbcacababc"
    assert [len(times) for times in seconds.values()] == [3, 3, 3]


def test_ratio_is_of_medians_and_its_range_of_rounds() -> None:
    assert measure.ratio((2.0, 4.0, 9.0), (1.0, 2.0, 3.0)) == measure.Ratio(2.0, 2.0, 3.0)


def test_the_machines_rate_is_that_of_its_quicker_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_PRODUCTS", 3)
    seconds = {"product by BLAS": (4.0, 5.0, 9.0), "product by oneDNN": (2.0, 2.5, 1.0), "else": (0.1,)}
    assert measure.machine_rate(seconds, size=10) == 2 * 10**3 * 3 / 2.0
    for way in measure.matrix_products("bf16", size=8).values():
        way()


def test_memory_is_that_of_the_call_alone() -> None:
    """Neither what the starting process holds, nor an earlier peak of the fresh one, hides the growth."""
    held = bytearray(b"x") * (3 * HELD)
    growth = measure.in_fresh_process(measure.growth_of_call, prepare_to_fill)
    assert len(held) == 3 * HELD
    assert HELD <= growth + measure.MB < 1.2 * HELD


def test_mixed_lengths_divide_into_equal_ones() -> None:
    lengths = mixed_lengths.mixed_lengths(16, 1_000, 150_000, seed=3)
    assert len(lengths) == 16
    assert sum(lengths) % 16 == 0
    assert min(lengths) >= 1_000 - 16
    assert max(lengths) <= 150_000


def test_an_unknown_case_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        latency.main(["--cases", "wav,gif"])
    assert "no case gif" in capsys.readouterr().err


def test_json_alone_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--files", "2", "--batches", "1", "--shortest", "100", "--longest", "200"]
    model = ["--model", "byteformer_nano", "--threads", "1", "--repeats", "2"]
    mixed_lengths.main([*sizes, *model, "--json", "--results", str(tmp_path)])
    printed = json.loads(capsys.readouterr().out)
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text()) == printed
    assert printed["settings"]["files"] == 2
    assert {"processor", "threads", "torch"} <= set(printed["environment"])
    assert [len(side["seconds"]) for side in printed["results"]["sides"].values()] == [2, 2]
