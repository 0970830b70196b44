"""The benchmark of training steps: both forms compute the same loss and gradients, and it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import measure, training
from benchmarks.latency import SIDES, Case
from benchmarks.plain import PlainByteFormer


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow
    monkeypatch.setitem(training.CASES, "short", Case("a short file", 2000, 8))
    monkeypatch.setattr(measure, "in_fresh_process", lambda function, *args: function(*args))


def test_both_forms_have_the_same_loss_and_gradients() -> None:
    found = {}
    for side in ("plain fp32", "anybyte fp32"):
        loss_of, network = training.prepare_loss("short", side, "byteformer_nano", 3)
        loss = loss_of()
        loss.backward()
        if isinstance(network, PlainByteFormer):
            stem = network.embedding.weight.grad, network.convolution.weight.grad
        else:
            stem = network.stem.embedding.grad, network.stem.kernel.grad
        classifier = network.classifier.weight.grad
        found[side] = loss.detach(), stem[0][:256], stem[1], network.blocks[0].attention.qkv.weight.grad, classifier
    for ours, plain in zip(found["anybyte fp32"], found["plain fp32"], strict=True):
        assert plain.norm() > 0
        assert (ours - plain).norm() / plain.norm() < 1e-5


@pytest.mark.parametrize("side", SIDES)
def test_a_step_is_taken(side: str) -> None:
    call = training.prepare("short", side, "byteformer_nano", 2, 1)
    losses = [float(call()) for _ in range(4)]
    assert losses[-1] < losses[0]


def test_it_is_measured_and_kept(tmp_path: Path) -> None:
    settings = ["--cases", "short", "--batch", "2", "--model", "byteformer_nano", "--repeats", "1"]
    training.main([*settings, "--results", str(tmp_path)])
    (kept,) = tmp_path.glob("training-*.json")
    sides = json.loads(kept.read_text())["results"]["short"]["sides"]
    assert list(sides) == list(SIDES)
    assert sides["plain fp32"]["speedup"]["value"] == 1
    assert sides["plain fp32"]["flops_per_file"] > sides["anybyte fp32"]["flops_per_file"] > 0
    assert sides["anybyte fp32"]["loss_before"] == pytest.approx(sides["plain fp32"]["loss_before"], rel=1e-5)
    assert kept.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        training.main(["--cases", "gif"])
    assert torch.is_grad_enabled()
