"""Batches, the backbone's rate, the input pipeline and the peer on decoded pictures: small runs of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from anybyte.files.media import encode_image
from anybyte.recipes import get_recipe
from benchmarks import backbone, batches, measure, picture_peer, pipeline
from benchmarks.drawing import draw_ratios
from benchmarks.latency import Case

NANO = ["--model", "byteformer_nano", "--repeats", "1", "--threads", "1"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow
    monkeypatch.setattr(measure, "_PRODUCTS", 1)
    monkeypatch.setitem(batches.CASES, "short", Case("a short file", 3000, 8))


def results_of(script: ModuleType, arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    script.main([*arguments, "--results", str(folder)])
    (kept,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(kept.read_text())["results"]
    return found


def test_a_file_alone_and_in_a_batch(tmp_path: Path) -> None:
    found = results_of(batches, ["--cases", "short", "--batch", "3", "--no-plain", *NANO], tmp_path)["short"]
    assert found["batch"] == 3
    assert list(found["sides"]) == ["anybyte fp32", "anybyte bf16"]
    row = found["sides"]["anybyte fp32"]
    median = row["milliseconds_each_in_batch"] / row["milliseconds_alone"]
    assert row["cost_in_batch"]["value"] == pytest.approx(median)
    assert list(tmp_path.glob("*.png"))


def test_the_rate_of_the_backbone(tmp_path: Path) -> None:
    found = results_of(backbone, ["--cases", "short", *NANO], tmp_path)
    assert list(found) == ["short fp32", "short bf16"]
    for row in found.values():
        assert 0 < row["share_of_machine_rate"] < 1.5
        assert sum(row["time_by_kind"].values()) == pytest.approx(1)
        assert row["time_by_kind"]["linear layers"] > 0.05


def test_the_backbone_is_the_model_behind_its_stem() -> None:
    call = backbone.prepare("short", "fp32", "byteformer_nano", 2)
    torch.testing.assert_close(call(), call(), atol=0, rtol=0)
    assert call().shape == (2, 1000)


def test_time_is_shared_out_by_what_it_is_for() -> None:
    x = torch.randn(600, 600)
    shares = backbone.shares(lambda: [x @ x for _ in range(5)])
    assert max(shares, key=lambda kind: shares[kind]) == "linear layers"


def test_reading_is_compared_with_steps(tmp_path: Path) -> None:
    settings = ["--cases", "mp3", "--batch", "2", "--batches", "1", "--repeats", "1", "--workers", "1"]
    found = results_of(pipeline, [*settings, "--threads", "1"], tmp_path)["mp3"]
    assert set(found["files_per_second"]) == {"in the process", "1 workers"}
    assert found["appetite"] > 0
    rates = found["files_per_second"].values()
    assert list(found["times_the_appetite"].values()) == [pytest.approx(rate / found["appetite"]) for rate in rates]


def test_the_pipeline_reads_what_the_recipe_says(tmp_path: Path) -> None:
    job = pipeline.make_job(pipeline.with_files(get_recipe(pipeline.RECIPES["tiff"]), tmp_path))
    part = next(pipeline.batches(job, 3, 1, 0))
    assert len(part.indices) == 3
    assert not part.problems
    assert part.num_bytes == 3 * 150_668


def test_the_peer_reads_pictures(tmp_path: Path) -> None:
    assert sum(parameter.numel() for parameter in picture_peer.DeiT().parameters()) == 5_717_416  # as published
    sizes = {name: len(encode_image(picture_peer.picture(), name)) for name in picture_peer.KERNELS}
    assert sizes["tiff"] == 150_668
    assert 40_000 < sizes["jpeg:q100"] < 60_000
    settings = ["--formats", "jpeg:q60", "--model", "byteformer_nano", "--repeats", "1", "--threads", "1"]
    found = results_of(picture_peer, settings, tmp_path)["jpeg:q60"]
    assert found["bytes"] == sizes["jpeg:q60"]
    assert found["sides"]["DeiT-Ti, decoded fp32"]["times_the_peer"]["value"] == 1
    assert found["sides"]["DeiT-Ti, decoded fp32"]["flops"] == pytest.approx(2.5e9, rel=0.02)  # 1.26 G products


def test_there_is_a_plot_where_there_are_ratios(tmp_path: Path) -> None:
    ratio = {"value": 2.0, "low": 1.9, "high": 2.3}
    assert not draw_ratios({"case": {"seconds": 3}}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert draw_ratios({"sides": {"a": {"speed": ratio}, "b": {"speed": ratio}}}, tmp_path / "some.png")
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")
